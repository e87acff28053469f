//! What a driver hands to a stage: once when it is opened, and anew with each call.

use std::ops::Range;
use std::sync::Arc;
use std::task::Waker;

use millstream_record::key_group::KeyGroup;

use crate::batch::{Batch, EdgeId};
use crate::io::Io;
use crate::metrics::{OperatorMetrics, SubtaskMetrics};
use crate::refusals::Refusals;
use crate::snapshot::Restored;
use crate::split::SplitId;
use crate::state_backend::{Scope, StateBackend};
use crate::step::Budget;
use crate::time::{Clock, Nanos, Time};
use crate::trouble::Reporter;
use crate::watermark::WatermarkEvent;

/// What a stage learns when it is opened.
pub struct OpenContext {
    /// The job's name.
    pub job: String,
    /// Which of the stage's subtasks this is.
    pub subtask: u16,
    /// How many subtasks the stage has.
    pub parallelism: u16,
    /// Key groups of the job.
    pub key_groups: u16,
    /// The key groups that this subtask owns.
    pub owned: Range<KeyGroup>,
    /// Number of this attempt to run the job; each attempt has a higher one.
    pub epoch: u64,
    /// By edge: how many routes it has. A keyed edge's route is a bundle of key groups, `owner(group, groups,
    /// routes)`.
    pub routes: Vec<(EdgeId, u16)>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Runs futures.
    pub io: Arc<dyn Io>,
    /// Wakes this subtask: its `resume` is called soon after.
    pub waker: Waker,
    /// Where this subtask counts.
    pub metrics: Arc<SubtaskMetrics>,
    /// Where keyed state lives.
    pub backend: Arc<dyn StateBackend>,
    /// What is left of the restored state; each operator takes its own.
    pub restored: Restored,
}

impl OpenContext {
    /// How many routes an edge has; 1 for an edge that the driver did not name.
    pub fn routes_of(&self, edge: EdgeId) -> u16 {
        self.routes.iter().find(|(id, _)| *id == edge).map_or(1, |(_, routes)| *routes)
    }

    /// Whose state an operator's is.
    pub fn scope_of(&self, operator: &str) -> Scope {
        Scope {
            job: self.job.clone(),
            operator: operator.to_owned(),
            subtask: self.subtask,
            epoch: self.epoch,
            key_groups: self.key_groups,
            owned: self.owned.clone(),
        }
    }

    /// The metrics of an operator that is being opened.
    pub fn metrics_of(&self, operator: &str) -> Arc<OperatorMetrics> {
        self.metrics.operator(operator)
    }

    /// Where failures and successes of something outside are reported, such as "Redis at redis://shop:6379":
    /// the log then has one line when it begins to fail and one when it is back, however many subtasks miss
    /// it.
    pub fn reporter_of(&self, subject: impl Into<String>) -> Reporter {
        self.metrics.troubles.reporter(subject)
    }

    /// Where the operator of this name counts its records and those that it refuses: the log then has one
    /// line when most are.
    pub fn refusals_of(&self, operator: &str) -> Refusals {
        self.metrics.troubles.refusals(operator)
    }

    /// The same for an operator that drops records and only counts them.
    pub fn drops_of(&self, operator: &str) -> Refusals {
        self.metrics.troubles.drops(operator)
    }
}

/// What leaves a stage in one call, in order.
pub enum Emitted {
    /// Records for one route.
    Batch(Batch),
    /// A watermark or a change of idleness, for every route of the edge.
    Watermark(EdgeId, WatermarkEvent),
}

/// What a stage may use during one call.
pub struct Context<'a> {
    clock: &'a dyn Clock,
    io: &'a Arc<dyn Io>,
    waker: &'a Waker,
    now: Time,
    /// What leaves the stage; the driver takes all of it after the call.
    pub emitted: Vec<Emitted>,
    /// When the youngest record of the work at hand entered the job.
    pub ingest: Nanos,
    /// Within a source's stage: the split that the records at hand come from.
    pub split: Option<SplitId>,
    /// How much one call may do before it answers *more*, for calls that are not handed a budget of their
    /// own.
    pub budget: Budget,
}

impl<'a> Context<'a> {
    /// A context for one call, or for several in a row; drivers make these.
    pub fn new(clock: &'a dyn Clock, io: &'a Arc<dyn Io>, waker: &'a Waker) -> Self {
        let (now, budget) = (clock.now(), Budget::default());
        Self { clock, io, waker, now, emitted: Vec::new(), ingest: 0, split: None, budget }
    }

    /// Processing time, read once per call.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Monotonic time, read at once: for durations, never per record.
    pub fn nanos(&self) -> Nanos {
        self.clock.nanos()
    }

    /// Reads the clock again; drivers do so before each call.
    pub fn tick(&mut self) {
        self.now = self.clock.now();
    }

    /// Runs futures.
    pub fn io(&self) -> &Arc<dyn Io> {
        self.io
    }

    /// Wakes this subtask.
    pub fn waker(&self) -> &Waker {
        self.waker
    }
}
