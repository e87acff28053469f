//! Checkpoints of a job whose queues are all full: a source that is never short of records, behind it two
//! stages that are far too slow.

use std::time::Duration;

use anyhow::{Context, Result};
use millstream::checkpoint::CheckpointStats;
use millstream::prelude::*;
use millstream::runtime::{RuntimeOptions, start};

use crate::Arguments;
use crate::discard::Discard;
use crate::measure::wait;
use crate::numbers::Numbers;
use crate::report::Report;

const PARALLELISM: u16 = 2;
const CHECKPOINTS: f64 = 20.0;

/// Runs it.
pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let wanted = (CHECKPOINTS * arguments.scale).max(3.0) as usize;
    report.line(format!(
        "{wanted} checkpoints, one after the other, of source, two slow stages and sink, each with {PARALLELISM} subtasks"
    ));
    report.line(format!("{:<28}{:>18}{:>20}{:>20}", "", "rows/s", "longest alignment", "longest checkpoint"));
    for (name, pause) in [("idle in between", None), ("every queue is full", Some(Duration::from_millis(1)))]
    {
        one(name, pause, wanted, report)?;
    }
    Ok(())
}

// A row in 64 takes `pause` in the first slow stage, and twice as long in the second.
fn one(name: &str, pause: Option<Duration>, wanted: usize, report: &mut Report) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let env = Environment::new("alignment").with_parallelism(PARALLELISM);
    let discard = Discard::new(|number: &u64| *number);
    // Without pauses it has read everything at once, and nothing flows any more.
    let passes = if pause.is_some() { 1 << 20 } else { 1 };
    let slow = move |times: u32| {
        move |number: u64| {
            if let Some(pause) = pause.filter(|_| number.is_multiple_of(64)) {
                wait(pause * times);
            }
            number
        }
    };
    env.source("numbers", Numbers { keys: 1 << 20, passes, ..Numbers::default() })
        .rebalance()
        .map("slow", slow(1))
        .rebalance()
        .map("slower", slow(2))
        .sink_to("discard", discard.clone());
    let options = RuntimeOptions {
        checkpoints_dir: Some(format!("file://{}", dir.path().display())),
        ..RuntimeOptions::default()
    };
    let job = start(env.plan()?, options)?;
    // Until all is full, or all is read.
    wait(Duration::from_secs(2));
    let (rows, mut taken) = (discard.totals().0, Vec::new());
    let ((), took) = crate::measure::time(|| {
        for _ in 0..wanted {
            job.control().checkpoint_now()?;
            taken.push(job.checkpoint_stats().latest_completed.context("a checkpoint")?);
        }
        Ok(())
    })?;
    let rows = discard.totals().0 - rows;
    job.cancel();
    // It ends as cancelled, which is what was asked for.
    let _ = job.wait();
    let alignment = taken.iter().map(longest_alignment).max().unwrap_or(0);
    let whole = taken.iter().filter_map(|stats| stats.end_to_end).max().unwrap_or(0);
    report.line(format!(
        "{name:<28}{:>18.0}{alignment:>17} ms{whole:>17} ms",
        rows as f64 / took.wall.as_secs_f64()
    ));
    Ok(())
}

fn longest_alignment(stats: &CheckpointStats) -> u64 {
    stats.subtasks.iter().map(|subtask| subtask.alignment).max().unwrap_or(0)
}
