//! Whole pipelines on the thread driver, from files to files, against a count of the input by hand. The input
//! is the recording that `MILLSTREAM_DATA` names (Taobao's columns), or one that the generator makes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream_api::Environment;
use millstream_files::{AtStart, CsvDecoder, Fields, FilesSink, FilesSinkOptions, FilesSource};
use millstream_generator::replay::TaobaoCsv;
use millstream_generator::{BrokenKind, GeneratorOptions, Replay, ReplayOptions, ShopTraffic};
use millstream_record::{ErrorKind, Record};
use millstream_runtime::{RuntimeOptions, run};
use millstream_stage::raw::RawBatch;
use millstream_stage::time::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;

// (user, behaviour, seconds) of every row.
type Rows = Vec<(String, String, Time)>;

fn recording(directory: &Path) -> (PathBuf, Rows) {
    let path = match std::env::var_os("MILLSTREAM_DATA") {
        Some(data) => PathBuf::from(data).join("UserBehavior_first110300.csv.gz"),
        None => generated(&directory.join("recording.csv.gz")),
    };
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(fs::File::open(&path).unwrap()).read_to_string(&mut text).unwrap();
    let row = |line: &str| {
        let fields: Vec<_> = line.split(',').collect();
        (fields[0].to_owned(), fields[3].to_owned(), fields[4].parse().unwrap())
    };
    (path, text.lines().map(row).collect())
}

fn generated(path: &Path) -> PathBuf {
    let options = GeneratorOptions {
        count: Some(20_000),
        splits: 1,
        event_rate: Some(14.0),
        ..GeneratorOptions::default()
    };
    let file = fs::File::create(path).unwrap();
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    for shot in ShopTraffic::new(options, 0, 1_511_658_000_000) {
        let event = shot.event;
        let (user, item, category) = (event.user_id, event.item_id, event.category_id);
        let seconds = event.timestamp / 1000;
        writeln!(packed, "{user},{item},{category},{},{seconds}", event.behavior.name()).unwrap();
    }
    packed.finish().unwrap();
    path.to_owned()
}

fn to(path: &Path) -> FilesSinkOptions {
    FilesSinkOptions::to(path.to_str().unwrap())
}

#[test]
fn a_replay_gives_every_row_once_shuffled_and_the_broken_ones_besides() {
    let directory = tempfile::tempdir().unwrap();
    let (path, rows) = recording(directory.path());
    let out = directory.path().join("events.jsonl.gz");
    let options = ReplayOptions {
        shuffle: Duration::from_secs(5),
        broken: 0.01,
        broken_kinds: vec![BrokenKind::Truncated, BrokenKind::NotUtf8, BrokenKind::Garbage],
        ..ReplayOptions::default()
    };
    let env = Environment::new("replay").with_parallelism(2);
    let source = Replay::new(FilesSource::from_path(path.to_str().unwrap()), TaobaoCsv, options);
    let sink = FilesSink::lines(to(&out), |batch: &RawBatch, lines| {
        for message in batch.iter() {
            lines.extend(message.bytes);
            lines.push(b'\n');
        }
    });
    env.source("recording", source).sink_to("events", sink);
    run(env.plan().unwrap(), RuntimeOptions::default()).unwrap();

    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(fs::File::open(out).unwrap()).read_to_end(&mut bytes).unwrap();
    let (mut seen, mut broken, mut newest) = (Rows::new(), 0, Time::MIN);
    for line in bytes.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n') {
        let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
        match std::str::from_utf8(line).ok().and_then(|line| serde_json::from_str::<Value>(line).ok()) {
            None => broken += 1,
            Some(event) => {
                let seconds = event["timestamp"].as_i64().unwrap() / 1000;
                newest = newest.max(seconds);
                assert!(newest - seconds <= 5, "{seconds} comes behind {newest}");
                seen.push((text(&event, "userId"), text(&event, "behavior"), seconds));
            }
        }
    }
    assert!(!seen.is_sorted_by_key(|row| row.2), "nothing was shuffled");
    let share = f64::from(broken) / rows.len() as f64;
    assert!((0.007..0.013).contains(&share), "{broken} broken records of {}", rows.len());
    let sorted = |mut rows: Rows| {
        rows.sort();
        rows
    };
    assert!(sorted(seen) == sorted(rows), "the events are not those of the recording");
}

#[test]
fn a_replay_of_a_damaged_file_gives_what_lies_before_and_fails() {
    let directory = tempfile::tempdir().unwrap();
    let (path, out) = (generated(&directory.path().join("recording.csv.gz")), directory.path().join("out"));
    let packed = fs::read(&path).unwrap();
    fs::write(&path, &packed[..packed.len() / 2]).unwrap();
    let env = Environment::new("replay").with_parallelism(1);
    let files = FilesSource::from_path(path.to_str().unwrap());
    let sink = FilesSink::lines(to(&out), |batch: &RawBatch, lines| {
        batch.iter().for_each(|message| lines.extend([message.bytes, b"\n"].concat()));
    });
    env.source("recording", Replay::new(files, TaobaoCsv, ReplayOptions::default())).sink_to("events", sink);
    let error = run(env.plan().unwrap(), RuntimeOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("recording.csv.gz is damaged at byte"), "{error}");
    let lines = fs::read_to_string(out).unwrap().lines().count();
    assert!((5_000..10_000).contains(&lines), "{lines}");
}

