//! The watermark that each key group has seen, which a snapshot keeps.

use std::collections::BTreeMap;
use std::ops::Range;

use millstream_record::key_group::{KeyGroup, key_group};
use millstream_record::record::{from_bytes, to_bytes};
use millstream_record::{Record, Result};
use millstream_stage::snapshot::{Emit, TableSchema};
use millstream_stage::time::{MIN_TIME, Time};

/// The entry that each key group has in a snapshot: after a restore a purged window must not come back to
/// life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Record)]
struct Watermark {
    watermark: Time,
}

/// What restored key groups had seen of the watermark, as far as this subtask has not caught up: a group that
/// was ahead does not fire again, and a window that it had dropped does not come back to life.
#[derive(Default)]
pub(crate) struct RestoredWatermarks(BTreeMap<KeyGroup, Time>);

impl RestoredWatermarks {
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) when the entry is none of a watermark.
    pub(crate) fn restore(&mut self, group: KeyGroup, entry: &[u8]) -> Result<()> {
        let Watermark { watermark } = from_bytes(entry)?;
        if watermark > MIN_TIME {
            self.0.insert(group, watermark);
        }
        Ok(())
    }

    pub(crate) fn of(&self, hash: u64, groups: u16) -> Time {
        if self.0.is_empty() { MIN_TIME } else { self.of_group(key_group(hash, groups)) }
    }

    fn of_group(&self, group: KeyGroup) -> Time {
        self.0.get(&group).copied().unwrap_or(MIN_TIME)
    }

    pub(crate) fn caught_up(&mut self, watermark: Time) {
        self.0.retain(|_, floor| *floor > watermark);
    }

    /// What all these groups have seen.
    pub(crate) fn lowest(&self, owned: &Range<KeyGroup>) -> Time {
        owned.clone().map(|group| self.of_group(group)).min().unwrap_or(MIN_TIME)
    }
}

/// The watermark of each owned key group as it is now.
pub(crate) struct GroupWatermarks(Vec<(KeyGroup, Time)>);

impl GroupWatermarks {
    pub(crate) fn new(
        owned: &Range<KeyGroup>,
        watermark: Time,
        restored_watermarks: &RestoredWatermarks,
    ) -> Self {
        Self(owned.clone().map(|group| (group, watermark.max(restored_watermarks.of_group(group)))).collect())
    }

    /// The table that they are in, which is an operator's first.
    pub(crate) fn table() -> TableSchema {
        TableSchema::of::<Watermark>("watermark")
    }

    pub(crate) fn entries(&self, emit: &mut Emit<'_>) -> Result<()> {
        self.0.iter().try_for_each(|(group, watermark)| {
            emit(*group, 0, &to_bytes(&Watermark { watermark: *watermark }))
        })
    }
}
