//! What the files sink does with the files that are there, and with disks that are full.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use millstream_files::{AtStart, Csv, FilesSink, FilesSinkOptions};
use millstream_record::record::Data;
use millstream_record::{Error, ErrorKind, Result};
use millstream_sim::{DrivenWriter, Harness, Simulated, TokioWorld, World};
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::snapshot::{Restored, StageSnapshot};
use serde::Serialize;

#[derive(Clone, Serialize)]
struct Row {
    user_id: String,
    count: u64,
}

fn row(count: u64) -> Row {
    Row { user_id: format!("u{}", count % 3), count }
}

fn world() -> Arc<dyn World> {
    Arc::new(Simulated::default())
}

fn open<T: Data>(sink: &FilesSink<T>, epoch: u64) -> Result<DrivenWriter<T>> {
    DrivenWriter::open(sink, Harness::new(world()).epoch(epoch))
}

fn write_all<T: Data>(sink: &FilesSink<T>, epoch: u64, rows: Vec<T>) -> Result<()> {
    let mut writer = open(sink, epoch)?;
    writer.write(rows)?;
    writer.flush()?;
    writer.close();
    Ok(())
}

fn options(directory: &Path, at_start: AtStart) -> FilesSinkOptions {
    let path = directory.join("user_clicks.csv");
    FilesSinkOptions { at_start, ..FilesSinkOptions::to(path.to_str().unwrap()) }
}

fn read(directory: &Path) -> String {
    fs::read_to_string(directory.join("user_clicks.csv")).unwrap()
}

#[test]
fn a_job_that_starts_afresh_replaces_what_is_there() {
    let directory = tempfile::tempdir().unwrap();
    for first in [1, 7] {
        let sink = FilesSink::csv(options(directory.path(), AtStart::Replace));
        write_all(&sink, 1, vec![row(first), row(first + 1)]).unwrap();
    }
    assert_eq!(read(directory.path()), "user_id,count\nu1,7\nu2,8\n");
}

#[test]
fn all_subtasks_of_an_attempt_write_one_file_with_one_header() {
    let directory = tempfile::tempdir().unwrap();
    let world: Arc<dyn World> = Arc::new(TokioWorld::new().unwrap());
    let sink = FilesSink::csv(options(directory.path(), AtStart::Replace));
    let harness = |subtask| Harness::new(Arc::clone(&world)).subtask(subtask, 2);
    let mut first = DrivenWriter::open(&sink, harness(0)).unwrap();
    first.write((0..500).map(row).collect::<Vec<_>>()).unwrap();
    first.flush().unwrap();
    // The second one comes late: what is there must stay.
    let mut second = DrivenWriter::open(&sink, harness(1)).unwrap();
    for count in 0..200 {
        first.write(vec![row(1000 + count); 20]).unwrap();
        second.write(vec![row(2000 + count); 20]).unwrap();
    }
    first.flush().unwrap();
    second.flush().unwrap();
    let text = read(directory.path());
    assert_eq!(text.lines().filter(|line| *line == "user_id,count").count(), 1);
    assert!(text.starts_with("user_id,count\n"));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let counts: Vec<u64> = reader.deserialize::<(String, u64)>().map(|row| row.unwrap().1).collect();
    assert_eq!(counts.len(), 500 + 2 * 200 * 20);
    assert_eq!(counts.iter().filter(|count| **count >= 2000).count(), 4000);
}

#[test]
fn a_restart_within_the_process_begins_again_unless_it_is_restored() {
    let directory = tempfile::tempdir().unwrap();
    let sink = FilesSink::csv(options(directory.path(), AtStart::Replace));
    write_all(&sink, 1, vec![row(1)]).unwrap();
    // No checkpoint was complete: everything comes again.
    let mut writer = open(&sink, 2).unwrap();
    writer.write(vec![row(1), row(2)]).unwrap();
    let mut snapshot = StageSnapshot::default();
    snapshot.add(writer.checkpoint(1).unwrap()).unwrap();
    writer.close();
    // Restored, by another instance, at another parallelism: what is there stays.
    let sink = FilesSink::csv(options(directory.path(), AtStart::Replace));
    for subtask in 0..2 {
        let restored: Restored = snapshot.share(subtask, 2, &(0..1));
        let harness = Harness::new(world()).epoch(3).subtask(subtask, 2).restored(restored);
        let mut writer = DrivenWriter::open(&sink, harness).unwrap();
        writer.write(vec![row(3)]).unwrap();
        writer.flush().unwrap();
    }
    assert_eq!(read(directory.path()), "user_id,count\nu1,1\nu2,2\nu0,3\nu0,3\n");
}

#[test]
fn refuse_means_not_to_start() {
    let directory = tempfile::tempdir().unwrap();
    write_all(&FilesSink::csv(options(directory.path(), AtStart::Refuse)), 1, vec![row(1)]).unwrap();
    let error = open(&FilesSink::<Row>::csv(options(directory.path(), AtStart::Refuse)), 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("exists already"), "{error}");
    assert_eq!(read(directory.path()), "user_id,count\nu1,1\n");
}