#[derive(Clone, Debug, PartialEq, Record, Serialize, Deserialize)]
struct Behaviour {
    user_id: String,
    behavior: String,
    event_time: Time,
}

fn behaviour(fields: &Fields<'_>) -> Result<(Behaviour, Time), String> {
    let [user, _, _, behavior, seconds] = fields.all()?;
    let seconds: Time = seconds.parse().map_err(|_| format!("{seconds:?} is no time"))?;
    let row =
        Behaviour { user_id: user.to_owned(), behavior: behavior.to_owned(), event_time: seconds * 1000 };
    Ok((row, seconds * 1000))
}

#[test]
fn two_subtasks_write_one_csv_file_and_the_dead_letters() {
    let directory = tempfile::tempdir().unwrap();
    let (path, rows) = recording(directory.path());
    // A second file, with lines that are none, so that both subtasks have work.
    let other = directory.path().join("other.csv");
    fs::write(&other, "u,1,2,buy,5\nnothing\nu,1,2,buy,never\r\nu,1,2,fav,6").unwrap();
    let (out, dead) = (directory.path().join("out/rows.csv"), directory.path().join("dead-letter.jsonl"));
    let paths =
        millstream_files::Paths([path, other.clone()].map(|path| path.to_str().unwrap().to_owned()).to_vec());
    let source = FilesSource::new(millstream_files::FilesSourceOptions { path: paths, ..Default::default() });

    let env = Environment::new("rows").with_parallelism(2);
    let decoded = env.source("files", source).decode("rows", CsvDecoder::new(behaviour));
    let letters = FilesSinkOptions { at_start: AtStart::Append, ..to(&dead) };
    decoded.dead_letters().sink_to("dead letters", FilesSink::dead_letters(letters));
    decoded.sink_to("out", FilesSink::csv(to(&out)));
    run(env.plan().unwrap(), RuntimeOptions::default()).unwrap();

    let mut counts: BTreeMap<(String, String, Time), i64> = BTreeMap::new();
    for (user, behavior, seconds) in rows {
        *counts.entry((user, behavior, seconds * 1000)).or_default() += 1;
    }
    counts.insert(("u".into(), "buy".into(), 5000), 1);
    counts.insert(("u".into(), "fav".into(), 6000), 1);
    let text = fs::read_to_string(out).unwrap();
    assert!(text.starts_with("user_id,behavior,event_time\n"));
    for row in csv::Reader::from_reader(text.as_bytes()).deserialize::<Behaviour>() {
        let Behaviour { user_id, behavior, event_time } = row.unwrap();
        *counts.entry((user_id, behavior, event_time)).or_default() -= 1;
    }
    counts.retain(|_, count| *count != 0);
    assert!(counts.is_empty(), "{} rows are missing or too many", counts.len());

    let dead = fs::read_to_string(dead).unwrap();
    let letters: Vec<Value> = dead.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<_> =
        letters.iter().map(|letter| (&letter["position"], &letter["raw"], &letter["split"])).collect();
    let split = Value::from(other.to_str().unwrap());
    // "nothing" and "u,1,2,buy,never" in base64.
    let (nothing, never) = ("bm90aGluZw==".into(), "dSwxLDIsYnV5LG5ldmVy".into());
    assert_eq!(seen, [(&2.into(), &nothing, &split), (&3.into(), &never, &split)]);
}

#[test]
fn a_pipeline_does_not_read_what_it_writes() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("in.jsonl"), "{}\n").unwrap();
    let refusal = |read: &str, written: &str| {
        let env = Environment::new("own-output");
        let lines = env.source("lines", FilesSource::from_path(at(read)));
        let texts = lines.map("texts", |batch: RawBatch| batch.len().to_string());
        let append = |text: &String, bytes: &mut Vec<u8>| bytes.extend_from_slice(text.as_bytes());
        texts.sink_to("results", FilesSink::lines(FilesSinkOptions::to(at(written)), append));
        env.plan().err()
    };
    for (read, written) in
        [("in.jsonl", "in.jsonl"), ("*.jsonl", "out.jsonl"), ("", "out.csv"), ("**/*.csv", "deep/out.csv")]
    {
        let error = refusal(read, written).expect(read);
        assert_eq!((error.kind(), error.operator()), (ErrorKind::Configuration, Some("results")));
        let says = format!("writes to {}, which source \"lines\" reads", at(written));
        assert!(error.to_string().contains(&says), "{error}");
    }
    for (read, written) in [("in.jsonl", "out.jsonl"), ("*.jsonl", "out.csv"), ("", "deep/out.csv")] {
        assert!(refusal(read, written).is_none(), "{read} {written}");
    }
}
