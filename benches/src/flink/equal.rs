//! Whether all sides compute the same: every row, compared as JSON.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, ensure};
use millstream_testkit::{Kafka, unique_name};
use serde_json::Value;

use super::cluster;
use super::topics;
use super::work::{InFlink, Programs, Work};

/// How often each row came.
type Rows = BTreeMap<String, u32>;

/// Runs the job on every side with its results in topics. Returns how many rows each table has.
pub(super) fn check(kafka: &Kafka, work: &Work, programs: &Programs) -> Result<BTreeMap<String, usize>> {
    let java = in_flink(kafka, work, programs, InFlink::Java)?;
    let ours = in_flink(kafka, work, programs, InFlink::Ours)?;
    let process = in_process(kafka, work, programs)?;
    same("ours in Flink", &ours, "the job in Java", &java)?;
    same("ours in one process", &process, "the job in Java", &java)?;
    let mut tables = BTreeMap::new();
    for row in java.keys() {
        let row: Value = serde_json::from_str(row)?;
        *tables.entry(row["table"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    Ok(tables)
}

fn in_flink(kafka: &Kafka, work: &Work, programs: &Programs, who: InFlink) -> Result<Rows> {
    let (flink, dir) = (cluster::builder().start()?, tempfile::tempdir()?);
    with_results(kafka, work, |work| {
        cluster::run(&flink, &work.submission(who, programs, dir.path())?)?;
        must_be_whole(dir.path())
    })
}

fn in_process(kafka: &Kafka, work: &Work, programs: &Programs) -> Result<Rows> {
    let dir = tempfile::tempdir()?;
    with_results(kafka, work, |work| {
        let output = work.process(programs, dir.path())?.output()?;
        ensure!(
            output.status.success(),
            "clickstream run failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        must_be_whole(dir.path())
    })
}

fn with_results(kafka: &Kafka, work: &Work, run: impl FnOnce(&Work) -> Result<()>) -> Result<Rows> {
    let results = unique_name("results");
    kafka.create_topics(&[(&results, 1)])?;
    run(&Work { results: Some(results.clone()), ..work.clone() })?;
    let mut rows = Rows::new();
    for line in topics::all(kafka.bootstrap(), &results)? {
        let row: Value = serde_json::from_str(&line)?;
        *rows.entry(row.to_string()).or_default() += 1;
    }
    Ok(rows)
}

// Late and broken events would be counted on one side and not on another.
fn must_be_whole(dir: &Path) -> Result<()> {
    let letters = std::fs::read_to_string(dir.join("dead-letter.jsonl")).unwrap_or_default();
    ensure!(letters.is_empty(), "there are dead letters: {}", letters.lines().next().unwrap_or_default());
    Ok(())
}

fn same(name: &str, rows: &Rows, other: &str, expected: &Rows) -> Result<()> {
    let differs = |rows: &Rows, others: &Rows| {
        rows.iter()
            .find(|(row, count)| others.get(*row) != Some(*count))
            .map(|(row, count)| format!("{count} x {row}"))
    };
    let (extra, missing) = (differs(rows, expected), differs(expected, rows));
    ensure!(
        extra.is_none() && missing.is_none(),
        "{name} has {} rows, {other} {}; only the first has {extra:?}, only the second {missing:?}",
        rows.len(),
        expected.len()
    );
    Ok(())
}
