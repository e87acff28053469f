//! What outlives the processes of a simulated job: its storage, the clock, chance, and what is told of it in
//! the end.

use std::collections::VecDeque;
use std::sync::Arc;

use millstream_protocol::checkpoint_options::{CheckpointOptions, RestartStrategy};
use millstream_protocol::checkpoint_stats::CheckpointKind;
use millstream_protocol::job_snapshot::JobSnapshot;
use millstream_protocol::log::{CheckpointRef, LogEntry, LogEvent};
use millstream_stage::time::{Clock, Nanos, nanos};
use rand::RngExt;

use super::Chance;
use super::broken::Broken;
use super::storage::{File, Manifest, Storage};
use crate::clock::VirtualClock;
use crate::world::Simulated;

/// How many of the last things that happened are told with an error.
const REMEMBERED: usize = 40;

/// What may go wrong, and how often.
#[derive(Clone, Debug)]
pub(super) struct Chaos {
    pub(super) checkpoint_every: Option<u64>,
    pub(super) checkpoints: CheckpointOptions,
    pub(super) restarts: Option<RestartStrategy>,
    pub(super) aborts: f64,
    pub(super) crashes: f64,
    pub(super) most_restarts: u64,
    pub(super) late_writes: bool,
    pub(super) rescale: Option<u16>,
    pub(super) stop_after: Option<u64>,
    pub(super) calm_after: Option<u64>,
    pub(super) most_steps: u64,
    /// How often a call of the storage goes wrong.
    pub(super) storage_faults: f64,
    /// How often a process that is taken for dead lives on.
    pub(super) zombies: f64,
    /// How often a subtask stands still for a while, or for ever.
    pub(super) slow: f64,
    /// How often somebody asks for a savepoint, or stops the job and starts it again.
    pub(super) requests: f64,
    /// How often the newest checkpoint is found damaged after a crash, where an older one is retained.
    pub(super) damage: f64,
    pub(super) broken: Option<Broken>,
    pub(super) trace: Option<fn(&str)>,
}

/// What happened to a job.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) attempts: u64,
    pub(super) checkpoints: u64,
    pub(super) failed_checkpoints: u64,
    pub(super) savepoints: u64,
    pub(super) crashes: u64,
    pub(super) fenced: u64,
    pub(super) stops: u64,
    pub(super) fallbacks: u64,
}

/// What all processes of a job share.
pub(super) struct SharedWorld {
    pub(super) clock: Arc<VirtualClock>,
    pub(super) chance: Chance,
    pub(super) chaos: Chaos,
    pub(super) storage: Storage,
    pub(super) steps: u64,
    pub(super) tally: Tally,
    /// The last checkpoint that was completed.
    pub(super) last: Option<JobSnapshot>,
    trace: VecDeque<String>,
}

impl SharedWorld {
    pub(super) fn new(clock: Arc<VirtualClock>, chance: Chance, chaos: Chaos) -> Self {
        let storage = Storage::new(chaos.storage_faults);
        let (tally, trace) = (Tally::default(), VecDeque::new());
        Self { clock, chance, chaos, storage, steps: 0, tally, last: None, trace }
    }

    pub(super) fn now(&self) -> Nanos {
        self.clock.nanos()
    }

    /// Whether nothing goes wrong any more.
    pub(super) fn is_calm(&self) -> bool {
        self.chaos.calm_after.is_some_and(|steps| self.steps >= steps)
    }

    /// Whether the job is to be stopped, for good.
    pub(super) fn is_to_stop(&self) -> bool {
        self.chaos.stop_after.is_some_and(|steps| self.steps >= steps)
    }

    /// A process with I/O of its own.
    pub(super) fn world(&mut self) -> Arc<Simulated> {
        Arc::new(Simulated::beside(&self.clock, self.chance.random()))
    }

    /// When a call of the storage can be answered: at once where it is without faults.
    pub(super) fn delay(&mut self) -> Nanos {
        if self.chaos.storage_faults == 0.0 {
            return self.now();
        }
        let timeout = nanos(self.chaos.checkpoints.timeout);
        let slow = !self.storage.is_calm && self.chance.random_ratio(1, 40);
        let most = if slow { timeout.saturating_mul(2).min(10_000_000_000) } else { 1_000_000 };
        self.now() + self.chance.random_range(0..=most)
    }

    /// Time goes on.
    pub(super) fn pass(&mut self, nanos: Nanos) {
        self.clock.advance_to(self.now() + nanos);
    }

    /// Remembers what happened, to tell it with an error.
    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        if self.trace.len() == REMEMBERED {
            self.trace.pop_front();
        }
        let what = what();
        if let Some(trace) = self.chaos.trace {
            trace(&format!("step {} at {:.3} ms: {what}", self.steps, self.now() as f64 / 1e6));
        }
        self.trace.push_back(what);
    }

    pub(super) fn last_events(&self) -> String {
        self.trace.iter().map(String::as_str).collect::<Vec<_>>().join("\n    ")
    }

    /// As if an earlier job had left this checkpoint.
    pub(super) fn begin_from(&mut self, snapshot: JobSnapshot) {
        let (id, epoch) = (snapshot.checkpoint, snapshot.epoch);
        let path = manifest_path(CheckpointKind::Checkpoint, id, epoch);
        let refers = std::iter::once(path.clone()).collect();
        let manifest = File::Manifest(Arc::new(Manifest { snapshot: snapshot.clone(), refers }));
        self.storage.put_for_sure(&path, manifest);
        let reference =
            CheckpointRef { id, epoch, kind: CheckpointKind::Checkpoint, path, time: 0, bytes: 0 };
        let entry = LogEntry {
            version: 1,
            number: 1,
            epoch,
            writer: "earlier".into(),
            time: 0,
            event: LogEvent::Completed,
            checkpoint: Some(id),
            next_checkpoint: id + 1,
            base: None,
            retained: vec![reference],
        };
        self.storage.create(1, &entry.encode());
        self.last = Some(snapshot);
    }
}

/// Where a snapshot's manifest is.
pub(super) fn manifest_path(kind: CheckpointKind, id: u64, epoch: u64) -> String {
    match kind {
        CheckpointKind::Savepoint => format!("savepoint-{id}-{epoch}/_metadata"),
        CheckpointKind::Checkpoint | CheckpointKind::Final => format!("chk-{id}-{epoch}/manifest"),
    }
}
