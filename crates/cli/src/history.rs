//! A job's checkpoints and savepoints, as a table for people and as JSON for programs.

use std::fmt::Write;

use millstream_stage::time::{Time, written};
use serde_json::{Value, json};

const SECOND: Time = 1000;
const MINUTE: Time = 60 * SECOND;
const HOUR: Time = 60 * MINUTE;
const DAY: Time = 24 * HOUR;

/// What the REST interface says of them, the newest first, as seen at `now`.
pub(crate) fn table(checkpoints: &Value, now: Time) -> String {
    let counts = &checkpoints["counts"];
    let mut text = format!(
        "completed {}, failed {}, in progress {}, restored {}\n",
        counts["completed"], counts["failed"], counts["in_progress"], counts["restored"]
    );
    if let Some(restored) = restored(&checkpoints["latest"]["restored"], now) {
        text += &restored;
    }
    let all = newest_first(checkpoints);
    if all.is_empty() {
        return text;
    }
    let _ = writeln!(
        text,
        "\n{:>6}  {:<11}  {:<10}  {:<20}  {:>11}  {:>9}  {:>9}  {:>9}  WHERE",
        "ID", "STATUS", "TYPE", "STARTED", "AGE", "TOOK", "SIZE", "WRITTEN"
    );
    for checkpoint in all {
        text += &row(checkpoint, now);
    }
    text
}

/// The same as an array of JSON objects, the newest first. What is not known of a checkpoint, or not yet, is
/// `null`.
pub(crate) fn list(checkpoints: &Value, now: Time) -> String {
    let all: Vec<_> =
        newest_first(checkpoints).into_iter().map(|checkpoint| entry(checkpoint, now)).collect();
    format!("{:#}\n", Value::from(all))
}

fn entry(checkpoint: &Value, now: Time) -> Value {
    let word = |key: &str| checkpoint[key].as_str().map(str::to_lowercase);
    let started = time(&checkpoint["trigger_timestamp"]);
    let complete = checkpoint["status"] == "COMPLETED";
    json!({
        "id": checkpoint["id"],
        "kind": word("checkpoint_type"),
        "status": word("status"),
        "time": started.map(written),
        // The job's clock may be ahead of ours.
        "age_seconds": started.map(|started| (now - started).max(0) / SECOND),
        "size_bytes": complete.then(|| checkpoint["state_size"].clone()),
        "path": checkpoint["external_path"],
        "discarded": checkpoint["discarded"] == true,
        "failure": checkpoint["failure_message"],
    })
}

fn newest_first(checkpoints: &Value) -> Vec<&Value> {
    let mut all: Vec<_> = checkpoints["history"].as_array().into_iter().flatten().collect();
    all.sort_by_key(|checkpoint| {
        std::cmp::Reverse((time(&checkpoint["trigger_timestamp"]), checkpoint["id"].as_u64()))
    });
    all
}

fn row(checkpoint: &Value, now: Time) -> String {
    let word = |key: &str| checkpoint[key].as_str().unwrap_or("-");
    let started = time(&checkpoint["trigger_timestamp"]);
    let number =
        |key: &str, show: fn(u64) -> String| checkpoint[key].as_u64().map_or_else(|| "-".to_owned(), show);
    format!(
        "{:>6}  {:<11}  {:<10}  {:<20}  {:>11}  {:>9}  {:>9}  {:>9}  {}\n",
        number("id", |id| id.to_string()),
        word("status"),
        word("checkpoint_type"),
        started.map_or_else(|| "-".to_owned(), at),
        started.map_or_else(|| "-".to_owned(), |started| ago(now - started)),
        number("end_to_end_duration", duration),
        number("state_size", size),
        number("checkpointed_size", size),
        note(checkpoint)
    )
}

// Where it is, or why it is not.
fn note(checkpoint: &Value) -> String {
    if let Some(failure) = checkpoint["failure_message"].as_str() {
        return failure.to_owned();
    }
    let place = checkpoint["external_path"].as_str().unwrap_or("-");
    match checkpoint["discarded"].as_bool() {
        Some(true) => format!("{place} (no longer kept)"),
        _ => place.to_owned(),
    }
}

fn restored(latest: &Value, now: Time) -> Option<String> {
    let time = time(&latest["restore_timestamp"])?;
    let kind = if latest["is_savepoint"] == true { "savepoint" } else { "checkpoint" };
    let place = latest["external_path"].as_str().map(|place| format!(": {place}")).unwrap_or_default();
    Some(format!("restored from {kind} {} at {}, {}{place}\n", latest["id"], at(time), ago(now - time)))
}

fn time(value: &Value) -> Option<Time> {
    value.as_i64().filter(|time| *time >= 0)
}

// To the second: nobody reads the rest.
fn at(time: Time) -> String {
    written(time / SECOND * SECOND)
}

