//! Counting keys in a cold store of the RocksDB backend, against the same reads and writes on the bare
//! `rocksdb` crate.

use ::rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, Options, WriteBatch,
    WriteBufferManager, WriteOptions,
};
use anyhow::{Context, Result, ensure};
use hashbrown::HashMap;
use millstream::key::hash_bytes;
use millstream::state_backend::{Change, ColdStore, Scope, StateBackend};
use millstream::state_backend::{RocksBackend, RocksOptions};
use tempfile::TempDir;

use crate::Arguments;
use crate::measure::{Took, time};
use crate::report::Report;

const KEYS: f64 = 2_000_000.0;
const UPDATES: f64 = 2_000_000.0;
const BATCH: u64 = 1000;
// A third of what the keys take, so that reads reach the files.
const MEMORY: u64 = 64 << 20;

/// Runs it.
pub(super) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let work = Work { keys: (KEYS * arguments.scale) as u64, updates: (UPDATES * arguments.scale) as u64 };
    report.line(format!(
        "{} keys counted, then {} updates of keys at random in batches of {BATCH}: multi-get, add one, write; {} MiB",
        work.keys,
        work.updates,
        MEMORY >> 20
    ));
    report.line(format!(
        "{:<34}{:>14}{:>14}{:>14}{:>14}",
        "", "fill CPU ns", "fill wall ns", "CPU ns", "wall ns"
    ));
    let bare = work.best(arguments.runs, Bare::open)?;
    report.line(work.row("bare rocksdb crate", bare));
    let ours = work.best(arguments.runs, Backend::open)?;
    report.line(work.row("cold store of the backend", ours));
    let heap = work.best(arguments.runs, || Ok(Heap::default()))?;
    report.line(work.row("hash map", heap));
    let ratio = |of: fn(&Took) -> f64| of(&bare.1) / of(&ours.1);
    report.line(format!(
        "updates, throughput of the bare crate's: {:.2} by CPU, {:.2} by wall time (target 0.7)",
        ratio(|took| took.cpu.as_secs_f64()),
        ratio(|took| took.wall.as_secs_f64())
    ));
    Ok(())
}

/// What is done on each side.
#[derive(Clone, Copy)]
struct Work {
    keys: u64,
    updates: u64,
}

impl Work {
    fn best<S: Side>(&self, runs: usize, open: impl Fn() -> Result<S>) -> Result<(Took, Took)> {
        let mut best = self.once(open()?)?;
        for _ in 1..runs {
            let (fill, update) = self.once(open()?)?;
            best = (best.0.min(fill), best.1.min(update));
        }
        Ok(best)
    }

    fn once(&self, mut side: impl Side) -> Result<(Took, Took)> {
        let fill = time(|| {
            (0..self.keys).step_by(BATCH as usize).try_for_each(|first| count(&mut side, first, |n| n))
        })?;
        let keys = self.keys;
        let anywhere = |n: u64| hash_bytes(&n.to_be_bytes()) % keys;
        let update = time(|| {
            (0..self.updates).step_by(BATCH as usize).try_for_each(|first| count(&mut side, first, anywhere))
        })?;
        let total = side.total()?;
        ensure!(total == self.keys + self.updates, "{total} counted");
        Ok((fill.1, update.1))
    }

    fn row(&self, name: &str, (fill, update): (Took, Took)) -> String {
        let per = [(fill, self.keys), (update, self.updates)];
        let [(fill_cpu, fill), (cpu, wall)] =
            per.map(|(took, events)| (took.cpu_per(events), took.wall_per(events)));
        format!("{name:<34}{fill_cpu:>14.0}{fill:>14.0}{cpu:>14.0}{wall:>14.0}")
    }
}

/// Something that holds counts.
trait Side {
    /// Reads, gives each value to `next`, writes what it gives. A key comes once.
    fn update(&mut self, keys: &[[u8; 19]], next: fn(Option<&[u8]>) -> [u8; 16]) -> Result<()>;
    fn total(&mut self) -> Result<u64>;
}

fn count(side: &mut impl Side, first: u64, of: impl Fn(u64) -> u64) -> Result<()> {
    let mut keys: Vec<_> = (first..first + BATCH).map(|n| key(of(n))).collect();
    let all = keys.len();
    keys.sort_unstable();
    keys.dedup();
    side.update(&keys, |value| counted(value, 1))?;
    // What came twice is counted in a batch of its own.
    (keys.len()..all).try_for_each(|_| side.update(&keys[..1], |value| counted(value, 1)))
}

// The layout of keyed state: key group, table, hash of the key, key.
fn key(number: u64) -> [u8; 19] {
    let hash = hash_bytes(&number.to_be_bytes());
    let mut key = [0; 19];
    key[1] = (hash >> 40) as u8 & 127;
    key[3..11].copy_from_slice(&hash.to_be_bytes());
    key[11..].copy_from_slice(&number.to_be_bytes());
    key
}

