//! The coordinator.

mod savepoint;

use std::collections::VecDeque;
use std::time::Duration;

use millstream_record::ErrorKind;
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::stage::End;
use millstream_stage::time::{Nanos, nanos};

use super::in_flight::{Doubt, InFlight, Step};
use super::messages::{AbortReason, CoordinatorDecision, CoordinatorEvent, Logged, Request};
use crate::checkpoint_options::CheckpointOptions;
use crate::checkpoint_stats::CheckpointKind;

/// What a stop does about sinks that do not write: their system is away, or slow.
///
/// Their records are in every snapshot, so that the job need not wait for them: a checkpoint takes them
/// along, and whoever goes on from it writes them. Only for jobs whose snapshots outlive the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopOptions {
    /// How long after a stop a checkpoint is taken instead of waiting on.
    pub flush: Duration,
    /// How long after that checkpoint sinks may still commit. What they do not commit then, a restart from
    /// the checkpoint does.
    pub commit: Duration,
}

/// When a final checkpoint that failed is tried again, where no interval says it.
const FINAL_RETRY: Duration = Duration::from_secs(1);

/// Decides about the snapshots of one attempt to run a job.
///
/// ```
/// use millstream_protocol::checkpoint_options::CheckpointOptions;
/// use millstream_protocol::checkpointing::{CheckpointCoordinator, CoordinatorDecision, CoordinatorEvent};
/// use std::time::Duration;
///
/// let options = CheckpointOptions { interval: Some(Duration::from_secs(1)), ..CheckpointOptions::default() };
/// let mut coordinator = CheckpointCoordinator::new(options, 1, 7);
/// assert_eq!(coordinator.on(CoordinatorEvent::Started, 0), []);
/// assert_eq!(coordinator.wake_at(), Some(1_000_000_000));
/// let decisions = coordinator.on(CoordinatorEvent::Tick, 1_000_000_000);
/// assert!(matches!(decisions[..], [CoordinatorDecision::Trigger { id: 7, .. }]));
/// ```
#[derive(Clone, Debug)]
pub struct CheckpointCoordinator {
    options: CheckpointOptions,
    phase: Phase,
    next: CheckpointId,
    in_flight: Option<InFlight>,
    requests: VecDeque<Request>,
    ended: Vec<Option<End>>,
    settled: Vec<bool>,
    /// When the next periodic checkpoint and savepoint are due.
    checkpoint_at: Option<Nanos>,
    savepoint_at: Option<Nanos>,
    /// Before this no periodic checkpoint begins.
    pause_until: Nanos,
    stop: Option<StopOptions>,
    /// The job is to stop: when a checkpoint is taken of what is not written by then.
    leave_at: Option<Nanos>,
    failures: u32,
    decisions: Vec<CoordinatorDecision>,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Not all subtasks run yet.
    Opening,
    Running,
    /// The sources end, for a savepoint that comes last.
    Draining {
        token: u64,
    },
    /// The last snapshot stands: subtasks end and settle.
    Leaving {
        finished: bool,
        until: Nanos,
        /// What is not done by then fails the job; else it is left to a restart.
        must: bool,
    },
    /// Everything is committed, and is to be logged.
    Finishing {
        doubt: Doubt,
        since: Nanos,
    },
    /// It failed, or ended.
    Over,
}

impl CheckpointCoordinator {
    /// For a job of so many subtasks whose next snapshot has this number.
    pub fn new(options: CheckpointOptions, subtasks: usize, next: CheckpointId) -> Self {
        Self {
            options,
            phase: Phase::Opening,
            next,
            in_flight: None,
            requests: VecDeque::new(),
            ended: vec![None; subtasks],
            settled: vec![false; subtasks],
            checkpoint_at: None,
            savepoint_at: None,
            pause_until: 0,
            stop: None,
            leave_at: None,
            failures: 0,
            decisions: Vec::new(),
        }
    }

    /// A stop does not wait for sinks that do not write.
    #[must_use]
    pub fn leaving_unwritten(self, options: StopOptions) -> Self {
        Self { stop: Some(options), ..self }
    }

