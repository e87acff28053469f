//! The state of a job across its attempts: its status, a requested termination, its failures and its
//! checkpoint history.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millstream_protocol::checkpoint_stats::CheckpointHistory;
use millstream_stage::plan::OperatorSpec;
use millstream_stage::stage::End;
use millstream_stage::time::{Nanos, Time, nanos};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::ask::{Ask, ReplyTo};
use crate::attempt_context::{AttemptContext, AttemptFailure, CoordinatorMessage};
use crate::report::{JobReport, OperatorReport, UnwrittenState};
use crate::setup::Setup;
use crate::status::{JobFailure, JobStatus};

/// How many failures are remembered, as in Flink (`web.exception-history-size`).
const REMEMBERED: usize = 16;
/// How much longer than its own time limits the end of a job may take.
const GRACE: Duration = Duration::from_secs(2);

/// A request to end the whole job; a stronger request replaces a weaker one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TerminationRequest {
    /// End in order.
    Stop,
    /// End at once, and say that it was cancelled.
    Cancel,
    /// End at once with an error.
    Abort(String),
}

/// A job from its first attempt to its last.
pub(crate) struct JobState {
    pub(crate) setup: Arc<Setup>,
    pub(crate) started_at: Time,
    pub(crate) began: Nanos,
    over: AtomicBool,
    now: Mutex<Now>,
    changed: Condvar,
}

struct Now {
    status: JobStatus,
    termination: Option<TerminationRequest>,
    attempt: Option<Arc<AttemptContext>>,
    // What was asked while no attempt ran; the next one hears of it.
    asked: Vec<(Ask, ReplyTo)>,
    attempts: u64,
    epoch: u64,
    failures: VecDeque<JobFailure>,
    history: CheckpointHistory,
    left: Option<UnwrittenState>,
    phase: Phase,
    // Whether an attempt has ever opened all its subtasks.
    has_run: bool,
    // When the termination was requested.
    termination_requested_at: Option<Nanos>,
    // Whether the sources of the present attempt were told to end.
    stopping: bool,
    // While the next attempt is waited for.
    next_attempt_at: Option<Time>,
}

/// How a wait for the job has ended.
pub(crate) enum Waited {
    /// What was waited for is there, or the job is over.
    Done,
    /// The wait was long enough.
    NotYet,
    /// The job's thread does not come back: the job is to end, and the thread waits for a storage or a broker
    /// that does not answer.
    Lost { termination: TerminationRequest, nothing_ran: bool },
}

/// How far the present attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It claims its epoch, finds its splits, opens its operators: nothing was read.
    Preparing,
    /// It runs.
    Running,
    /// It is over.
    Over,
}

impl JobState {
    pub(crate) fn new(setup: Setup) -> Self {
        let now = Now {
            status: JobStatus::Initializing,
            termination: None,
            attempt: None,
            asked: Vec::new(),
            attempts: 0,
            epoch: 0,
            failures: VecDeque::new(),
            history: CheckpointHistory::default(),
            left: None,
            phase: Phase::Preparing,
            has_run: false,
            termination_requested_at: None,
            stopping: false,
            next_attempt_at: None,
        };
        let (started_at, began) = (setup.clock.now(), setup.clock.nanos());
        Self {
            setup: Arc::new(setup),
            started_at,
            began,
            over: AtomicBool::new(false),
            now: Mutex::new(now),
            changed: Condvar::new(),
        }
    }

    /// An attempt begins; none where the job is to end instead.
    pub(crate) fn begin(&self, attempt: &Arc<AttemptContext>) -> Option<TerminationRequest> {
        let mut now = self.lock();
        now.stopping = false;
        if now.termination.is_none() {
            now.attempt = Some(Arc::clone(attempt));
            now.attempts += 1;
            now.epoch = attempt.epoch;
            now.asked.drain(..).for_each(|(ask, reply)| attempt.tell(CoordinatorMessage::Ask(ask, reply)));
        }
        now.termination.clone()
    }

    /// Asks the present attempt, or the next one where the job is starting. Where the job is over it asks
    /// none, which ends the wait for the answer.
    pub(crate) fn ask(&self, ask: Ask, reply: ReplyTo) {
        let mut now = self.lock();
        match now.attempt.clone() {
            Some(attempt) => attempt.tell(CoordinatorMessage::Ask(ask, reply)),
            None if self.over.load(Ordering::Acquire) => {}
            None => now.asked.push((ask, reply)),
        }
    }

    /// An attempt is being prepared: nothing of it runs.
    pub(crate) fn preparing(&self) {
        let mut now = self.lock();
        (now.phase, now.next_attempt_at) = (Phase::Preparing, None);
    }

    /// The sources of the attempt are told to end.
    pub(crate) fn stopping(&self) {
        self.lock().stopping = true;
    }

