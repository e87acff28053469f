//! Memory per key: users in an open window.

use std::time::Duration;

use anyhow::Result;
use millstream::RawBatch;
use millstream::prelude::*;
use millstream::runtime::{JobHandle, RuntimeOptions, start};
use millstream::time::MIN_TIME;

use crate::discard::Discard;
use crate::live::Live;
use crate::measure::{resident, wait};
use crate::report::Report;
use crate::{Arguments, jobs};

const EVENTS: f64 = 1_000_000.0;
const BATCH: u64 = 4096;
// 2017-11-26 01:00:00 UTC: all within one minute.
const TIME: i64 = 1_511_658_000_000;

/// Runs it.
pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let events = (EVENTS * arguments.scale) as u64;
    let few = memory_with(1000, events)?;
    let many = memory_with(events, events)?;
    report.line(format!("{events} events of 1,000 users in an open window    {} MiB", few >> 20));
    report.line(format!("{events} events of {events} users in an open window {} MiB", many >> 20));
    let per_key = (many.saturating_sub(few)) as f64 / (events - 1000) as f64;
    report.line(format!("bytes per key (9 bytes long) and count             {per_key:.1}"));
    Ok(())
}

// What the process holds when all events are in and the window is open.
fn memory_with(users: u64, events: u64) -> Result<u64> {
    let (input, source) = Live::new();
    let env = Environment::new("state");
    jobs::counts(&jobs::clicks(&env.source("lines", source), "userId")?)
        .sink_to("discard", Discard::new(jobs::count_of));
    let job = start(env.plan()?, RuntimeOptions::default())?;
    for first in (0..events).step_by(BATCH as usize) {
        input.give(batch(first..(first + BATCH).min(events), users));
        while arrived(&job) + 4 * BATCH < first {
            wait(Duration::from_millis(1));
        }
    }
    while arrived(&job) < events {
        wait(Duration::from_millis(1));
    }
    let memory = resident()?;
    job.stop();
    job.wait()?;
    Ok(memory)
}

fn batch(events: std::ops::Range<u64>, users: u64) -> RawBatch {
    let mut batch = RawBatch::new("live".into());
    for event in events {
        let user = 100_000_000 + event % users;
        let line = format!(
            "{{\"userId\":\"{user}\",\"behavior\":\"pv\",\"timestamp\":{}}}",
            TIME + (event % 50_000) as i64
        );
        batch.push(line.as_bytes(), event as i64, MIN_TIME);
    }
    batch
}

fn arrived(job: &JobHandle) -> u64 {
    let metrics = job.metrics();
    let counts = metrics.operators().filter(|(_, operator)| operator.name == "count");
    counts.map(|(_, operator)| operator.records_in.get()).sum()
}
