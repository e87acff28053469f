//! What ends up in a file, and what happens when the file is not as it should be.

use std::time::Duration;

use anyhow::{Context, Result};
use millstream_record::{Error, ErrorKind};
use millstream_sim::DrivenWriter;
use millstream_sqlite::{SqliteOptions, SqliteSink, Table};
use millstream_stage::Rows;
use millstream_stage::sink::Sink;
use millstream_stage::snapshot::{Frozen, StageSnapshot};

mod common;
use common::{Clicks, File, Writer, clicks, harness, open, table, write, writer};

fn counter(writer: &Writer, name: &'static str) -> u64 {
    writer.harness().metrics().operator("sink").counter(name).get()
}

// The error with which the first flush ends, though nothing was written.
fn refusal(options: SqliteOptions, table: Table) -> Result<Error> {
    writer(options, table, 1)?.flush().err().context("it was not refused")
}

#[test]
fn the_table_is_made_as_described_and_read_while_it_is_written() -> Result<()> {
    let file = File::new()?;
    let mut writer = file.writer(1)?;
    writer.flush()?;
    let reader = file.database()?;
    reader.execute_batch("BEGIN")?;
    let count = |sql| reader.query_row(sql, [], |row| row.get::<_, i64>(0));
    assert_eq!(count("SELECT count(*) FROM user_clicks")?, 0);
    write(&mut writer, clicks(0..1_000, 1))?;
    writer.flush()?;
    assert_eq!(count("SELECT count(*) FROM user_clicks")?, 0, "a reader keeps what it began with");
    reader.execute_batch("COMMIT")?;
    assert_eq!(count("SELECT sum(count) FROM user_clicks")?, 1_000);
    let columns =
        "SELECT group_concat(name || ' ' || type || ' ' || pk) FROM pragma_table_info('user_clicks')";
    let columns: String = reader.query_row(columns, [], |row| row.get(0))?;
    assert_eq!(columns, "user_id TEXT 1,window_start INTEGER 2,count INTEGER 0");
    Ok(())
}

#[test]
fn rows_are_upserted_by_key() -> Result<()> {
    let file = File::new()?;
    let mut writer = file.writer(1)?;
    write(&mut writer, clicks(0..10, 1))?;
    write(&mut writer, [clicks(5..15, 2), clicks(7..8, 3)].concat())?;
    writer.flush()?;
    assert_eq!(file.number("SELECT count(*) FROM user_clicks")?, 15);
    assert_eq!(file.number("SELECT sum(count) FROM user_clicks")?, 5 + 9 * 2 + 3);
    assert_eq!(file.number("SELECT count FROM user_clicks WHERE user_id = '7'")?, 3);
    Ok(())
}

#[test]
fn an_older_attempt_is_fenced_and_another_sink_or_job_is_not() -> Result<()> {
    let file = File::new()?;
    let mut old = file.writer(4)?;
    write(&mut old, clicks(0..5, 4))?;
    old.flush()?;
    file.writer(5)?.flush()?;
    write(&mut old, clicks(0..5, 44))?;
    let error = old.flush().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert!(error.to_string().contains("attempt 5"), "{error}");
    assert_eq!(file.number("SELECT sum(count) FROM user_clicks")?, 20);
    file.database()?.execute_batch(
        "INSERT INTO millstream_epochs VALUES ('test', 'another', 9), ('another', 'sink', 9)",
    )?;
    file.writer(6)?.flush()?;
    assert_eq!(file.number("SELECT epoch FROM millstream_epochs WHERE job = 'test' AND sink = 'sink'")?, 6);
    Ok(())
}

#[test]
fn what_was_not_written_is_in_the_snapshot_and_comes_before_anything_new() -> Result<()> {
    let file = File::new()?;
    let harness_before = harness(1)?;
    let sink = SqliteSink::<Clicks>::new(file.options(), table());
    let mut before = sink.writer("sink", &mut harness_before.open_context())?;
    let (mut rows, mut dead) = (Rows::from(clicks(0..10, 1)), Rows::default());
    harness_before.call(|cx| before.write(cx, &mut rows, &mut dead))?;
    let mut frozen = Frozen::default();
    before.snapshot(1, &mut frozen)?;
    drop(before);
    let mut snapshot = StageSnapshot::default();
    snapshot.add(frozen)?;

    let restored = |subtask| -> Result<Writer> {
        let harness = harness(2)?.subtask(subtask, 2).restored(snapshot.share(subtask, 2, &(0..64)));
        Ok(DrivenWriter::open(&SqliteSink::new(file.options(), table()), harness)?)
    };
    let mut quick = restored(1)?;
    write(&mut quick, clicks(3..4, 2))?;
    quick.flush()?;
    let mut slow = restored(0)?;
    slow.flush()?;
    assert_eq!(file.number("SELECT count(*) FROM user_clicks")?, 10);
    assert_eq!(file.number("SELECT sum(count) FROM user_clicks")?, 11, "the new row of user 3 stays");
    Ok(())
}

