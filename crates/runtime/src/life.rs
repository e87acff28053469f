//! What outlives the attempts of a job: how it is doing, what it was told to do, what went wrong.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream_core::drive::checkpoint_stats::CheckpointHistory;
use millstream_core::time::Time;

use crate::setup::Setup;
use crate::shared::{Event, Failure, Shared};
use crate::status::{JobFailure, JobStatus};

/// How many failures are remembered, as in Flink (`web.exception-history-size`).
const REMEMBERED: usize = 16;

/// What somebody wants of the whole job; a stronger wish replaces a weaker one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wish {
    /// End in order.
    Stop,
    /// End at once, and say that it was cancelled.
    Cancel,
    /// End at once with an error.
    Abort(String),
}

/// A job from its first attempt to its last.
pub(crate) struct Life {
    pub(crate) setup: Arc<Setup>,
    pub(crate) started_at: Time,
    over: AtomicBool,
    now: Mutex<Now>,
    changed: Condvar,
}

struct Now {
    status: JobStatus,
    wish: Option<Wish>,
    attempt: Option<Arc<Shared>>,
    attempts: u64,
    epoch: u64,
    failures: VecDeque<JobFailure>,
    history: CheckpointHistory,
}

impl Life {
    pub(crate) fn new(setup: Setup) -> Self {
        let now = Now {
            status: JobStatus::Initializing,
            wish: None,
            attempt: None,
            attempts: 0,
            epoch: 0,
            failures: VecDeque::new(),
            history: CheckpointHistory::default(),
        };
        let started_at = setup.clock.now();
        Self {
            setup: Arc::new(setup),
            started_at,
            over: AtomicBool::new(false),
            now: Mutex::new(now),
            changed: Condvar::new(),
        }
    }

    /// An attempt begins; none where the job is to end instead.
    pub(crate) fn begin(&self, attempt: &Arc<Shared>) -> Option<Wish> {
        let mut now = self.lock();
        if now.wish.is_none() {
            now.attempt = Some(Arc::clone(attempt));
            now.attempts += 1;
            now.epoch = attempt.epoch;
        }
        now.wish.clone()
    }

    /// All subtasks of the attempt run.
    pub(crate) fn running(&self) {
        let mut now = self.lock();
        if now.wish.is_none() {
            now.status = JobStatus::Running;
        }
    }

    /// Something failed while an attempt ran.
    pub(crate) fn failing(&self) {
        let mut now = self.lock();
        if now.status == JobStatus::Running {
            now.status = JobStatus::Failing;
        }
    }

    /// The attempt is over.
    pub(crate) fn end_attempt(&self) {
        self.lock().attempt = None;
    }

    /// Remembers a failure.
    pub(crate) fn failed(&self, failure: &Failure) {
        let time = self.setup.clock.now();
        let mut now = self.lock();
        let error = failure.error.chain();
        let (kind, task, epoch) = (failure.error.kind(), failure.task.clone(), now.epoch);
        now.failures.push_front(JobFailure { time, error, kind, task, epoch });
        now.failures.truncate(REMEMBERED);
    }

    /// Waits before the next attempt; answers a wish at once when there is one.
    pub(crate) fn pause(&self, time: Duration) -> Option<Wish> {
        let mut now = self.lock();
        now.status = JobStatus::Restarting;
        let until = self.setup.clock.nanos().saturating_add(time.as_nanos() as u64);
        loop {
            let left = until.saturating_sub(self.setup.clock.nanos());
            if now.wish.is_some() || left == 0 {
                return now.wish.clone();
            }
            let waited = self.changed.wait_timeout(now, Duration::from_nanos(left));
            now = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Nothing more happens.
    pub(crate) fn end(&self, status: JobStatus) {
        let mut now = self.lock();
        now.status = status;
        now.attempt = None;
        self.over.store(true, Ordering::Release);
    }

    /// Takes a wish and sees to it.
    pub(crate) fn wish(&self, wish: Wish) {
        let mut now = self.lock();
        if now.status.is_over() || now.wish.as_ref().is_some_and(|before| *before >= wish) {
            return;
        }
        if let Some(attempt) = &now.attempt {
            match &wish {
                Wish::Stop => attempt.tell(Event::Stop),
                Wish::Cancel => attempt.abort("it was cancelled"),
                Wish::Abort(reason) => attempt.abort(reason),
            }
        }
        if wish == Wish::Cancel {
            now.status = JobStatus::Cancelling;
        }
        now.wish = Some(wish);
        self.changed.notify_all();
    }

    pub(crate) fn wished(&self) -> Option<Wish> {
        self.lock().wish.clone()
    }

    pub(crate) fn attempt(&self) -> Option<Arc<Shared>> {
        self.lock().attempt.clone()
    }

    pub(crate) fn status(&self) -> JobStatus {
        self.lock().status
    }

    pub(crate) fn attempts(&self) -> u64 {
        self.lock().attempts
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    pub(crate) fn failures(&self) -> Vec<JobFailure> {
        self.lock().failures.iter().cloned().collect()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Looks at the checkpoints' history or writes it on.
    pub(crate) fn history<T>(&self, with: impl FnOnce(&mut CheckpointHistory) -> T) -> T {
        with(&mut self.lock().history)
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