// Expiry and count.
fn counted(value: Option<&[u8]>, more: u64) -> [u8; 16] {
    let mut next = [0; 16];
    next[..8].copy_from_slice(&i64::MAX.to_be_bytes());
    next[8..].copy_from_slice(&(value.map_or(0, count_in) + more).to_be_bytes());
    next
}

fn count_in(value: &[u8]) -> u64 {
    value.last_chunk().map_or(0, |count| u64::from_be_bytes(*count))
}

#[derive(Default)]
struct Heap(HashMap<[u8; 19], [u8; 16], foldhash::fast::RandomState>);

impl Side for Heap {
    fn update(&mut self, keys: &[[u8; 19]], next: fn(Option<&[u8]>) -> [u8; 16]) -> Result<()> {
        for key in keys {
            let value = self.0.entry(*key).or_default();
            *value = next(Some(value));
        }
        Ok(())
    }

    fn total(&mut self) -> Result<u64> {
        Ok(self.0.values().map(|value| count_in(value)).sum())
    }
}

struct Backend {
    store: Box<dyn ColdStore>,
    _dir: TempDir,
}

impl Backend {
    fn open() -> Result<Self> {
        let dir = TempDir::new()?;
        let options = RocksOptions { localdir: Some(dir.path().to_owned()), memory: MEMORY };
        let scope = Scope {
            job: "bench".into(),
            operator: "count".into(),
            subtask: 0,
            epoch: 1,
            key_groups: 128,
            owned: 0..128,
        };
        let opened = RocksBackend::new(&options)?.cold(&scope, &[])?;
        Ok(Self { store: opened.context("RocksDB has a cold store")?.store, _dir: dir })
    }
}

impl Side for Backend {
    fn update(&mut self, keys: &[[u8; 19]], next: fn(Option<&[u8]>) -> [u8; 16]) -> Result<()> {
        let asked: Vec<_> = keys.iter().map(<[u8; 19]>::as_slice).collect();
        let mut values = Vec::new();
        self.store.multi_get(&asked, &mut values)?;
        let puts = keys.iter().zip(&values);
        let mut puts =
            puts.map(|(key, value)| Change::Put(key.to_vec(), next(value.as_deref()).to_vec())).collect();
        Ok(self.store.write(&mut puts)?)
    }

    fn total(&mut self) -> Result<u64> {
        let (mut total, mut from) = (0, vec![0]);
        loop {
            let mut pairs = Vec::new();
            self.store.scan(&from..&[0xff], 10_000, &mut pairs)?;
            total += pairs.iter().map(|(_, value)| count_in(value)).sum::<u64>();
            let Some((mut last, _)) = pairs.pop() else { return Ok(total) };
            last.push(0);
            from = last;
        }
    }
}

/// The crate as somebody would use it who writes this loop by hand, with the same memory.
struct Bare {
    db: DB,
    writing: WriteOptions,
    _dir: TempDir,
}

impl Bare {
    fn open() -> Result<Self> {
        let dir = TempDir::new()?;
        let cache = Cache::new_lru_cache(MEMORY as usize / 2);
        let mut tables = BlockBasedOptions::default();
        tables.set_block_cache(&cache);
        tables.set_cache_index_and_filter_blocks(true);
        tables.set_bloom_filter(10.0, false);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_block_based_table_factory(&tables);
        let memtables =
            WriteBufferManager::new_write_buffer_manager_with_cache(MEMORY as usize / 4, false, cache);
        options.set_write_buffer_manager(&memtables);
        let family = ColumnFamilyDescriptor::new("default", options.clone());
        let db = DB::open_cf_descriptors(&options, dir.path(), [family])?;
        let mut writing = WriteOptions::default();
        writing.disable_wal(true);
        Ok(Self { db, writing, _dir: dir })
    }
}

impl Side for Bare {
    fn update(&mut self, keys: &[[u8; 19]], next: fn(Option<&[u8]>) -> [u8; 16]) -> Result<()> {
        let family = self.db.cf_handle("default").context("every database has it")?;
        let mut batch = WriteBatch::default();
        for (key, value) in keys.iter().zip(self.db.batched_multi_get_cf(family, keys, false)) {
            batch.put(key, next(value?.as_deref()));
        }
        Ok(self.db.write_opt(batch, &self.writing)?)
    }

    fn total(&mut self) -> Result<u64> {
        let mut pairs = self.db.raw_iterator();
        pairs.seek_to_first();
        let mut total = 0;
        while let Some(value) = pairs.value() {
            total += count_in(value);
            pairs.next();
        }
        Ok(pairs.status().map(|()| total)?)
    }
}

/// Whether the two agree on the layout that both are given.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_side_counts_alike() {
        let work = Work { keys: 5000, updates: 3000 };
        work.once(Bare::open().unwrap()).unwrap();
        work.once(Backend::open().unwrap()).unwrap();
        work.once(Heap::default()).unwrap();
    }
}