#[test]
fn appending_needs_the_same_columns() {
    let directory = tempfile::tempdir().unwrap();
    write_all(&FilesSink::csv(options(directory.path(), AtStart::Append)), 1, vec![row(1)]).unwrap();
    write_all(&FilesSink::csv(options(directory.path(), AtStart::Append)), 2, vec![row(2)]).unwrap();
    assert_eq!(read(directory.path()), "user_id,count\nu1,1\nu2,2\n");
    let other: FilesSink<u64> =
        FilesSink::new(options(directory.path(), AtStart::Append), Csv::with_columns(["number"]));
    let error = open(&other, 1).unwrap_err();
    assert!(error.to_string().contains("begins with \"user_id,count\" instead of \"number\""), "{error}");
}

#[test]
fn columns_named_beforehand_make_a_header_without_rows() {
    let directory = tempfile::tempdir().unwrap();
    let csv = Csv::with_columns(["user_id", "count"]);
    write_all(&FilesSink::<Row>::new(options(directory.path(), AtStart::Replace), csv), 1, vec![]).unwrap();
    assert_eq!(read(directory.path()), "user_id,count\n");
}

#[test]
fn a_torn_line_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("user_clicks.csv"), "user_id,count\nu1,1\nu2").unwrap();
    write_all(&FilesSink::csv(options(directory.path(), AtStart::Append)), 1, vec![row(3)]).unwrap();
    assert_eq!(read(directory.path()), "user_id,count\nu1,1\nu2\nu0,3\n");
}

#[test]
fn a_full_disk_is_a_clear_error() {
    let sink = FilesSink::json_lines(FilesSinkOptions::to("/dev/full"));
    let error = write_all(&sink, 1, vec![row(1)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Restart);
    assert!(error.to_string().contains("the disk is full"), "{}", error.chain());
}

#[test]
fn places_that_cannot_be_written_are_known_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    let path = directory.path().join("file").join("a.csv");
    for path in [path.to_str().unwrap(), directory.path().to_str().unwrap()] {
        let error: Error = open(&FilesSink::<Row>::csv(FilesSinkOptions::to(path)), 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{}", error.chain());
    }
}

#[test]
fn dead_letters_are_json_lines_behind_the_old_ones() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dead-letter.jsonl");
    for time in [1, 2] {
        let at_start = AtStart::Append;
        let options = FilesSinkOptions { at_start, ..FilesSinkOptions::to(path.to_str().unwrap()) };
        let letter = DeadLetter::of_value("clicks", "late", vec![0xff, b'\n'], time, "late\nby far");
        write_all(&FilesSink::dead_letters(options), 1, vec![letter]).unwrap();
    }
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["time"].as_i64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((&lines[0]["raw"], &lines[0]["id"]), (&"/wo=".into(), &lines[1]["id"]));
}

#[test]
fn a_busy_disk_blocks_the_writer_when_its_buffer_is_full() {
    let directory = tempfile::tempdir().unwrap();
    let options = FilesSinkOptions { buffer_size: 1000, ..options(directory.path(), AtStart::Replace) };
    let sink = FilesSink::csv(options);
    let mut writer = open(&sink, 1).unwrap();
    // Nothing runs in the simulated world until somebody waits: the first block is being written all the
    // time.
    writer.write(vec![row(1)]).unwrap();
    assert!(writer.pace().takes_data());
    writer.write((0..300).map(row).collect::<Vec<_>>()).unwrap();
    assert!(!writer.pace().takes_data());
    writer.settle().unwrap();
    writer.flush().unwrap();
    assert_eq!(read(directory.path()).lines().count(), 302);
}

#[test]
fn a_file_that_is_moved_away_or_deleted_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (path, moved) =
        (directory.path().join("user_clicks.csv"), directory.path().join("user_clicks.csv.1"));
    let mut writer = open(&FilesSink::csv(options(directory.path(), AtStart::Replace)), 1).unwrap();
    let mut write = |count: u64| {
        writer.write(vec![row(count)]).unwrap();
        writer.flush().unwrap();
    };
    write(1);
    fs::rename(&path, &moved).unwrap();
    write(2);
    write(3);
    assert_eq!(fs::read_to_string(&moved).unwrap(), "user_id,count\nu1,1\n");
    assert_eq!(read(directory.path()), "user_id,count\nu2,2\nu0,3\n");
    fs::remove_file(&path).unwrap();
    write(4);
    assert_eq!(read(directory.path()), "user_id,count\nu1,4\n");
    // Emptied in place, as `copytruncate` of logrotate does.
    fs::write(&path, "").unwrap();
    write(5);
    assert_eq!(read(directory.path()), "user_id,count\nu2,5\n");
}
