//! Lines as a source would have fetched them.

use millstream::RawBatch;
use millstream::connectors::generator::{Field, GeneratorOptions, ShopTraffic};
use millstream::time::MIN_TIME;

/// Messages in one fetched buffer, as many as the Kafka source takes in one call.
const BATCH: usize = 4096;

/// What is drawn, from `events` events of a busy shop: 10 fields and about 190 bytes per line, 10,000 events
/// per second of event time, up to 2 s out of order.
fn options(events: u64, splits: u16) -> GeneratorOptions {
    use Field::{Device, EventId, Ip, Page, Region};
    GeneratorOptions {
        count: Some(events),
        event_rate: Some(10_000.0),
        splits,
        disorder: std::time::Duration::from_secs(2),
        fields: vec![EventId, Page, Device, Region, Ip],
        ..GeneratorOptions::default()
    }
}

/// One JSON line after another, of one split.
pub(crate) fn lines(events: u64, splits: u16, split: u16) -> impl Iterator<Item = Vec<u8>> {
    let options = options(events, splits);
    let start = options.start(0);
    ShopTraffic::new(options.clone(), split, start).map(move |shot| {
        let mut line = Vec::with_capacity(256);
        shot.write(&options, &mut line);
        line
    })
}

/// By split, its buffers in order.
pub(crate) fn batches(events: u64, splits: u16) -> Vec<Vec<RawBatch>> {
    batches_of_size(events, splits, BATCH)
}

/// The same with so many messages in each buffer.
pub(crate) fn batches_of_size(events: u64, splits: u16, size: usize) -> Vec<Vec<RawBatch>> {
    (0..splits).map(|split| batches_of(events, splits, split, size)).collect()
}

fn batches_of(events: u64, splits: u16, split: u16, size: usize) -> Vec<RawBatch> {
    let mut batches = Vec::new();
    let mut lines = lines(events, splits, split).enumerate().peekable();
    while lines.peek().is_some() {
        let mut batch = RawBatch::with_capacity(split.to_string().into(), size * 200, size);
        for (position, line) in lines.by_ref().take(size) {
            batch.push(&line, position as i64, MIN_TIME);
        }
        batches.push(batch);
    }
    batches
}
