//! How event time is found in records.

use std::sync::Arc;
use std::time::Duration;

use millstream_stage::time::{Time, millis};

/// Reads a record's event time.
pub type TimestampFn<T> = Arc<dyn Fn(&T) -> Time + Send + Sync>;

/// Reads a watermark from a record that carries one.
pub type PunctuationFn<T> = Arc<dyn Fn(&T, Time) -> Option<Time> + Send + Sync>;

/// How event time is found in records, as Flink's `WatermarkStrategy`.
#[derive(Clone)]
pub struct WatermarkStrategy<T> {
    pub(super) timestamps: Option<TimestampFn<T>>,
    pub(super) progress: Progress<T>,
    pub(super) idleness: Option<Time>,
    pub(super) tolerance: Time,
}

#[derive(Clone)]
pub(super) enum Progress<T> {
    Bounded(Time),
    Punctuated(PunctuationFn<T>),
}

impl<T> WatermarkStrategy<T> {
    /// Records are at most this much out of order: the watermark is the highest time seen, less the bound,
    /// less 1 ms.
    pub fn bounded_out_of_orderness(bound: Duration) -> Self {
        Self::new(Progress::Bounded(millis(bound)))
    }

    /// Times within a split never fall.
    pub fn monotonous() -> Self {
        Self::bounded_out_of_orderness(Duration::ZERO)
    }

    /// Some records carry a watermark, for their split.
    pub fn punctuated(watermark: impl Fn(&T, Time) -> Option<Time> + Send + Sync + 'static) -> Self {
        Self::new(Progress::Punctuated(Arc::new(watermark)))
    }

    fn new(progress: Progress<T>) -> Self {
        Self { timestamps: None, progress, idleness: Some(30_000), tolerance: 60_000 }
    }

    /// Where the event time stands in a record; without this the decoder's time stays.
    #[must_use]
    pub fn with_timestamps(mut self, time: impl Fn(&T) -> Time + Send + Sync + 'static) -> Self {
        self.timestamps = Some(Arc::new(time));
        self
    }

    /// After how much silence a split no longer holds the watermark back; 30 s by default. Time spent
    /// back-pressured does not count, nor while its reader lags behind or its system cannot be reached. A
    /// split whose reader says that it is empty does not hold it at all. Zero is
    /// [`without_idleness`](Self::without_idleness), as in Flink's `table.exec.source.idle-timeout`.
    #[must_use]
    pub fn with_idleness(mut self, silence: Duration) -> Self {
        self.idleness = (!silence.is_zero()).then(|| millis(silence).max(1));
        self
    }

    /// A silent split holds the watermark back for ever, unless its reader knows that it never had a record.
    #[must_use]
    pub fn without_idleness(mut self) -> Self {
        self.idleness = None;
        self
    }

    /// How far a time may be ahead of the wall clock and still move its split's event time; 60 s by default.
    /// One wrong clock then closes no windows:
    ///
    /// - A time up to the wall clock always counts.
    /// - A time ahead of it, within the tolerance, counts where most of the split's recent times are ahead:
    ///   then this host's clock is the slow one. A single sender that is ahead of all others moves nothing.
    /// - A time beyond the tolerance never moves event time; its record goes on and is counted in its own
    ///   window. Where most of the split's recent times (of a hundred at least) are beyond it, event time
    ///   follows the wall clock, and the records' windows close when the wall clock has reached them.
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = millis(tolerance);
        self
    }
}
