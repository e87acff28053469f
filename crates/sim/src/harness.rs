//! One subtask's place in a world: what it is opened with and called with.

use std::sync::Arc;
use std::task::Waker;

use millstream_record::Result;
use millstream_record::key_group::{DEFAULT_KEY_GROUPS, owned_groups};
use millstream_stage::Budget;
use millstream_stage::batch::EdgeId;
use millstream_stage::context::{Context, OpenContext};
use millstream_stage::io::Io;
use millstream_stage::metrics::SubtaskMetrics;
use millstream_stage::snapshot::Restored;
use millstream_stage::state_backend::{Heap, StateBackend};
use millstream_stage::time::{Clock, Time};

use crate::world::{Signal, World};

/// One subtask's place in a [`World`].
pub struct Harness {
    world: Arc<dyn World>,
    clock: Arc<dyn Clock>,
    io: Arc<dyn Io>,
    signal: Arc<Signal>,
    waker: Waker,
    subtask: u16,
    parallelism: u16,
    key_groups: u16,
    epoch: u64,
    routes: Vec<(EdgeId, u16)>,
    budget: Budget,
    restored: Restored,
    backend: Arc<dyn StateBackend>,
    metrics: Arc<SubtaskMetrics>,
}

impl Harness {
    /// Subtask 0 of 1, epoch 1, nothing to restore.
    pub fn new(world: Arc<dyn World>) -> Self {
        let signal = Arc::new(Signal::default());
        Self {
            clock: world.clock(),
            io: world.io(),
            world,
            waker: Waker::from(Arc::clone(&signal)),
            signal,
            subtask: 0,
            parallelism: 1,
            key_groups: DEFAULT_KEY_GROUPS,
            epoch: 1,
            routes: Vec::new(),
            budget: Budget::default(),
            restored: Restored::default(),
            backend: Arc::new(Heap),
            metrics: Arc::new(SubtaskMetrics::new("test", 0)),
        }
    }

    /// Another subtask.
    #[must_use]
    pub fn subtask(self, subtask: u16, parallelism: u16) -> Self {
        Self { subtask, parallelism, metrics: Arc::new(SubtaskMetrics::new("test", subtask)), ..self }
    }

    /// Another number of key groups.
    #[must_use]
    pub fn key_groups(self, key_groups: u16) -> Self {
        Self { key_groups, ..self }
    }

    /// Another attempt.
    #[must_use]
    pub fn epoch(self, epoch: u64) -> Self {
        Self { epoch, ..self }
    }

    /// By edge: how many routes it has.
    #[must_use]
    pub fn routes(self, routes: Vec<(EdgeId, u16)>) -> Self {
        Self { routes, ..self }
    }

    /// How much one call may do.
    #[must_use]
    pub fn budget(self, records: usize) -> Self {
        Self { budget: Budget { records }, ..self }
    }

    /// Where keyed state lives; on the heap unless it is said.
    #[must_use]
    pub fn backend(self, backend: Arc<dyn StateBackend>) -> Self {
        Self { backend, ..self }
    }

    /// What was in the snapshot.
    #[must_use]
    pub fn restored(self, restored: Restored) -> Self {
        Self { restored, ..self }
    }

    /// What a stage, a reader or a writer is opened with.
    pub fn open_context(&self) -> OpenContext {
        OpenContext {
            job: "test".to_owned(),
            subtask: self.subtask,
            parallelism: self.parallelism,
            key_groups: self.key_groups,
            owned: owned_groups(self.subtask, self.key_groups, self.parallelism),
            epoch: self.epoch,
            routes: self.routes.clone(),
            clock: Arc::clone(&self.clock),
            io: Arc::clone(&self.io),
            waker: self.waker.clone(),
            metrics: Arc::clone(&self.metrics),
            backend: Arc::clone(&self.backend),
            restored: self.restored.clone(),
        }
    }

    /// Makes one call, at the processing time that it is now.
    pub fn call<R>(&self, call: impl FnOnce(&mut Context<'_>) -> R) -> R {
        let mut cx = Context::new(self.clock.as_ref(), &self.io, &self.waker);
        cx.ingest = self.clock.nanos();
        cx.budget = self.budget;
        call(&mut cx)
    }

    /// Waits until the subtask was woken, or until this processing time.
    ///
    /// # Errors
    /// When neither will ever happen.
    pub fn wait(&self, until: Option<Time>) -> Result<()> {
        self.world.wait(&self.signal, until)
    }

    /// Whether the subtask was woken since the last time.
    pub fn take_wake(&self) -> bool {
        self.signal.take()
    }

    /// Whether the subtask was woken; the wake stays.
    pub fn is_woken(&self) -> bool {
        self.signal.is_given()
    }

    /// What the subtask has counted.
    pub fn metrics(&self) -> &Arc<SubtaskMetrics> {
        &self.metrics
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}