#[test]
fn another_writer_is_waited_for() -> Result<()> {
    let file = File::new()?;
    let mut writer = file.writer(1)?;
    writer.flush()?;
    let other = file.database()?;
    other.execute_batch("BEGIN IMMEDIATE")?;
    write(&mut writer, clicks(0..10, 1))?;
    while counter(&writer, "retries") == 0 {
        assert!(!writer.try_flush()?.is_complete(), "flushed, but not written");
        writer.turn()?;
    }
    other.execute_batch("COMMIT")?;
    writer.flush()?;
    assert_eq!(file.number("SELECT count(*) FROM user_clicks")?, 10);
    Ok(())
}

// Bytes of the write-ahead log.
fn log_size(file: &File) -> u64 {
    std::fs::metadata(file.path.with_extension("db-wal")).map_or(0, |log| log.len())
}

#[test]
fn a_reader_left_open_is_said_once_and_the_log_shrinks_when_it_is_gone() -> Result<()> {
    const LIMIT: usize = 256 << 10;
    let file = File::new()?;
    let mut writer = writer(SqliteOptions { wal_bytes: LIMIT, ..file.options() }, table(), 1)?;
    writer.flush()?;
    let reader = file.database()?;
    reader.execute_batch("BEGIN; SELECT count(*) FROM user_clicks")?;
    let ongoing = |writer: &Writer| writer.harness().metrics().troubles.ongoing(u64::MAX);
    let mut turn = 0;
    let mut write_some = |writer: &mut Writer| -> Result<()> {
        turn += 1;
        write(writer, clicks(0..2_000, turn))?;
        Ok(writer.flush()?)
    };
    while ongoing(&writer).is_empty() {
        write_some(&mut writer)?;
    }
    let trouble = ongoing(&writer).remove(0);
    assert!(trouble.subject.contains("write-ahead log") && trouble.why.contains("MB"), "{trouble:?}");
    assert!(log_size(&file) > LIMIT as u64);
    reader.execute_batch("COMMIT")?;
    while !ongoing(&writer).is_empty() || log_size(&file) > LIMIT as u64 {
        write_some(&mut writer)?;
    }
    Ok(())
}

#[test]
fn a_lock_that_stays_ends_in_a_restart() -> Result<()> {
    let file = File::new()?;
    let patience = Duration::from_millis(100);
    let options = SqliteOptions { retry_for: patience, busy_timeout: patience, ..file.options() };
    let mut writer = writer(options, table(), 1)?;
    writer.flush()?;
    let other = file.database()?;
    other.execute_batch("BEGIN IMMEDIATE")?;
    write(&mut writer, clicks(0..10, 1))?;
    let error = writer.flush().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Restart);
    let text = error.to_string();
    assert!(text.contains("another program has locked the file") && text.contains("clicks.db"), "{text}");
    Ok(())
}

#[test]
fn a_file_that_is_deleted_while_it_is_written_is_made_anew_and_said() -> Result<()> {
    let file = File::new()?;
    let mut writer = file.writer(1)?;
    write(&mut writer, clicks(0..10, 1))?;
    writer.flush()?;
    std::fs::remove_file(&file.path)?;
    write(&mut writer, clicks(10..30, 1))?;
    while counter(&writer, "retries") == 0 {
        assert!(!writer.try_flush()?.is_complete(), "flushed, but nobody sees it");
        writer.turn()?;
    }
    let trouble = writer.harness().metrics().troubles.ongoing(u64::MAX).remove(0);
    assert!(trouble.why.contains("deleted or replaced"), "{trouble:?}");
    writer.flush()?;
    assert_eq!(file.number("SELECT count(*) FROM user_clicks")?, 20);
    Ok(())
}

