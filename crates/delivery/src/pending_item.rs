//! An item that was not acknowledged yet.

use millstream_stage::Version;
use millstream_stage::time::Nanos;

use crate::item::Item;
use crate::suspects::Suspicion;

/// An item, its version, and what has become of it so far.
#[derive(Debug)]
pub(crate) struct PendingItem<I> {
    /// What is to be written.
    pub(crate) item: I,
    /// The version of the write.
    pub(crate) version: Version,
    /// How many records it stands for; none when it was restored.
    pub(crate) rows: u64,
    /// When the oldest of them entered the job.
    pub(crate) ingest: Nanos,
    /// Since when it could have been sent.
    pub(crate) ready_at: Nanos,
    /// How often it was sent in vain.
    pub(crate) tries: u32,
    /// When it was first sent in vain.
    pub(crate) failed_at: Nanos,
    /// Whether it may itself be at fault.
    pub(crate) suspicion: Suspicion,
}

impl<I: Item> PendingItem<I> {
    /// An item for one record that entered the job at `ingest`.
    pub(crate) fn new(item: I, version: Version, ingest: Nanos, now: Nanos) -> Self {
        let suspicion = Suspicion::default();
        Self { item, version, rows: 1, ingest, ready_at: now, tries: 0, failed_at: 0, suspicion }
    }

    /// An item of a snapshot.
    pub(crate) fn restored(item: I, version: Version, now: Nanos) -> Self {
        Self { rows: 0, ..Self::new(item, version, now, now) }
    }

    /// How many rows are not written as long as it is not; a restored item stands for one.
    pub(crate) fn weight(&self) -> u64 {
        self.rows.max(1)
    }

    /// The memory that it holds, about.
    pub(crate) fn size(&self) -> usize {
        self.item.memory() + size_of::<Self>()
    }

    /// The higher version stays and stands for both.
    pub(crate) fn fold(self, other: Self) -> Self {
        let rows = self.rows + other.rows;
        let ingest = self.ingest.min(other.ingest);
        let ready_at = self.ready_at.min(other.ready_at);
        let tried = if self.tries > 0 { &self } else { &other };
        let (tries, failed_at) = (tried.tries, tried.failed_at);
        let newer = if self.version > other.version { self } else { other };
        Self { rows, ingest, ready_at, tries, failed_at, ..newer }
    }
}
