//! RocksDB's options.

use std::sync::Arc;

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, CompactionDecision, DBCompressionType, DataBlockIndexType,
    LogLevel, Options, ReadOptions, WriteOptions,
};

use super::expiry::Expiry;
use super::memory::Memory;

/// Options of a database that only reads, and of single table files.
pub(crate) fn reading(memory: &Memory) -> Options {
    let mut options = Options::default();
    options.set_block_based_table_factory(&tables(memory));
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(1);
    options.set_stats_dump_period_sec(0);
    // Opening is part of every restore and of every read of a frozen state.
    options.set_skip_stats_update_on_db_open(true);
    options
}

/// Options of a database that runs.
pub(crate) fn running(memory: &Memory, expiry: Arc<Expiry>) -> Options {
    let mut options = reading(memory);
    options.create_if_missing(true);
    options.set_write_buffer_manager(&memory.memtables);
    options.set_write_buffer_size(memory.memtable);
    options.set_max_background_jobs(2);
    // A look-up of a new key need not search the memtable either, which is a walk through a million places in
    // memory.
    options.set_memtable_prefix_bloom_ratio(0.1);
    options.set_memtable_whole_key_filtering(true);
    // One thread writes to a database: its subtask's.
    options.set_allow_concurrent_memtable_write(false);
    // It is copied at every checkpoint.
    options.set_max_manifest_file_size(1 << 20);
    // Timers and windows come and go in the order of their keys: what a scan meets next must not be a heap of
    // tombstones.
    options.add_compact_on_deletion_collector_factory(1024, 512, 0.5);
    options.set_compaction_filter("millstream.expiry", move |_, key: &[u8], value: &[u8]| {
        if expiry.is_over(key, value) { CompactionDecision::Remove } else { CompactionDecision::Keep }
    });
    options
}

fn tables(memory: &Memory) -> BlockBasedOptions {
    let mut tables = BlockBasedOptions::default();
    tables.set_block_cache(&memory.blocks);
    // Within the budget like all else, and not the first to go.
    tables.set_cache_index_and_filter_blocks(true);
    tables.set_cache_index_and_filter_blocks_with_high_priority(true);
    tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // In pieces of a few KiB: whole ones are MiBs each, and a cache of some hundred MiB throws them out all
    // the time.
    tables.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    tables.set_partition_filters(true);
    tables.set_pin_top_level_index_and_filter(true);
    // Most look-ups of a new key find nothing: 1 % of them read a block.
    tables.set_bloom_filter(10.0, false);
    tables.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    tables
}

/// Options of writes, without a write-ahead log: a crash loses the local copy by design.
pub(crate) fn writing() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    // Batches are sorted.
    options.set_memtable_insert_hint_per_batch(true);
    options
}

/// Options of reading a whole range once.
pub(crate) fn once(from: &[u8], to: Option<&[u8]>) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.fill_cache(false);
    options.set_readahead_size(2 << 20);
    options.set_iterate_lower_bound(from);
    if let Some(to) = to {
        options.set_iterate_upper_bound(to);
    }
    options
}