#[test]
fn many_writers_share_a_file() -> Result<()> {
    let file = File::new()?;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..6)
            .map(|number| {
                scope.spawn({
                    let file = &file;
                    move || flood(file, number)
                })
            })
            .collect();
        writers.into_iter().try_for_each(|writer| writer.join().expect("no writer panics"))
    })?;
    for name in ["t0", "t1", "t2"] {
        assert_eq!(file.number(&format!("SELECT count(*) FROM {name}"))?, 2 * 4_000);
    }
    Ok(())
}

// Two subtasks of three sinks, each with a table of its own.
fn flood(file: &File, number: u64) -> Result<()> {
    let (name, subtask) = (format!("t{}", number % 3), number / 3);
    let table = Table::new(&name).text("user_id").integer("window_start").integer("count").key(["user_id"]);
    let mut writer = writer(file.options(), table, 1)?;
    for batch in 0..40 {
        let first = subtask * 10_000 + batch * 100;
        write(&mut writer, clicks(first..first + 100, 1))?;
        writer.flush()?;
    }
    Ok(())
}

#[test]
fn a_row_against_a_rule_of_the_table_is_a_dead_letter_and_the_others_are_written() -> Result<()> {
    let file = File::new()?;
    file.database()?.execute_batch(
        "CREATE TABLE user_clicks (user_id TEXT, window_start INTEGER, count INTEGER CHECK (count < 100), \
         PRIMARY KEY (user_id, window_start))",
    )?;
    let mut writer = file.writer(1)?;
    write(
        &mut writer,
        [clicks(0..5, 1), clicks(5..6, 100), clicks(6..7, u64::MAX), clicks(7..9, 1)].concat(),
    )?;
    writer.flush()?;
    assert_eq!(file.number("SELECT count(*) FROM user_clicks")?, 7);
    let reasons: Vec<_> = writer.dead_letters().iter().map(|letter| letter.reason.as_str()).collect();
    assert_eq!(reasons.len(), 2);
    assert!(reasons[0].contains("INTEGER") && reasons[1].contains("CHECK"), "{reasons:?}");
    assert!(String::from_utf8_lossy(&writer.dead_letters()[1].raw).contains(r#""user_id":"5""#));
    Ok(())
}

#[test]
fn a_table_of_other_columns_is_refused_and_left_alone() -> Result<()> {
    let file = File::new()?;
    for columns in [
        "user_id TEXT, window_start INTEGER, PRIMARY KEY (user_id, window_start)",
        "user_id TEXT, window_start INTEGER, count TEXT, PRIMARY KEY (user_id, window_start)",
        "user_id TEXT, window_start INTEGER, count INTEGER, PRIMARY KEY (user_id)",
        "user_id TEXT, window_start INTEGER, count INTEGER, more TEXT, PRIMARY KEY (user_id, window_start)",
    ] {
        let database = file.database()?;
        database.execute_batch(&format!(
            "DROP TABLE IF EXISTS user_clicks; CREATE TABLE user_clicks ({columns})"
        ))?;
        drop(database);
        let error = refusal(file.options(), table())?;
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains("window_start INTEGER KEY"), "{error}");
    }
    assert_eq!(file.number("SELECT count(*) FROM sqlite_master WHERE name = 'millstream_epochs'")?, 0);
    Ok(())
}

#[test]
fn files_that_cannot_be_used_say_why() -> Result<()> {
    let file = File::new()?;
    let nowhere = refusal(SqliteOptions::at(file.dir.path().join("no/such/clicks.db")), table())?;
    assert!(nowhere.to_string().contains("directory"), "{nowhere}");
    std::fs::write(&file.path, "user_id,count\n".repeat(100))?;
    let text = refusal(file.options(), table())?;
    assert!(text.to_string().contains("is no SQLite database"), "{text}");
    // Open for reading alone, as by a user without the right to write; the rights themselves do not bind
    // root.
    let read_only = format!("file:{}?mode=ro", file.dir.path().join("read-only.db").display());
    open(&file.dir.path().join("read-only.db"))?.execute_batch("CREATE TABLE a(b)")?;
    let read_only = refusal(SqliteOptions::at(read_only), table())?;
    assert!(read_only.to_string().contains("must not be written"), "{read_only}");
    for error in [nowhere, text, read_only] {
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
    Ok(())
}
