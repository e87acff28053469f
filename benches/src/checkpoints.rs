//! What checkpoints cost: the same counting job without them, every 30 s and every second, with a million
//! keys on the heap.

use std::time::Duration;

use anyhow::Result;
use millstream::RawBatch;
use millstream::prelude::*;
use millstream::runtime::{JobHandle, RuntimeOptions, SystemClock, start};
use millstream::time::{Clock as _, MIN_TIME, nanos};

use crate::discard::Discard;
use crate::live::Live;
use crate::measure::{time, wait};
use crate::report::Report;
use crate::{Arguments, jobs};

const USERS: u64 = 1_000_000;
/// Seconds for which events are given, but as long at least as three checkpoints take.
const SECONDS: f64 = 20.0;
const BATCH: u64 = 4096;
// 2017-11-26 01:00:00 UTC: all within one minute, so that the window stays open.
const TIME: i64 = 1_511_658_000_000;

/// Runs it.
pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let batches: Vec<_> = (0..USERS).step_by(BATCH as usize).map(batch).collect();
    report.line(format!(
        "events of {USERS} users in an open window, as many as it takes; to a directory; best of {}",
        arguments.runs
    ));
    report.line(format!(
        "{:<14}{:>9}{:>9}{:>14}{:>14}{:>13}{:>14}{:>13}",
        "interval",
        "CPU ns",
        "wall ns",
        "CPU, of none",
        "wall, of none",
        "checkpoints",
        "longest pause",
        "MiB each"
    ));
    let mut none = None;
    for (name, interval) in [("none", None), ("30s", Some(30)), ("1s", Some(1))] {
        let mut best = once(&batches, arguments.scale, interval)?;
        for _ in 1..arguments.runs {
            let again = once(&batches, arguments.scale, interval)?;
            (best.cpu, best.wall) = (best.cpu.min(again.cpu), best.wall.min(again.wall));
            best.pause = best.pause.max(again.pause);
        }
        let yardstick = *none.get_or_insert((best.cpu, best.wall));
        report.line(best.row(name, yardstick));
    }
    Ok(())
}

struct Run {
    // Nanoseconds per event.
    cpu: f64,
    wall: f64,
    checkpoints: u64,
    // Milliseconds for which a subtask stood still to freeze its part.
    pause: u64,
    bytes: u64,
}

impl Run {
    fn row(&self, name: &str, none: (f64, f64)) -> String {
        format!(
            "{name:<14}{:>9.1}{:>9.1}{:>14.2}{:>14.2}{:>13}{:>11} ms{:>13.1}",
            self.cpu,
            self.wall,
            none.0 / self.cpu,
            none.1 / self.wall,
            self.checkpoints,
            self.pause,
            self.bytes as f64 / f64::from(1 << 20)
        )
    }
}

fn once(batches: &[RawBatch], scale: f64, interval: Option<u64>) -> Result<Run> {
    let dir = tempfile::tempdir()?;
    let (input, source) = Live::new();
    let env = Environment::new("checkpoints");
    jobs::counts(&jobs::clicks(&env.source("lines", source), "userId")?)
        .sink_to("discard", Discard::new(jobs::count_of));
    let mut options = RuntimeOptions {
        checkpoints_dir: Some(format!("file://{}", dir.path().display())),
        ..RuntimeOptions::default()
    };
    options.checkpointing.interval = interval.map(Duration::from_secs);
    let job = start(env.plan()?, options)?;
    let least = Duration::from_secs(interval.map_or(0, |interval| 3 * interval + interval / 2));
    let clock = SystemClock::new();
    let last = nanos(Duration::from_secs_f64(SECONDS * scale).max(least));
    let (events, took) = time(|| {
        let mut given = 0;
        for batch in batches.iter().cycle().take_while(|_| clock.nanos() < last) {
            input.give(batch.clone());
            given += BATCH;
            while arrived(&job) + 16 * BATCH < given {
                wait(Duration::from_micros(200));
            }
        }
        while arrived(&job) < given {
            wait(Duration::from_micros(200));
        }
        Ok(given)
    })?;
    let history = job.checkpoint_stats();
    job.cancel();
    // It ends as cancelled, which is what was asked for.
    let _ = job.wait();
    let subtasks = history.history.iter().flat_map(|stats| &stats.subtasks);
    Ok(Run {
        cpu: took.cpu_per(events),
        wall: took.wall_per(events),
        checkpoints: history.counts.completed,
        pause: subtasks.map(|subtask| subtask.sync).max().unwrap_or(0),
        bytes: history.latest_completed.map_or(0, |stats| stats.bytes),
    })
}

fn batch(first: u64) -> RawBatch {
    let mut batch = RawBatch::new("live".into());
    for event in first..first + BATCH {
        // Neighbours in a batch are no neighbours in memory.
        let user = 100_000_000 + event.wrapping_mul(7919) % USERS;
        let time = TIME + (event % 50_000) as i64;
        let line = format!("{{\"userId\":\"{user}\",\"behavior\":\"pv\",\"timestamp\":{time}}}");
        batch.push(line.as_bytes(), event as i64, MIN_TIME);
    }
    batch
}

fn arrived(job: &JobHandle) -> u64 {
    let metrics = job.metrics();
    let counts = metrics.operators().filter(|(_, operator)| operator.name == "count");
    counts.map(|(_, operator)| operator.records_in.get()).sum()
}
