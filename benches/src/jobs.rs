//! The pipelines that are measured.

use std::collections::BTreeMap;

use compact_str::CompactString;
use millstream::RawBatch;
use millstream::json::{JsonDecoder, JsonOptions};
use millstream::prelude::*;

use crate::click::{Click, Counted};

/// Key, start, end and count of a window.
pub(crate) type Row = (CompactString, Time, Time, u64);

const MINUTE: Duration = Duration::from_secs(60);

/// The count that a row holds.
pub(crate) fn count_of(row: &Row) -> u64 {
    row.3
}

/// From lines to clicks with event times and watermarks.
pub(crate) fn clicks(lines: &DataStream<RawBatch>, key: &str) -> Result<DataStream<Click>> {
    let options = JsonOptions { fields: BTreeMap::from([("key".into(), key.into())]), ..Default::default() };
    let clicks = lines.decode("parse", JsonDecoder::<Click>::new(&options)?);
    let times = WatermarkStrategy::bounded_out_of_orderness(Duration::from_secs(5));
    Ok(clicks.filter("clicks", Click::counts).assign_timestamps_and_watermarks("times", times))
}

/// The mission's job: counts per key and minute.
pub(crate) fn counts(clicks: &DataStream<Click>) -> DataStream<Row> {
    clicks.key_by(|click| click.key.clone()).window(Tumbling::of(MINUTE)).aggregate(
        "count",
        Count,
        |key, window, count| (key.clone(), window.start, window.end, count),
    )
}

/// The same, folded within each batch before the exchange.
pub(crate) fn folded_counts(clicks: &DataStream<Click>) -> DataStream<Row> {
    let ones = clicks.map("ones", |click| Counted { key: click.key, count: 1 });
    ones.fold_batches("fold", |one| one.key.clone(), MINUTE, |sum, one| sum.count += one.count)
        .key_by(|counted| counted.key.clone())
        .window(Tumbling::of(MINUTE))
        .aggregate("count", Sum::of(|counted: &Counted| counted.count), |key, window, count| {
            (key.clone(), window.start, window.end, count as u64)
        })
}