    /// All subtasks of the attempt run.
    pub(crate) fn running(&self) {
        let mut now = self.lock();
        now.phase = Phase::Running;
        now.has_run = true;
        self.changed.notify_all();
        if now.termination.is_none() {
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
        let mut now = self.lock();
        now.attempt = None;
        now.phase = Phase::Over;
    }

    /// The last attempt has left this to the next run of the job.
    pub(crate) fn left(&self, left: UnwrittenState) {
        self.lock().left = Some(left);
    }

    /// What the last attempt has left to the next run.
    pub(crate) fn what_is_left(&self) -> Option<UnwrittenState> {
        self.lock().left.clone()
    }

    /// Remembers a failure.
    pub(crate) fn failed(&self, failure: &AttemptFailure) {
        let time = self.setup.clock.now();
        let mut now = self.lock();
        let error = failure.error.chain();
        let (kind, task, epoch) = (failure.error.kind(), failure.task.clone(), now.epoch);
        now.failures.push_front(JobFailure { time, error, kind, task, epoch });
        now.failures.truncate(REMEMBERED);
    }

    /// Waits before the next attempt; returns at once when a termination is requested.
    pub(crate) fn pause(&self, time: Duration) -> Option<TerminationRequest> {
        let begins = self.setup.clock.now().saturating_add(time.as_millis() as Time);
        let mut now = self.lock();
        (now.status, now.next_attempt_at) = (JobStatus::Restarting, Some(begins));
        drop(now);
        self.rest(time)
    }

    /// Waits for this long; returns at once when a termination is requested.
    pub(crate) fn rest(&self, time: Duration) -> Option<TerminationRequest> {
        let mut now = self.lock();
        let until = self.setup.clock.nanos().saturating_add(nanos(time));
        loop {
            let left = until.saturating_sub(self.setup.clock.nanos());
            if now.termination.is_some() || left == 0 {
                return now.termination.clone();
            }
            self.changed.wait_for(&mut now, Duration::from_nanos(left));
        }
    }

    /// Nothing more happens.
    pub(crate) fn end(&self, status: JobStatus) {
        let mut now = self.lock();
        now.status = status;
        (now.attempt, now.next_attempt_at) = (None, None);
        now.asked.clear();
        self.over.store(true, Ordering::Release);
        self.changed.notify_all();
    }

    /// Waits for the end of the job.
    pub(crate) fn wait_for_the_end(&self) -> Waited {
        self.wait_until(None, |_| false)
    }

    /// Waits until all subtasks of an attempt run, for so long at the most.
    pub(crate) fn wait_for_the_start(&self, patience: Option<Duration>) -> Waited {
        let until = patience.map(|patience| self.setup.clock.nanos().saturating_add(nanos(patience)));
        self.wait_until(until, |now| now.has_run)
    }

    fn wait_until(&self, until: Option<Nanos>, done: impl Fn(&Now) -> bool) -> Waited {
        let mut now = self.lock();
        loop {
            if done(&now) || self.is_over() {
                return Waited::Done;
            }
            let lost = self.patience(&now);
            let time = self.setup.clock.nanos();
            if let Some((termination, _)) = lost.as_ref().filter(|(_, until)| *until <= time) {
                return Waited::Lost {
                    termination: termination.clone(),
                    nothing_ran: now.phase == Phase::Preparing,
                };
            }
            if until.is_some_and(|until| until <= time) {
                return Waited::NotYet;
            }
            let next = [until, lost.map(|(_, until)| until)].into_iter().flatten().min();
            let left = next.map_or(Duration::MAX, |next| Duration::from_nanos(next - time));
            self.changed.wait_for(&mut now, left);
        }
    }

    // The time by which a requested termination must be carried out.
    fn patience(&self, now: &Now) -> Option<(TerminationRequest, Nanos)> {
        let termination = now.termination.clone()?;
        let patience = match (&termination, now.phase) {
            (_, Phase::Preparing) => GRACE,
            (TerminationRequest::Stop, Phase::Running | Phase::Over) => {
                self.setup.options.stop_timeout + 2 * GRACE
            }
            (TerminationRequest::Cancel | TerminationRequest::Abort(_), Phase::Running | Phase::Over) => {
                3 * GRACE
            }
        };
        Some((termination, now.termination_requested_at?.saturating_add(nanos(patience))))
    }

    /// Records a termination request and passes it to the running attempt.
    pub(crate) fn request_termination(&self, termination: TerminationRequest) {
        let mut now = self.lock();
        if now.status.is_over() || now.termination.as_ref().is_some_and(|before| *before >= termination) {
            return;
        }
        if let Some(attempt) = &now.attempt {
            match &termination {
                TerminationRequest::Stop => attempt.tell(CoordinatorMessage::Stop),
                TerminationRequest::Cancel => attempt.abort("it was cancelled"),
                TerminationRequest::Abort(reason) => attempt.abort(reason),
            }
        }
        if termination == TerminationRequest::Cancel {
            now.status = JobStatus::Cancelling;
        }
        now.termination = Some(termination);
        now.termination_requested_at = Some(self.setup.clock.nanos());
        self.changed.notify_all();
    }

    pub(crate) fn termination(&self) -> Option<TerminationRequest> {
        self.lock().termination.clone()
    }

    pub(crate) fn status(&self) -> JobStatus {
        self.lock().status
    }

    pub(crate) fn is_stopping(&self) -> bool {
        let now = self.lock();
        !now.status.is_over() && (now.stopping || now.termination == Some(TerminationRequest::Stop))
    }

    pub(crate) fn next_attempt_at(&self) -> Option<Time> {
        self.lock().next_attempt_at
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

    /// What is known of the job at its end.
    pub(crate) fn report(&self, end: End, status: JobStatus) -> JobReport {
        let setup = &self.setup;
        let specs = setup.plan.stages.iter().flat_map(|stage| &stage.operators);
        let metrics: Vec<_> = setup.metrics.operators().map(|(_, metrics)| metrics).collect();
        let report = |spec: &OperatorSpec| {
            let same = metrics.iter().filter(|metrics| metrics.name == spec.name);
            same.fold(OperatorReport::new(spec), |report, metrics| report.with(metrics))
        };
        JobReport {
            job: setup.plan.name.clone(),
            end,
            status,
            attempts: self.attempts(),
            epoch: self.epoch(),
            left: self.what_is_left(),
            took: Duration::from_nanos(setup.clock.nanos().saturating_sub(self.began)),
            operators: specs.map(report).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock()
    }
}