    /// Takes what happened; gives what is to be done, in this order.
    pub fn on(&mut self, event: CoordinatorEvent, now: Nanos) -> Vec<CoordinatorDecision> {
        match event {
            CoordinatorEvent::Started => self.start(now),
            CoordinatorEvent::Tick => {}
            CoordinatorEvent::Requested(request) => self.requests.push_back(request),
            CoordinatorEvent::Frozen { id, subtask } => self.frozen(id, subtask),
            CoordinatorEvent::Declined { id, why } => self.give_up(id, &AbortReason::Declined(why), now),
            CoordinatorEvent::Written { id, result } => self.written(id, result, now),
            CoordinatorEvent::Logged { id, logged } => self.logged(id, logged, now),
            CoordinatorEvent::Ended { subtask, end } => {
                if let Some(ended) = self.ended.get_mut(subtask) {
                    ended.get_or_insert(end);
                }
            }
            CoordinatorEvent::Settled { subtask } => {
                if let Some(settled) = self.settled.get_mut(subtask) {
                    *settled = true;
                }
            }
            CoordinatorEvent::Stop => self.stop(now),
            CoordinatorEvent::FinishLogged(logged) => self.finish_logged(logged, now),
            CoordinatorEvent::Failed => self.fail(),
        }
        self.on_time(now);
        self.go_on(now);
        std::mem::take(&mut self.decisions)
    }

    /// When [`CoordinatorEvent::Tick`] is wanted, unless something happens before.
    pub fn wake_at(&self) -> Option<Nanos> {
        match &self.phase {
            Phase::Opening | Phase::Over => None,
            Phase::Leaving { until, .. } => Some(*until),
            Phase::Finishing { doubt, .. } => doubt.retry_at,
            Phase::Running | Phase::Draining { .. } => match &self.in_flight {
                Some(InFlight { step: Step::Logging(doubt), .. }) => doubt.retry_at,
                Some(in_flight) => {
                    let held_up = self.leave_at.zip(self.stop).filter(|_| in_flight.is_freezing());
                    let held_up = held_up.map(|(at, stop)| at.saturating_add(nanos(stop.commit)));
                    [in_flight.expires_at(self.options.timeout), held_up].into_iter().flatten().min()
                }
                None => self.next_periodic(),
            },
        }
    }

    /// The snapshot that is under way.
    pub fn in_flight(&self) -> Option<CheckpointId> {
        self.in_flight.as_ref().map(|in_flight| in_flight.id)
    }

