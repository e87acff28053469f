//! What the operators of all windows do, as Flink's `WindowOperator`, whichever way the windows are kept.

use std::sync::Arc;

use millstream_record::{Data, Key, Result};
use millstream_stage::metrics::{OperatorMetrics, StateMetrics};
use millstream_stage::operator::SideTag;
use millstream_stage::plan::{Kept, KeyedSpec, StateSpec};
use millstream_stage::snapshot::{CheckpointId, Frozen, FrozenState, TableSchema};
use millstream_stage::time::Time;
use millstream_stage::{Budget, Context, OpenContext, Operator, Output, Rows, Step, WatermarkEvent};

use super::aligned::AlignedWindows;
use super::session::SessionWindows;
use crate::firing;
use crate::firing::Firing;
use crate::opened::Opened;
use crate::state::Meter;
use crate::table::WARM;

/// Windows that are the same for all keys: tumbling, sliding, cumulating and global ones, days and hours.
pub type WindowOperator<K, T, R, W, G, A, F> = KeyedWindows<AlignedWindows<K, T, R, W, G, A, F>>;

/// Windows that each key has for itself and that merge when they touch.
pub type SessionOperator<K, T, R, G, A, F> = KeyedWindows<SessionWindows<K, T, R, G, A, F>>;

/// How an operator keeps its windows: in which of them a record belongs, and what fires next.
pub trait WindowStore: Send + 'static {
    /// The key.
    type Key: Key;
    /// What comes in.
    type In: Data;
    /// What goes out.
    type Out: Data;

    /// What its snapshots consist of; the last table has the windows of each key.
    fn tables() -> Vec<TableSchema>;

    /// Reads the keys of a batch.
    fn keys(&self, records: &[Self::In], keys: &mut Vec<Self::Key>);

    /// The side output of records that come too late.
    fn late(&self) -> &SideTag<Self::In>;

    /// Refuses windows that cannot work, and takes the restored state.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration), and the errors of restored
    /// state and of the state backend.
    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()>;

    /// Above a cold store: brings the keys of a batch into memory.
    ///
    /// # Errors
    /// The errors of the state backend.
    fn load(&mut self, now: Time, rows: &Rows<Self::In>, hashes: &[u64], keys: &[Self::Key]) -> Result<()>;

    /// Brings what the next few records need into the processor's cache.
    fn warm(&self, _hashes: &[u64]) {}

    /// Adds a record; whether it was taken, or came too late.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for a record without an event
    /// time, and the errors of the state backend.
    fn add(
        &mut self,
        now: Time,
        record: (&Self::In, Time),
        key: (u64, &Self::Key),
        out: &mut Rows<Self::Out>,
    ) -> Result<bool>;

    /// Event time goes on.
    fn advance(&mut self, watermark: Time);

    /// Processing time goes on.
    fn tick(&mut self, _now: Time) {}

    /// Fires what comes next of all that is due, at most so many keys or timers, and says how many; `None` if
    /// nothing is left.
    ///
    /// # Errors
    /// The errors of the state backend.
    fn fire_next(&mut self, now: Time, most: usize, out: &mut Rows<Self::Out>) -> Result<Option<usize>>;

    /// Everything that was due has been fired.
    fn all_fired(&mut self, now: Time);

    /// Whether a snapshot would hold a window that was fired for some of its keys only.
    fn is_half_fired(&self) -> bool {
        false
    }

    /// The next time of the wall clock at which a window is to be asked.
    fn wake_at(&self) -> Option<Time>;

    /// Measures how large the state is.
    fn measure(&mut self, metrics: &StateMetrics);

    /// Above a cold store: writes back what there is much of, when no key is worked on.
    ///
    /// # Errors
    /// The errors of the state backend.
    fn settle(&mut self) -> Result<()>;

    /// The state as it is now.
    ///
    /// # Errors
    /// The errors of the state backend.
    fn freeze(&mut self, id: CheckpointId) -> Result<Box<dyn FrozenState>>;

    /// Frees everything.
    fn close(&mut self);
}

/// An operator of keyed windows.
pub struct KeyedWindows<S: WindowStore> {
    windows: S,
    opened: Opened<OpenWindows>,
    pending_watermark: Option<WatermarkEvent>,
    // Those of the batch at hand; the memory is used again.
    keys: Vec<S::Key>,
    meter: Meter,
}

