//! State files: how fast a checkpoint is written and restored, against the bare file system.

use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use millstream::checkpoint::Base;
use millstream::checkpoint::CheckpointKind;
use millstream::checkpoint::JobSnapshot;
use millstream::key::owned_groups;
use millstream::plan::{OperatorSpec, Plan, StageSpec};
use millstream::plan::{SubtaskId, subtasks};
use millstream::snapshot::{Emit, Frozen, FrozenState, TableSchema};
use millstream::time::{Clock, Nanos, Time};
use millstream_checkpoint::store::{CheckpointStore, ReadOptions, StoreOptions};
use millstream_storage::StorageOptions;
use tokio::runtime::Runtime;

use crate::Arguments;
use crate::measure::{Took, best_of, time};
use crate::report::Report;

const ENTRIES: f64 = 5_000_000.0;
const ENTRY_BYTES: usize = 40;
const GROUPS: u16 = 128;
const BEFORE: u16 = 2;
const AFTER: u16 = 3;

/// Runs it.
pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let entries = (ENTRIES * arguments.scale) as u64;
    let bytes = entries * ENTRY_BYTES as u64;
    let runtime = Runtime::new()?;
    let dir = tempfile::tempdir()?;
    let (_, bare_write) = best_of(arguments.runs, || time(|| write_bare(&dir.path().join("bare"), bytes)))?;
    let (_, bare_read) = best_of(arguments.runs, || time(|| Ok(fs::read(dir.path().join("bare"))?.len())))?;
    let (stored, wrote) = best_of(arguments.runs, || time(|| runtime.block_on(write(dir.path(), entries))))?;
    let (read, restored) = best_of(arguments.runs, || restore(&runtime, dir.path()))?;
    anyhow::ensure!(read == entries, "{read} of {entries} entries were restored");
    let speed = |took: &Took| bytes as f64 / took.wall.as_secs_f64() / 1e6;
    report.line(format!("{entries} entries of {ENTRY_BYTES} bytes, parallelism {BEFORE}, on the local disk"));
    report.line(format!("bytes at rest per byte of entries     {:.2}", stored as f64 / bytes as f64));
    report.line(format!("checkpoint written                    {:.0} MB/s", speed(&wrote)));
    report.line(format!("the same bytes, written and synced    {:.0} MB/s", speed(&bare_write)));
    report.line(format!("restored at parallelism {AFTER}             {:.0} MB/s", speed(&restored)));
    report.line(format!("the same bytes, read                  {:.0} MB/s", speed(&bare_read)));
    Ok(())
}

fn write_bare(path: &Path, bytes: u64) -> Result<()> {
    let piece: Vec<u8> = (0..1 << 20).map(|at: u32| at.wrapping_mul(2_654_435_761) as u8).collect();
    let mut file = File::create(path)?;
    for _ in 0..bytes / piece.len() as u64 {
        file.write_all(&piece)?;
    }
    Ok(file.sync_all()?)
}

async fn write(dir: &Path, entries: u64) -> Result<u64> {
    let (store, plan) = (store(dir)?, plan(BEFORE));
    let attempt = store.claim(Base::Latest).await?;
    let writer = attempt.checkpoint(attempt.next_checkpoint(), CheckpointKind::Checkpoint, &plan);
    let parts = subtasks(&plan).into_iter().map(|place| {
        let writer = writer.clone();
        tokio::spawn(async move { writer.part(place, frozen(place, entries)).await })
    });
    for part in parts.collect::<Vec<_>>() {
        part.await??;
    }
    let written = writer.finish(Vec::new()).await?;
    attempt.complete(&written, 1).await?;
    attempt.clean().await?;
    Ok(written.reference.bytes)
}

fn restore(runtime: &Runtime, dir: &Path) -> Result<(u64, Took)> {
    let attempt = runtime.block_on(store(dir)?.claim(Base::Latest))?;
    time(|| {
        let recovered = runtime.block_on(attempt.restore())?.context("a checkpoint")?;
        let plan = plan(AFTER);
        // As subtasks do: each on its own thread.
        std::thread::scope(|scope| {
            let count = |place| {
                scope.spawn({
                    let (snapshot, plan) = (&recovered.snapshot, &plan);
                    move || count(snapshot, plan, place)
                })
            };
            let threads: Vec<_> = subtasks(&plan).into_iter().map(count).collect();
            let counts = threads.into_iter().map(|thread| thread.join().expect("no panic"));
            counts.sum::<Result<u64>>()
        })
    })
}

fn count(snapshot: &JobSnapshot, plan: &Plan, place: SubtaskId) -> Result<u64> {
    let (mut count, restored) = (0, snapshot.restored(plan, place));
    for keyed in restored.keyed.values() {
        for part in &keyed.parts {
            part.entries(&keyed.owned, &mut |_, _, _| {
                count += 1;
                Ok(())
            })?;
        }
    }
    Ok(count)
}

fn store(dir: &Path) -> Result<CheckpointStore> {
    let (storage, read) = (StorageOptions::default(), ReadOptions::default());
    let options = StoreOptions { storage, savepoints: None, incremental: true, read, clock: Arc::new(Still) };
    Ok(CheckpointStore::open(&format!("file://{}", dir.display()), "bench", options)?)
}

fn frozen(place: SubtaskId, entries: u64) -> Frozen {
    let groups = owned_groups(place.subtask, GROUPS, BEFORE);
    let state = Counts { groups, entries: entries / u64::from(BEFORE) };
    Frozen { keyed: vec![("count".to_owned(), Box::new(state))], ..Frozen::default() }
}

fn plan(parallelism: u16) -> Plan {
    let name = "count".to_owned();
    let operator = OperatorSpec { name: name.clone(), kind: name.clone(), ..OperatorSpec::default() };
    let make = Arc::new(|| unreachable!("no stage runs here"));
    let stage = StageSpec { name, parallelism, operators: vec![operator], make, enumerator: None };
    Plan { name: "bench".to_owned(), key_groups: GROUPS, stages: vec![stage], edges: Vec::new() }
}

/// Entries like those of counts per user: a key, a window, a number.
struct Counts {
    groups: Range<u16>,
    entries: u64,
}

impl FrozenState for Counts {
    fn tables(&self) -> Vec<TableSchema> {
        vec![TableSchema { name: "windows".to_owned(), schema: "\"bytes\"".to_owned() }]
    }

    fn entries(&self, emit: &mut Emit<'_>) -> millstream::Result<()> {
        let mut entry = [0; ENTRY_BYTES];
        let groups = u64::from(self.groups.end - self.groups.start);
        for number in 0..self.entries {
            let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            entry[..8].copy_from_slice(&key.to_be_bytes());
            entry[16..24].copy_from_slice(&1_511_658_000_000_u64.to_le_bytes());
            entry[32..40].copy_from_slice(&(number % 1000).to_le_bytes());
            emit(self.groups.start + (key % groups) as u16, 0, &entry)?;
        }
        Ok(())
    }
}

/// Nothing here asks for the time.
struct Still;

impl Clock for Still {
    fn now(&self) -> Time {
        0
    }

    fn nanos(&self) -> Nanos {
        0
    }
}
