//! How much an incremental checkpoint writes, by how much has changed since the last one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{job, many};
use crate::Arguments;
use crate::measure::wait;
use crate::numbers::Numbers;
use crate::report::Report;

const KEYS: f64 = 4_000_000.0;
/// Shares of the keys that change, in thousandths.
const CHANGES: [u64; 5] = [0, 1, 10, 100, 1000];

/// Runs it.
pub(super) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let keys = (KEYS * arguments.scale) as u64;
    let folder = TempDir::new()?;
    let gate = Arc::new(AtomicU64::new(keys));
    let numbers = Numbers { keys, passes: 3, gate: Some(Arc::clone(&gate)), ..Numbers::default() };
    let backend = |launch| job::on_rocksdb(launch, folder.path(), 512 << 20);
    let running = many::begin(job::plan(numbers, false, 1)?, None, folder.path(), &backend)?;
    running.wait_for_rows(keys)?;
    // What is compacted of the many files of the beginning is no change.
    wait(Duration::from_secs(5));
    running.job.control().checkpoint_now()?;
    report.line(format!("incremental checkpoints of {keys} keys, by how many changed since the last one"));
    for change in CHANGES {
        let changed = keys * change / 1000;
        let upto = gate.fetch_add(changed, Relaxed) + changed;
        running.wait_for_rows(upto)?;
        running.job.control().checkpoint_now()?;
        let stats = running.job.checkpoint_stats().latest_completed.context("a checkpoint")?;
        let (written, all) = (stats.bytes_written as f64, stats.bytes as f64);
        let each = if changed == 0 {
            String::new()
        } else {
            format!(", {:.0} bytes per changed key", written / changed as f64)
        };
        report.line(format!(
            "{:>7.1} %{:>12.1} KiB written of {:.1} MiB{each}",
            change as f64 / 10.0,
            written / 1024.0,
            all / f64::from(1 << 20)
        ));
    }
    running.job.cancel();
    // It ends as cancelled, which is what was asked for.
    let _ = running.job.wait();
    Ok(())
}