    /// Whether operators will commit by the snapshot under way: then its log entry is a
    /// [`Complete`](crate::log::Change::Complete), else a [`Savepoint`](crate::log::Change::Savepoint).
    pub fn commits(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|in_flight| in_flight.commits)
    }

    /// The number that the next snapshot will have.
    pub fn next_id(&self) -> CheckpointId {
        self.next
    }

    fn start(&mut self, now: Nanos) {
        self.phase = Phase::Running;
        let after = |interval: Option<Duration>| Some(now.saturating_add(nanos(interval?)));
        self.checkpoint_at = after(self.options.interval);
        self.savepoint_at = after(self.options.savepoint_interval);
    }

    fn stop(&mut self, now: Nanos) {
        match &mut self.phase {
            Phase::Opening | Phase::Running => {
                self.leave_at = self.stop.map(|stop| now.saturating_add(nanos(stop.flush)));
                self.decisions.push(CoordinatorDecision::StopSources { drain: false });
            }
            Phase::Leaving { until, must, .. } => {
                if let Some(stop) = self.stop {
                    (*until, *must) = ((*until).min(now.saturating_add(nanos(stop.commit))), false);
                }
            }
            Phase::Draining { .. } | Phase::Finishing { .. } | Phase::Over => {}
        }
    }

    // What time alone brings about.
    fn on_time(&mut self, now: Nanos) {
        if let Phase::Finishing { doubt, .. } = &mut self.phase {
            if doubt.due(now) {
                self.decisions.push(CoordinatorDecision::LogFinish);
            }
            return;
        }
        if let Some(flush) = self.held_up_for(now) {
            let message = format!(
                "the job was to stop, and a sink held up its last checkpoint for {flush:?}: it goes on from the one before"
            );
            return self.fail_job(ErrorKind::Restart, message);
        }
        let Some(in_flight) = &mut self.in_flight else { return };
        let id = in_flight.id;
        if let Step::Logging(doubt) = &mut in_flight.step {
            if doubt.due(now) {
                self.decisions.push(CoordinatorDecision::Log(id));
            }
        } else if in_flight.expires_at(self.options.timeout).is_some_and(|at| at <= now) {
            self.give_up(id, &AbortReason::Expired(self.options.timeout), now);
        }
    }

    // How long sinks that must flush before a barrier have held up a stop, if that is too long.
    fn held_up_for(&self, now: Nanos) -> Option<Duration> {
        let (stop, leave_at) = (self.stop?, self.leave_at?);
        let freezing = self.in_flight.as_ref().is_some_and(InFlight::is_freezing);
        (freezing && leave_at.saturating_add(nanos(stop.commit)) <= now).then_some(stop.flush + stop.commit)
    }

    // What can begin now that nothing is under way.
    fn go_on(&mut self, now: Nanos) {
        match self.phase {
            Phase::Opening => return,
            Phase::Over | Phase::Leaving { .. } | Phase::Finishing { .. } => self.refuse_all(),
            Phase::Running | Phase::Draining { .. } => {}
        }
        if self.in_flight.is_some() {
            return;
        }
        match self.phase {
            Phase::Running => self.next_snapshot(now),
            Phase::Draining { token } if self.all_ended() => self.begin_drained(token, now),
            Phase::Leaving { finished, until, must } => self.leave(finished, until, must, now),
            _ => {}
        }
    }

    fn next_snapshot(&mut self, now: Nanos) {
        let ended = self.all_ended();
        if let Some(request) = self.requests.pop_front() {
            self.begin_requested(request, now);
        } else if ended {
            if now >= self.final_at() {
                self.trigger(CheckpointKind::Final, Last::Ended, None, now);
            }
        } else if self.leave_at.is_some_and(|at| at <= now) {
            self.trigger(CheckpointKind::Checkpoint, Last::Unwritten, None, now);
        } else if self.savepoint_at.is_some_and(|at| at <= now) {
            self.begin_periodic_savepoint(now);
        } else if self.periodic_checkpoint_at().is_some_and(|at| at <= now) {
            self.checkpoint_at = self.options.interval.map(|every| now.saturating_add(nanos(every)));
            self.trigger(CheckpointKind::Checkpoint, Last::No, None, now);
        }
    }

    fn trigger(&mut self, kind: CheckpointKind, last: Last, request: Option<u64>, now: Nanos) {
        let id = self.next;
        self.next += 1;
        let commits = savepoint::commits(kind, last);
        let step = Step::Freezing(vec![false; self.ended.len()]);
        let last_one = last != Last::No;
        self.in_flight = Some(InFlight { id, kind, commits, last: last_one, request, began: now, step });
        self.decisions.push(CoordinatorDecision::Trigger { id, kind, hold: last == Last::Held, request });
    }

    fn frozen(&mut self, id: CheckpointId, subtask: usize) {
        let Some(in_flight) = self.in_flight.as_mut().filter(|in_flight| in_flight.id == id) else { return };
        if in_flight.frozen(subtask) {
            in_flight.step = Step::Writing;
            self.decisions.push(CoordinatorDecision::Write(id));
        }
    }

    fn written(&mut self, id: CheckpointId, result: Result<(), String>, now: Nanos) {
        let writing =
            |in_flight: &&mut InFlight| in_flight.id == id && matches!(in_flight.step, Step::Writing);
        let Some(in_flight) = self.in_flight.as_mut().filter(writing) else { return };
        match result {
            Err(why) => self.give_up(id, &AbortReason::Write(why), now),
            Ok(()) => {
                in_flight.step = Step::Logging(Doubt::default());
                self.decisions.push(CoordinatorDecision::Log(id));
            }
        }
    }

    fn logged(&mut self, id: CheckpointId, logged: Logged, now: Nanos) {
        let logging = |in_flight: &&mut InFlight| in_flight.id == id && in_flight.is_in_doubt();
        let Some(in_flight) = self.in_flight.as_mut().filter(logging) else { return };
        match logged {
            Logged::Stands => self.complete(now),
            Logged::Fenced(message) => self.fail_job(ErrorKind::Fenced, message),
            // Nobody acts on a savepoint's entry, so that one may be given up.
            Logged::Unknown(why) if !in_flight.commits => {
                let request = in_flight.request;
                self.in_flight = None;
                self.abort(id, AbortReason::Log(why), request, now);
            }
            Logged::Unknown(why) => self.doubt(why, now),
        }
    }

    fn doubt(&mut self, why: String, now: Nanos) {
        let timeout = nanos(self.options.timeout);
        let Some(InFlight { step: Step::Logging(doubt), kind, .. }) = &mut self.in_flight else { return };
        doubt.persists(now);
        let counts = doubt.counted_at.is_none_or(|at| now.saturating_sub(at) >= timeout);
        // The savepoint of a stop counts here: its sources are held or have ended.
        if counts {
            doubt.counted_at = Some(now);
            let tolerated = *kind != CheckpointKind::Savepoint;
            self.count(&AbortReason::Log(why), tolerated);
        }
    }

    fn complete(&mut self, now: Nanos) {
        let Some(InFlight { id, kind, commits, last, request, .. }) = self.in_flight.take() else { return };
        self.failures = 0;
        self.pause(now);
        // First the end of the sources: what they would still read behind a savepoint that is the last would
        // be of no use.
        if last && !self.all_ended() {
            self.decisions.push(CoordinatorDecision::StopSources { drain: false });
        }
        self.decisions.push(CoordinatorDecision::Complete { id, commits, last, request });
        if last {
            self.phase = self.leaving(kind, now);
        }
    }

    fn leaving(&self, kind: CheckpointKind, now: Nanos) -> Phase {
        // Everything was read, or the job was drained: there is nothing that another attempt could go on
        // with.
        let finished = self.all_ended();
        let (patience, must) = match self.stop {
            // Its sinks have had no time to write yet.
            Some(stop) if kind == CheckpointKind::Savepoint => (stop.flush + stop.commit, false),
            Some(stop) if self.leave_at.is_some() => (stop.commit, false),
            _ => (self.options.timeout, true),
        };
        Phase::Leaving { finished, until: now.saturating_add(nanos(patience)), must }
    }

    fn give_up(&mut self, id: CheckpointId, reason: &AbortReason, now: Nanos) {
        let doomed = |in_flight: &mut InFlight| in_flight.id == id && !in_flight.is_in_doubt();
        let Some(in_flight) = self.in_flight.take_if(doomed) else { return };
        let InFlight { kind, request, .. } = in_flight;
        self.abort(id, reason.clone(), request, now);
        if let Phase::Draining { .. } = self.phase {
            self.drained_in_vain(reason);
        } else if kind != CheckpointKind::Savepoint {
            self.try_again_later(kind, now);
            self.count(reason, true);
        }
    }

    // Whoever stops waits for the last checkpoint alone.
    fn try_again_later(&mut self, kind: CheckpointKind, now: Nanos) {
        let soon = now.saturating_add(nanos(FINAL_RETRY));
        if self.leave_at.is_some() {
            self.leave_at = Some(soon);
        } else if kind == CheckpointKind::Final {
            let again = self.options.interval.map_or(soon, |interval| now.saturating_add(nanos(interval)));
            self.pause_until = self.pause_until.max(again);
        }
    }

    fn abort(&mut self, id: CheckpointId, reason: AbortReason, request: Option<u64>, now: Nanos) {
        self.pause(now);
        self.decisions.push(CoordinatorDecision::Abort { id, reason, request });
    }

    fn count(&mut self, reason: &AbortReason, tolerated: bool) {
        self.failures += u32::from(reason.counts());
        let most = if tolerated { self.options.tolerable_failed } else { 0 };
        if self.failures > most {
            let message = format!(
                "{} checkpoints in a row have failed, {most} are tolerated \
                 (execution.checkpointing.tolerable-failed-checkpoints); the last one: {reason}",
                self.failures
            );
            self.fail_job(ErrorKind::Restart, message);
        }
    }

    fn fail_job(&mut self, kind: ErrorKind, message: String) {
        if !matches!(self.phase, Phase::Over) {
            self.decisions.push(CoordinatorDecision::FailJob { kind, message });
            self.fail();
        }
    }

    fn fail(&mut self) {
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        let Some(in_flight) = self.in_flight.take() else {
            if let Phase::Draining { token } = phase {
                let why = "the job failed while it was drained: its log says why".to_owned();
                self.decisions.push(CoordinatorDecision::Refuse { token, why });
            }
            return;
        };
        let InFlight { id, request, .. } = in_flight;
        if in_flight.is_in_doubt() {
            // Its files must stay, its operators hear nothing: the next attempt reads in the log what became
            // of it.
            let why = "the job failed before it was known whether the snapshot stands";
            self.decisions
                .extend(request.map(|token| CoordinatorDecision::Refuse { token, why: why.into() }));
        } else {
            self.decisions.push(CoordinatorDecision::Abort { id, reason: AbortReason::JobFailed, request });
        }
    }

    fn leave(&mut self, finished: bool, until: Nanos, must: bool, now: Nanos) {
        if !self.all_ended() || self.settled.contains(&false) {
            if until <= now && !must {
                self.release();
            } else if until <= now {
                let message = format!(
                    "the last checkpoint stands, but not everything was committed by it within {:?} \
                     (execution.checkpointing.timeout): a restart from it goes on with that",
                    self.options.timeout
                );
                self.fail_job(ErrorKind::Restart, message);
            }
            return;
        }
        if finished && self.ended.iter().all(|end| *end == Some(End::Finished)) {
            self.phase = Phase::Finishing { doubt: Doubt::default(), since: now };
            self.decisions.push(CoordinatorDecision::LogFinish);
        } else {
            self.release();
        }
    }

    fn finish_logged(&mut self, logged: Logged, now: Nanos) {
        let timeout = nanos(self.options.timeout);
        let Phase::Finishing { doubt, since } = &mut self.phase else { return };
        match logged {
            Logged::Stands => self.release(),
            Logged::Fenced(message) => self.fail_job(ErrorKind::Fenced, message),
            Logged::Unknown(_) if now.saturating_sub(*since) < timeout => doubt.persists(now),
            Logged::Unknown(why) => {
                let message = format!("the job has finished, but that could not be logged: {why}");
                self.fail_job(ErrorKind::Restart, message);
            }
        }
    }

    fn release(&mut self) {
        self.phase = Phase::Over;
        self.decisions.push(CoordinatorDecision::Release);
    }

    fn refuse_all(&mut self) {
        let why = "the job has ended or failed: no snapshot can be taken";
        let refused = self.requests.drain(..);
        self.decisions.extend(
            refused.map(|Request { token, .. }| CoordinatorDecision::Refuse { token, why: why.to_owned() }),
        );
    }

    fn all_ended(&self) -> bool {
        self.ended.iter().all(Option::is_some)
    }

    fn pause(&mut self, now: Nanos) {
        self.pause_until = now.saturating_add(nanos(self.options.min_pause));
    }

    fn periodic_checkpoint_at(&self) -> Option<Nanos> {
        self.checkpoint_at.map(|at| at.max(self.pause_until))
    }

    // The first one at once; after a failure that is tolerated, later.
    fn final_at(&self) -> Nanos {
        match self.leave_at {
            _ if self.failures == 0 => 0,
            Some(at) => at,
            None => self.pause_until,
        }
    }

    fn next_periodic(&self) -> Option<Nanos> {
        if matches!(self.phase, Phase::Draining { .. }) {
            return None;
        }
        if self.all_ended() {
            return Some(self.final_at());
        }
        [self.periodic_checkpoint_at(), self.savepoint_at, self.leave_at].into_iter().flatten().min()
    }
}

/// Whether the job ends with a snapshot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    No,
    /// The sources are held until it stands, and stop then.
    Held,
    /// The sources have stopped; sinks have not written everything.
    Unwritten,
    /// All subtasks have ended.
    Ended,
}
