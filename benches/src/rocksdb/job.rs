//! A job that counts each key, with its state on the heap and in RocksDB.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use millstream::plan::Plan;
use millstream::prelude::*;
use millstream::runtime::{Launch, ReadOptions, RuntimeOptions};
use millstream::state_backend::{RocksBackend, RocksOptions};
use tempfile::TempDir;

use crate::Arguments;
use crate::count_each::CountEach;
use crate::discard::Discard;
use crate::measure::{Took, best_of, time};
use crate::numbers::Numbers;
use crate::report::Report;

const KEYS: f64 = 1_000_000.0;
const PASSES: u64 = 3;

/// The job, and what comes out of it.
pub(super) fn plan(
    numbers: Numbers,
    timers: bool,
    parallelism: u16,
) -> millstream::Result<(Plan, Discard<u64>)> {
    let env = Environment::new("keys").with_parallelism(parallelism);
    let discard = Discard::new(|count: &u64| *count);
    env.source("numbers", numbers)
        .key_by(|number| *number)
        .process("count", move |states| CountEach::declare(states, timers))
        .sink_to("discard", discard.clone());
    Ok((env.plan()?, discard))
}

/// A launch with state in RocksDB below a folder.
pub(super) fn on_rocksdb(launch: Launch, folder: &Path, memory: u64) -> millstream::Result<Launch> {
    let options = RocksOptions { localdir: Some(folder.join("rocksdb")), memory };
    let backend = Arc::new(RocksBackend::new(&options)?);
    let read = ReadOptions {
        local: Some(backend.folder_for_restores()),
        natives: Some(backend.clone()),
        ..ReadOptions::default()
    };
    Ok(launch.with_backend(backend).with_native_files(read))
}

/// A launch with state on the heap that can read what another one kept in RocksDB.
#[cfg(test)]
pub(super) fn on_heap(launch: Launch, folder: &Path) -> Launch {
    let options = RocksOptions { localdir: Some(folder.join("rocksdb")), memory: 0 };
    let (local, reader) =
        (Some(folder.join("restored")), millstream::state_backend::RocksReader::new(options));
    launch.with_native_files(ReadOptions { local, natives: Some(Arc::new(reader)), ..ReadOptions::default() })
}

/// Runs it.
pub(super) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let keys = (KEYS * arguments.scale) as u64;
    report.line(format!("a job that counts {keys} keys {PASSES} times each, parallelism 1, no checkpoints"));
    let mut heap = None;
    for (name, memory) in
        [("heap", None), ("RocksDB, all in its cache", Some(2 << 30)), ("RocksDB, 64 MiB", Some(64 << 20))]
    {
        let (_, took) = best_of(arguments.runs, || once(keys, memory))?;
        let heap: &Took = heap.get_or_insert(took);
        report.line(format!(
            "{name:<34}{:>9.0} ns CPU{:>9.0} ns wall per record; throughput of heap's by CPU {:.2}",
            took.cpu_per(keys * PASSES),
            took.wall_per(keys * PASSES),
            heap.cpu.as_secs_f64() / took.cpu.as_secs_f64()
        ));
    }
    Ok(())
}

fn once(keys: u64, memory: Option<u64>) -> Result<((), Took)> {
    let folder = TempDir::new()?;
    let (plan, discard) = plan(Numbers { keys, passes: PASSES, ends: true, gate: None }, false, 1)?;
    let launch = Launch::new(plan, RuntimeOptions::default());
    let launch = match memory {
        Some(memory) => on_rocksdb(launch, folder.path(), memory)?,
        None => launch,
    };
    let took = time(|| Ok(launch.start()?.wait()?))?.1;
    let expected = (keys * PASSES, keys * (1..=PASSES).sum::<u64>());
    ensure!(discard.totals() == expected, "{:?} came out, {expected:?} expected", discard.totals());
    Ok(((), took))
}
