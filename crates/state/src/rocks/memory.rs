//! One memory budget for all databases of the process and for the tables above them.
//!
//! An eighth goes to the write-back caches of the tables; three to RocksDB's block cache, in which indexes,
//! filters and the memtables (at most an eighth of the budget) are counted as well. The other half is left
//! for what RocksDB counts nowhere: compactions, iterators, restores, and the allocator's own losses;
//! measured with 20 million keys (`cargo xtask bench keys`).

use millstream_stage::state_backend::Scope;
use rocksdb::{Cache, LruCacheOptions, WriteBufferManager};

// Less than this and memtables are flushed as files of a few KiB.
const LEAST: u64 = 16 << 20;

/// What all databases share.
pub(crate) struct Memory {
    pub(crate) blocks: Cache,
    pub(crate) memtables: WriteBufferManager,
    /// Bytes of one memtable.
    pub(crate) memtable: usize,
    tables: u64,
}

impl Memory {
    /// Shares out `budget` bytes; a smaller one than 16 MiB counts as that.
    pub(crate) fn new(budget: u64) -> Self {
        let budget = budget.max(LEAST);
        // In 16 shards: few threads use it, and in more of them a small budget leaves no room for a large
        // block.
        let mut lru = LruCacheOptions::default();
        lru.set_capacity((budget / 8 * 3) as usize);
        lru.set_num_shard_bits(4);
        let blocks = Cache::new_lru_cache_opts(&lru);
        // Never stalls the writer: a stage must not wait; RocksDB flushes earlier instead.
        let memtables = WriteBufferManager::new_write_buffer_manager_with_cache(
            (budget / 8) as usize,
            false,
            blocks.clone(),
        );
        Self { blocks, memtables, memtable: (budget / 32).min(64 << 20) as usize, tables: budget / 8 }
    }

    /// Bytes for the tables of one operator and subtask, when so many keyed operators share the process.
    pub(crate) fn tables_of(&self, scope: &Scope, operators: u64) -> usize {
        let share = self.tables / operators.max(1) * scope.owned.len() as u64;
        (share / u64::from(scope.key_groups.max(1))) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subtasks_of_all_operators_share_an_eighth() {
        let memory = Memory::new(512 << 20);
        let scope = |subtask: u16| Scope {
            job: "job".into(),
            operator: "count".into(),
            subtask,
            epoch: 1,
            key_groups: 128,
            owned: subtask * 32..subtask * 32 + 32,
        };
        let all: usize = (0..4).map(|subtask| memory.tables_of(&scope(subtask), 2)).sum();
        assert_eq!(all * 2, 64 << 20);
    }
}