/// How long ago it was; the job's clock may be ahead of ours.
fn ago(age: Time) -> String {
    match age {
        ..SECOND => "just now".to_owned(),
        SECOND..MINUTE => format!("{} s ago", age / SECOND),
        MINUTE..HOUR => format!("{} min ago", age / MINUTE),
        HOUR..DAY => format!("{} h ago", age / HOUR),
        _ if age / DAY == 1 => "1 day ago".to_owned(),
        _ => format!("{} days ago", age / DAY),
    }
}

fn duration(millis: u64) -> String {
    match millis {
        0..1000 => format!("{millis} ms"),
        1000..60_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        _ => format!("{} min {} s", millis / 60_000, millis % 60_000 / 1000),
    }
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut scaled, mut unit) = (bytes as f64 / 1024.0, 0);
    while scaled >= 1023.95 && unit + 1 < UNITS.len() {
        (scaled, unit) = (scaled / 1024.0, unit + 1);
    }
    format!("{scaled:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Time = 1_511_658_000_000;

    fn checkpoint(id: u64, age: Time) -> Value {
        json!({
            "id": id, "status": "COMPLETED", "checkpoint_type": "CHECKPOINT", "trigger_timestamp": NOW - age,
            "end_to_end_duration": 1234, "state_size": 3_500_000, "checkpointed_size": 700,
            "external_path": "file:///c/chk-1", "discarded": false, "failure_message": null,
        })
    }

    #[test]
    fn the_newest_comes_first_with_time_and_age() {
        let mut failed = checkpoint(7, 5 * SECOND);
        failed["status"] = json!("FAILED");
        failed["failure_message"] = json!("the storage is away");
        failed["end_to_end_duration"] = Value::Null;
        let mut old = checkpoint(5, 2 * DAY);
        old["discarded"] = json!(true);
        let all = json!({
            "counts": {"completed": 2, "failed": 1, "in_progress": 0, "restored": 1},
            "latest": {"restored": {"id": 4, "restore_timestamp": NOW - HOUR, "is_savepoint": true, "external_path": "s3://b/s"}},
            "history": [old, failed, checkpoint(6, 3 * MINUTE + 59 * SECOND)],
        });
        let text = table(&all, NOW);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "completed 2, failed 1, in progress 0, restored 1");
        assert_eq!(lines[1], "restored from savepoint 4 at 2017-11-26T00:00:00Z, 1 h ago: s3://b/s");
        assert!(lines[3].starts_with("    ID  STATUS"), "{text}");
        assert!(
            lines[4].starts_with("     7  FAILED") && lines[4].ends_with("  the storage is away"),
            "{text}"
        );
        assert!(
            lines[5].contains("2017-11-26T00:56:01Z    3 min ago      1.2 s    3.3 MiB      700 B  file:"),
            "{text}"
        );
        assert!(lines[6].contains("2 days ago") && lines[6].ends_with("chk-1 (no longer kept)"), "{text}");
    }

    #[test]
    fn a_job_without_checkpoints_has_no_table() {
        let all =
            json!({"counts": {"completed": 0, "failed": 0, "in_progress": 0, "restored": 0}, "history": []});
        assert_eq!(table(&all, NOW).lines().count(), 1);
    }

    #[test]
    fn programs_get_the_same_in_json() {
        let mut failed = checkpoint(7, -5 * SECOND);
        failed["status"] = json!("FAILED");
        failed["failure_message"] = json!("the storage is away");
        failed["external_path"] = Value::Null;
        let mut old = checkpoint(5, 2 * DAY + 1);
        (old["checkpoint_type"], old["discarded"]) = (json!("SAVEPOINT"), json!(true));
        let listed: Value = serde_json::from_str(&list(&json!({"history": [old, failed]}), NOW)).unwrap();
        let expected = json!([
            {
                "id": 7, "kind": "checkpoint", "status": "failed", "time": "2017-11-26T01:00:05Z", "age_seconds": 0,
                "size_bytes": null, "path": null, "discarded": false, "failure": "the storage is away",
            },
            {
                "id": 5, "kind": "savepoint", "status": "completed", "time": "2017-11-24T00:59:59.999Z",
                "age_seconds": 172_800, "size_bytes": 3_500_000, "path": "file:///c/chk-1", "discarded": true,
                "failure": null,
            },
        ]);
        assert_eq!(listed, expected);
        assert_eq!(list(&json!({"history": []}), NOW), "[]\n");
    }

    #[test]
    fn sizes_and_ages_have_the_unit_that_fits() {
        let sizes = [0, 1023, 1024, 1_048_575, 5 << 30].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "5.0 GiB"]);
        let ages = [-5 * MINUTE, 0, SECOND, HOUR - 1, DAY, 3 * DAY].map(ago);
        assert_eq!(ages, ["just now", "just now", "1 s ago", "59 min ago", "1 day ago", "3 days ago"]);
        assert_eq!([90, 59_999, 125_000].map(duration), ["90 ms", "59.9 s", "2 min 5 s"]);
    }
}
