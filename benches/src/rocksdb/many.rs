//! Far more keys than the memory budget holds: they are counted under incremental checkpoints, then a second
//! run at another parallelism goes on from the last one, counts each again and fires a timer of each.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use millstream::checkpoint::{CheckpointHistory, CheckpointStats, CheckpointStatus};
use millstream::plan::Plan;
use millstream::runtime::{JobHandle, Launch, RuntimeOptions};
use tempfile::TempDir;

use super::job;
use crate::Arguments;
use crate::discard::Discard;
use crate::measure::{forget_peak, peak, time, wait};
use crate::numbers::Numbers;
use crate::report::Report;

const KEYS: f64 = 20_000_000.0;
const MEMORY: u64 = 512 << 20;

/// Runs it.
pub(super) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let keys = (KEYS * arguments.scale) as u64;
    let folder = TempDir::new()?;
    report.line(format!(
        "{keys} keys with a timer each, RocksDB with {} MiB for all state, incremental checkpoints every 10 s",
        MEMORY >> 20
    ));
    forget_peak()?;
    let on_rocksdb = |launch| job::on_rocksdb(launch, folder.path(), MEMORY);
    first(keys, folder.path(), &on_rocksdb, report)?;
    report.line(format!("  peak memory of the process {} MiB", peak()? >> 20));
    forget_peak()?;
    second(keys, folder.path(), &on_rocksdb, report)?;
    report.line(format!("  peak memory of the process {} MiB", peak()? >> 20));
    Ok(())
}

// Counts every key once, then ends as a job does that is cancelled: its checkpoint stays.
fn first(keys: u64, folder: &Path, backend: &Backend<'_>, report: &mut Report) -> Result<()> {
    let (running, took) = time(|| {
        let running = start(Numbers { keys, passes: 1, ..Numbers::default() }, 1, folder, backend)?;
        running.wait_for_rows(keys)?;
        Ok(running)
    })?;
    report.line(format!(
        "parallelism 1: {keys} new keys, {:.2} M records/s",
        keys as f64 / took.wall.as_secs_f64() / 1e6
    ));
    let (_, last) = time(|| Ok(running.job.control().checkpoint_now()?))?;
    let history = running.job.checkpoint_stats();
    ensure!(running.discard.totals() == (keys, keys), "{:?} came out", running.discard.totals());
    running.job.control().checkpoint_now()?;
    let nothing = running.job.checkpoint_stats();
    running.job.cancel();
    running.job.wait()?;
    report.line(format!("  the last checkpoint took {:.1} s", last.wall.as_secs_f64()));
    checkpoints(&history, report);
    if let Some(stats) = nothing.latest_completed {
        report.line(format!("  with no change: {}", row(&stats)));
    }
    Ok(())
}

// At twice the parallelism: every count must be 2, and every timer is still there.
fn second(keys: u64, folder: &Path, backend: &Backend<'_>, report: &mut Report) -> Result<()> {
    let numbers = Numbers { keys, passes: 2, ends: true, gate: None };
    let (running, started) = time(|| start(numbers, 2, folder, backend))?;
    report.line(format!("parallelism 2: restored and running after {:.1} s", started.wall.as_secs_f64()));
    let (totals, took) = time(|| {
        running.wait_for_rows(2 * keys)?;
        let history = running.job.checkpoint_stats();
        running.job.wait()?;
        checkpoints(&history, report);
        Ok(running.discard.totals())
    })?;
    let expected = (2 * keys, 2 * keys);
    ensure!(totals == expected, "{totals:?} rows and counts came out, {expected:?} expected");
    report.line(format!(
        "  {keys} keys counted again and {keys} timers fired, all right, {:.2} M records/s",
        2.0 * keys as f64 / took.wall.as_secs_f64() / 1e6
    ));
    Ok(())
}

/// Gives a launch its state backend.
pub(super) type Backend<'a> = dyn Fn(Launch) -> millstream::Result<Launch> + 'a;

pub(super) struct Running {
    pub(super) job: JobHandle,
    discard: Discard<u64>,
}

impl Running {
    pub(super) fn wait_for_rows(&self, rows: u64) -> Result<()> {
        while self.discard.totals().0 < rows {
            ensure!(!self.job.is_over(), "the job ended after {} rows", self.discard.totals().0);
            wait(Duration::from_millis(20));
        }
        Ok(())
    }
}

fn start(numbers: Numbers, parallelism: u16, folder: &Path, backend: &Backend<'_>) -> Result<Running> {
    let interval = Some(Duration::from_secs(10));
    begin(job::plan(numbers, true, parallelism)?, interval, folder, backend)
}

/// Starts a job with incremental checkpoints below a folder.
pub(super) fn begin(
    (plan, discard): (Plan, Discard<u64>),
    interval: Option<Duration>,
    folder: &Path,
    backend: &Backend<'_>,
) -> Result<Running> {
    let mut options = RuntimeOptions {
        checkpoints_dir: Some(format!("file://{}/checkpoints", folder.display())),
        incremental: true,
        ..RuntimeOptions::default()
    };
    options.checkpointing.interval = interval;
    Ok(Running { job: backend(Launch::new(plan, options))?.start()?, discard })
}

fn checkpoints(history: &CheckpointHistory, report: &mut Report) {
    let done = |stats: &&CheckpointStats| stats.status == CheckpointStatus::Completed;
    for stats in history.history.iter().filter(done).rev() {
        report.line(format!("  {}", row(stats)));
    }
}

fn row(stats: &CheckpointStats) -> String {
    let sync = stats.subtasks.iter().map(|subtask| subtask.sync).max().unwrap_or(0);
    format!(
        "checkpoint {:>3}: {:>6} MiB, of which {:>6} new; stood still for {sync} ms, complete after {} ms",
        stats.id,
        stats.bytes >> 20,
        stats.bytes_written >> 20,
        stats.end_to_end.unwrap_or(0)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // Less memory than one of the two needs, so that state and timers are read back from the files.
    #[test]
    fn state_and_timers_in_files_go_on_at_another_parallelism_and_on_the_heap() {
        let keys = 60_000;
        for on_heap in [false, true] {
            let folder = TempDir::new().unwrap();
            let mut report = Report::new("test");
            let on_rocksdb = |launch| job::on_rocksdb(launch, folder.path(), 0);
            first(keys, folder.path(), &on_rocksdb, &mut report).unwrap();
            if on_heap {
                let on_heap = |launch| Ok(job::on_heap(launch, folder.path()));
                second(keys, folder.path(), &on_heap, &mut report).unwrap();
            } else {
                second(keys, folder.path(), &on_rocksdb, &mut report).unwrap();
            }
        }
    }
}
