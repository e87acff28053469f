//! What goes wrong on a bad day, as the program's user meets it.

mod common;

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::program::{clickstream, finish, run, run_config};
use serde_json::Value;

fn config(source: &str) -> String {
    format!("source: {source}\nsinks: [{{type: sqlite, path: clicks.db}}, {{type: csv, dir: out}}]\n")
}

fn event(user: &str, time: i64) -> String {
    format!(r#"{{"userId":"{user}","itemId":"1","categoryId":"2","behavior":"pv","timestamp":{time}}}"#)
}

const MINUTE: i64 = 1_511_658_000_000;

#[test]
fn broken_records_of_every_kind_are_dead_letters_and_stop_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let deep = format!(r#"{{"userId":"a","x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let long = event("a", MINUTE).replace("\"1\"", &format!("\"{}\"", "i".repeat(5_000_000)));
    let broken: Vec<Vec<u8>> = vec![
        event("future", 2_114_380_800_000).into_bytes(),
        event("ancient", -2_133_820_800_000).into_bytes(),
        deep.into_bytes(),
        b"{\"userId\":\"\xff\xfe\",\"itemId\":\"1\",\"behavior\":\"pv\",\"timestamp\":1}".to_vec(),
        event("a", MINUTE).as_bytes()[..40].to_vec(),
        [event("a", MINUTE).as_bytes(), b"tail"].concat(),
        b"not json at all".to_vec(),
        b"[1,2,3]".to_vec(),
    ];
    let mut lines = vec![event("a", MINUTE).into_bytes(), long.into_bytes()];
    lines.extend(broken.iter().cloned());
    lines.push(event("a", MINUTE + 1).replace("\"a\"", "null").into_bytes());
    lines.push(event("a", MINUTE + 59_999).into_bytes());
    std::fs::write(dir.path().join("events.jsonl"), lines.join(&b"\n"[..]))?;
    let said = run_config(dir.path(), &config("{type: files, path: events.jsonl}"))?;
    assert!(said.contains("dead letters 8"), "{said}");
    let clicks = std::fs::read_to_string(dir.path().join("out/user_clicks.csv"))?;
    assert_eq!(
        clicks.lines().nth(1),
        Some(&*format!("a,{MINUTE},{},3", MINUTE + 60_000)),
        "null user and broken do not count"
    );
    let mut letters = dead_letters(dir.path())?;
    letters.sort_by_key(|(line, _)| *line);
    let raw: Vec<_> = letters.into_iter().map(|(_, raw)| raw).collect();
    assert!(raw == broken, "every broken line, with its bytes");
    Ok(())
}

fn dead_letters(dir: &Path) -> Result<Vec<(i64, Vec<u8>)>> {
    let text = std::fs::read_to_string(dir.join("dead-letter.jsonl"))?;
    let letters = text.lines().map(|line| {
        let letter: Value = serde_json::from_str(line)?;
        let raw = BASE64_STANDARD.decode(letter["raw"].as_str().context("raw is a text")?)?;
        Ok((letter["position"].as_i64().context("position is a number")?, raw))
    });
    letters.collect()
}

#[test]
fn late_records_are_dead_letters_of_the_stage_late() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut lines = String::new();
    for n in 0..200_000 {
        writeln!(lines, "{}", event("a", MINUTE + n * 10))?;
    }
    writeln!(lines, "{}", event("late", MINUTE))?;
    std::fs::write(dir.path().join("events.jsonl"), lines)?;
    let said = run_config(
        dir.path(),
        &format!("jobs: [user-clicks]\n{}", config("{type: files, path: events.jsonl}")),
    )?;
    assert!(said.contains("late 1"), "{said}");
    let letter: Value =
        serde_json::from_str(std::fs::read_to_string(dir.path().join("dead-letter.jsonl"))?.trim())?;
    assert_eq!(letter["stage"], "late", "{letter}");
    Ok(())
}

#[test]
fn an_empty_file_ends_well_and_leaves_headers() -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("empty.jsonl"), "")?;
    let said = run_config(dir.path(), &config("{type: files, path: empty.jsonl}"))?;
    assert!(said.contains("everything was read"), "{said}");
    let clicks = std::fs::read_to_string(dir.path().join("out/user_clicks.csv"))?;
    assert_eq!(clicks.trim(), "user_id,window_start,window_end,count");
    Ok(())
}

#[test]
fn mistakes_are_told_before_anything_starts() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let cases = [
        ("sourc: {type: generator}\nsinks: []\n".to_owned(), "did you mean \"source\"?"),
        (config("{type: generatr}"), "did you mean \"generator\"?"),
        (config("{type: files, path: no-such-file.csv}"), "no-such-file.csv"),
        (
            format!("parallelism.defalt: 2\n{}", config("{type: generator}")),
            "did you mean \"parallelism.default\"?",
        ),
        (format!("rest.port: {port}\n{}", config("{type: generator, rate: 10}")), "choose another port"),
        (
            format!("rest.port: 0\nrest.bind-address: 0.0.0.0\n{}", config("{type: generator, rate: 10}")),
            "rest.password",
        ),
        (config("{type: kafka, brokers: \" \", topic: x}"), "`brokers` is missing"),
        (
            config("{type: files, path: \"*.jsonl\"}"),
            "writes to dead-letter.jsonl, which source \"clicks\" reads",
        ),
        (config("{type: files, path: .}"), "writes to clicks.db, which source \"clicks\" reads"),
        (
            format!(
                "dead-letter: {{type: files, path: /proc/none/dead.jsonl}}\n{}",
                config("{type: generator, rate: 10}")
            ),
            "error: /proc/none cannot be made: check the path",
        ),
    ];
    for (text, says) in cases {
        std::fs::write(dir.path().join("job.yaml"), &text)?;
        let output = finish(dir.path(), &["run", "--config", "job.yaml"])?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(says), "{text}: {said}");
        assert!(matches!(output.status.code(), Some(1 | 2)), "{text}: {}: {said}", output.status);
    }
    Ok(())
}