struct OpenWindows {
    name: String,
    metrics: Arc<OperatorMetrics>,
    state_metrics: Arc<StateMetrics>,
}

impl<S: WindowStore> KeyedWindows<S> {
    pub(super) fn of(windows: S) -> Self {
        Self {
            windows,
            opened: Opened::default(),
            pending_watermark: None,
            keys: Vec::new(),
            meter: Meter::default(),
        }
    }

    /// What its snapshots consist of.
    pub fn tables() -> Vec<TableSchema> {
        S::tables()
    }

    fn state_name() -> String {
        S::tables().pop().map(|table| table.name).unwrap_or_default()
    }
}

impl<S: WindowStore> Firing<S::Out> for KeyedWindows<S> {
    fn pending_watermark(&mut self) -> &mut Option<WatermarkEvent> {
        &mut self.pending_watermark
    }

    fn fire_next(&mut self, now: Time, most: usize, out: &mut Output<S::Out>) -> Result<Option<usize>> {
        self.windows.fire_next(now, most, &mut out.rows)
    }

    fn settle(&mut self, now: Time) -> Result<()> {
        if self.meter.is_due(now) {
            self.windows.measure(&self.opened.get()?.state_metrics);
        }
        self.windows.settle()
    }

    fn all_fired(&mut self, now: Time) {
        self.windows.all_fired(now);
    }

    fn wake_at(&self) -> Option<Time> {
        self.windows.wake_at()
    }

    fn is_half_fired(&self) -> bool {
        self.windows.is_half_fired()
    }
}

impl<S: WindowStore> Operator for KeyedWindows<S> {
    type In = S::In;
    type Out = S::Out;

    fn keyed(&self) -> KeyedSpec {
        let state = StateSpec { name: Self::state_name(), kept: Kept::Window };
        KeyedSpec { tables: S::tables(), states: vec![state] }
    }

    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        self.windows.open(name, cx)?;
        let metrics = cx.metrics_of(name);
        let state_metrics = metrics.state(&Self::state_name());
        self.opened.open(OpenWindows { name: name.to_owned(), metrics, state_metrics });
        Ok(())
    }

    fn rows(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<S::In>,
        out: &mut Output<S::Out>,
    ) -> Result<Step> {
        let (now, metrics) = (cx.now(), &self.opened.get()?.metrics);
        self.keys.clear();
        self.windows.keys(&rows.rec, &mut self.keys);
        let (hashes, origins) = (std::mem::take(&mut rows.hash), std::mem::take(&mut rows.origins));
        self.windows.load(now, rows, &hashes, &self.keys)?;
        let mut records = rows.drain().enumerate();
        for (hashes, keys) in hashes.chunks(WARM).zip(self.keys.chunks(WARM)) {
            self.windows.warm(hashes);
            for (key, (index, (record, ts))) in hashes.iter().copied().zip(keys).zip(records.by_ref()) {
                if !self.windows.add(now, (&record, ts), key, &mut out.rows)? {
                    metrics.late.add(1);
                    out.side(self.windows.late()).push_of(record, ts, &origins, index);
                }
            }
        }
        self.settle(now)?;
        Ok(Step { wake_at: self.windows.wake_at(), ..Step::DONE })
    }

    fn on_watermark(
        &mut self,
        cx: &mut Context<'_>,
        watermark: WatermarkEvent,
        out: &mut Output<S::Out>,
    ) -> Result<Step> {
        if let WatermarkEvent::Watermark(time) = watermark {
            self.windows.advance(time);
        }
        firing::begin(self, cx, watermark, out)
    }

    fn resume(&mut self, cx: &mut Context<'_>, budget: Budget, out: &mut Output<S::Out>) -> Result<Step> {
        self.windows.tick(cx.now());
        firing::slice(self, cx.now(), budget, out)
    }

    // A window that fires in slices is fired to its end before the barrier: a snapshot holds no half-fired
    // window.
    fn prepare(&mut self, _: &mut Context<'_>, _: CheckpointId, _: &mut Output<S::Out>) -> Result<Step> {
        Ok(firing::before_barrier(self))
    }

    fn snapshot(&mut self, id: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        frozen.keyed.push((self.opened.get()?.name.clone(), self.windows.freeze(id)?));
        Ok(())
    }

    fn close(&mut self) {
        self.windows.close();
        self.opened.close();
    }
}