#[test]
fn a_plan_refuses_what_a_run_refuses_wherever_it_runs() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let open = format!("rest.port: 0\nrest.bind-address: 0.0.0.0\n{}", config("{type: generator}"));
    let nowhere = "source: {type: generator}\nsinks: []\n".to_owned();
    for (text, says) in [(open, "rest.password"), (nowhere, "sinks: [] writes nothing")] {
        std::fs::write(dir.path().join("job.yaml"), text)?;
        let output = finish(dir.path(), &["plan", "--config", "job.yaml"])?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(says), "{said}");
    }
    Ok(())
}

#[test]
fn sigterm_in_mid_flood_flushes_and_writes_no_open_window() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let text = format!(
        "parallelism.default: 2\njobs: [user-clicks]\n{}",
        config("{type: generator, rate: 50000, event-rate: 5000, start: 1511658000000, users: 500}")
    );
    std::fs::write(dir.path().join("job.yaml"), text)?;
    let job = clickstream(dir.path()).args(["run", "--config", "job.yaml"]).stderr(Stdio::piped()).spawn()?;
    // Until windows have closed and were written.
    let csv = dir.path().join("out/user_clicks.csv");
    wait_until(|| std::fs::read_to_string(&csv).is_ok_and(|text| text.lines().count() > 1000))?;
    assert!(Command::new("kill").args(["-TERM", &job.id().to_string()]).status()?.success());
    let output = job.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    assert!(said.contains("open windows were not written"), "{said}");
    complete_windows(&csv, &dir.path().join("clicks.db"))
}

// 5000 events a second of which 89 % count: a minute that was cut short would have far fewer.
fn complete_windows(csv: &Path, database: &Path) -> Result<()> {
    let database = rusqlite::Connection::open(database)?;
    let mut statement =
        database.prepare("select sum(count), count(*) from user_clicks group by window_start")?;
    let minutes =
        statement.query_map([], |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64)))?;
    let minutes: Vec<(u64, u64)> = minutes.collect::<rusqlite::Result<_>>()?;
    assert!(!minutes.is_empty());
    for (clicks, _) in &minutes {
        assert!((255_000..285_000).contains(clicks), "a minute of {clicks} clicks was written");
    }
    let rows: u64 = minutes.iter().map(|(_, rows)| rows).sum();
    assert_eq!(std::fs::read_to_string(csv)?.lines().count() as u64, rows + 1, "both stores have the same");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a test waits for another process")]
fn wait_until(ready: impl Fn() -> bool) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(120);
    while !ready() {
        anyhow::ensure!(Instant::now() < end, "it did not come within two minutes");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

#[test]
fn plans_and_help_teach() -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("job.yaml"), config("{type: generator, rate: 10}"))?;
    let text = finish(dir.path(), &["plan", "--config", "job.yaml"])?;
    assert!(String::from_utf8_lossy(&text.stdout).contains("user-clicks (window aggregate)"));
    let dot = finish(dir.path(), &["plan", "--config", "job.yaml", "--dot"])?;
    assert!(String::from_utf8_lossy(&dot.stdout).starts_with("digraph"));
    let help = finish(dir.path(), &["--help"])?;
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for part in ["demo", "run", "plan", "generate", "replay", "Exit codes"] {
        assert!(help.contains(part), "{part}: {help}");
    }
    for command in ["run", "stop", "savepoint", "restore", "replay", "generate"] {
        let help = finish(dir.path(), &[command, "--help"])?;
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        let examples =
            help.split_once("Examples").map(|(_, examples)| examples).context("it has examples")?;
        assert!(examples.contains(&format!("clickstream {command} ")), "{help}");
    }
    Ok(())
}

#[test]
fn the_program_describes_itself_to_people_shells_and_man() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let said = |arguments: &[&str]| -> Result<String> {
        let output = finish(dir.path(), arguments)?;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let version = said(&["--version"])?;
    assert!(version.starts_with(concat!("clickstream ", env!("CARGO_PKG_VERSION"))), "{version}");
    assert!(!version.contains('/'), "{version}");
    let page = said(&["man"])?;
    for part in [".TH clickstream 1", "CLICKSTREAM REPLAY", "CLICKSTREAM RUN", "taobao", "Exit codes:"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(said(&["completions", shell])?.contains("savepoint"), "{shell}");
    }
    let output = finish(dir.path(), &["completions", "tcsh"])?;
    assert_eq!(output.status.code(), Some(2));
    Ok(())
}

#[test]
fn what_generate_writes_replay_reads() -> Result<()> {
    let dir = tempfile::tempdir()?;
    run(dir.path(), &["generate", "--count", "2000", "--to", "events.jsonl"])?;
    run(
        dir.path(),
        &["replay", "events.jsonl", "--format", "jsonl", "--shuffle", "5s", "--to", "again.jsonl.gz"],
    )?;
    let text = run_config(dir.path(), &config("{type: files, path: again.jsonl.gz}"))?;
    assert!(text.contains("messages 2,000"), "{text}");
    Ok(())
}
