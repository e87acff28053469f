//! One process: it tries to run the job, attempt after attempt. An older one may live on beside it.

use std::sync::Arc;

use millstream_protocol::job_snapshot::JobSnapshot;
use millstream_protocol::log::{Append, Base, Change, CheckpointRef, Done, JobLog, LogRequest};
use millstream_protocol::restart_strategy::{FailureCause, RestartDecision, Restarts};
use millstream_record::{Error, ErrorKind, Result};
use millstream_stage::plan::Plan;
use millstream_stage::stage::End;
use millstream_stage::time::{Clock, Nanos, nanos};
use rand::RngExt;

use super::attempt::{Attempt, Went};
use super::shared_world::SharedWorld;
use crate::driven_writer::wrong;
use crate::world::Simulated;

/// How many entries of the log are kept before the last one: few, so that the numbers of the pruned come
/// free.
const KEPT: u64 = 6;

/// What came of a step.
pub(super) enum Progress {
    Did,
    /// Nothing can be done now.
    Idle,
    Over(End),
}

/// One process.
pub(super) struct Process {
    pub(super) plan: Plan,
    pub(super) world: Arc<Simulated>,
    restarts: Restarts,
    // By which its entries in the log are known.
    writer: String,
    at: At,
    /// A frozen process does nothing before this time.
    pub(super) frozen_until: Nanos,
}

enum At {
    /// Takes an epoch.
    Claiming(Append),
    /// Reads the checkpoint to go on from.
    Loading(JobLog, Option<CheckpointRef>),
    /// Retires the checkpoints that are given up, before it goes on from an older one.
    FallingBack(JobLog, Append, CheckpointRef),
    Running(Box<Attempt>),
    /// Until it tries again.
    Waiting(Nanos),
    Gone,
}

impl Process {
    pub(super) fn start(shared: &mut SharedWorld, plan: Plan) -> Self {
        let world = shared.world();
        let strategy = shared.chaos.restarts.clone();
        let restarts = Restarts::new(strategy.unwrap_or(RESTART_AT_ONCE));
        let writer = format!("{:032x}", shared.chance.random::<u128>());
        let claim = JobLog::claim(&writer, Base::Latest, shared.clock.now());
        let at = At::Claiming(claim.keeping(KEPT));
        Self { plan, world, restarts, writer, at, frozen_until: 0 }
    }

    /// Whether it holds an epoch and works.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.at, At::Running(_))
    }

    /// Does one thing, and deals with what fails as the job's strategy says.
    pub(super) fn step(&mut self, shared: &mut SharedWorld) -> Result<Progress> {
        self.step_once(shared).or_else(|error| self.failed(shared, error))
    }

    /// Does one thing; what fails is the end of it.
    pub(super) fn step_once(&mut self, shared: &mut SharedWorld) -> Result<Progress> {
        match std::mem::replace(&mut self.at, At::Gone) {
            At::Claiming(append) => self.claim(shared, append),
            At::Loading(log, from) => self.load(shared, log, from),
            At::FallingBack(log, append, to) => self.fall_back(shared, log, append, to),
            At::Running(mut attempt) => match attempt.step(shared) {
                Ok(Went::Over(end)) => {
                    attempt.close()?;
                    Ok(Progress::Over(end))
                }
                went => {
                    let went = went.map_err(|error| attempt.explain(shared, error));
                    self.at = At::Running(attempt);
                    went.map(|went| if matches!(went, Went::Idle) { Progress::Idle } else { Progress::Did })
                }
            },
            At::Waiting(until) if until <= shared.now() => {
                let claim = JobLog::claim_again(&self.writer, Base::Latest, shared.clock.now());
                self.at = At::Claiming(claim.keeping(KEPT));
                Ok(Progress::Did)
            }
            at @ (At::Waiting(_) | At::Gone) => {
                self.at = at;
                Ok(Progress::Idle)
            }
        }
    }

    /// For messages: where it stands.
    pub(super) fn describe(&self, shared: &SharedWorld) -> String {
        match &self.at {
            At::Running(attempt) => attempt.describe(shared),
            _ => format!("no attempt runs\n  what happened last:\n    {}\n  ", shared.last_events()),
        }
    }

    /// When it wants to go on, where time alone helps.
    pub(super) fn next_wake(&self) -> Option<Nanos> {
        let wake = match &self.at {
            At::Running(attempt) => attempt.next_wake(),
            At::Waiting(until) => Some(*until),
            At::Claiming(_) | At::Loading(..) | At::FallingBack(..) | At::Gone => None,
        };
        wake.map(|at| at.max(self.frozen_until))
    }

    fn claim(&mut self, shared: &mut SharedWorld, mut append: Append) -> Result<Progress> {
        match ask(shared, &mut append)? {
            None => self.at = At::Claiming(append),
            Some(done) => {
                let log = JobLog::new(done.entry);
                let from = log.last().latest().cloned();
                self.at = At::Loading(log, from);
            }
        }
        Ok(Progress::Did)
    }

    fn load(
        &mut self,
        shared: &mut SharedWorld,
        log: JobLog,
        from: Option<CheckpointRef>,
    ) -> Result<Progress> {
        let Some(from) = from else {
            // The one before had finished, and died before anybody heard of it.
            let finished = shared.storage.is_finished;
            return if finished { Ok(Progress::Over(End::Finished)) } else { self.run(shared, log, None) };
        };
        if shared.storage.is_away(&mut shared.chance) {
            self.at = At::Loading(log, Some(from));
            return Ok(Progress::Did);
        }
        match shared.storage.open(&from.path) {
            Ok(manifest) => self.run(shared, log, Some(&manifest.snapshot)),
            Err(why) => {
                let retained = log.last().retained.clone();
                let failure =
                    FailureCause::Restoring { kind: ErrorKind::Data, from: &from, retained: &retained };
                match self.restarts.on_failure(failure, shared.now(), 0.5) {
                    RestartDecision::FallBack { to, retire } => {
                        shared.tally.fallbacks += 1;
                        shared
                            .note(|| format!("{why}: goes back to checkpoint {}, retires {retire:?}", to.id));
                        let append = log.propose(Change::Retire(retire), 0).keeping(KEPT);
                        self.at = At::FallingBack(log, append, to);
                        Ok(Progress::Did)
                    }
                    verdict => Err(wrong(format!("{why}: {verdict:?}"))),
                }
            }
        }
    }

    fn fall_back(
        &mut self,
        shared: &mut SharedWorld,
        mut log: JobLog,
        mut append: Append,
        to: CheckpointRef,
    ) -> Result<Progress> {
        self.at = match ask(shared, &mut append)? {
            None => At::FallingBack(log, append, to),
            Some(done) => {
                log.stands(done.entry);
                At::Loading(log, Some(to))
            }
        };
        Ok(Progress::Did)
    }

    fn run(&mut self, shared: &mut SharedWorld, log: JobLog, from: Option<&JobSnapshot>) -> Result<Progress> {
        shared.tally.attempts += 1;
        let epoch = log.last().epoch;
        shared.note(|| format!("epoch {epoch} begins from {:?}", from.map(|from| from.checkpoint)));
        let attempt = Attempt::start(shared, &self.world, &self.plan, log, from)?;
        self.at = At::Running(Box::new(attempt));
        Ok(Progress::Did)
    }

    // A broken contract ends the simulation; what is left goes the way of every failure.
    fn failed(&mut self, shared: &mut SharedWorld, error: Error) -> Result<Progress> {
        let legacy = shared.chaos.restarts.is_none() && shared.tally.crashes >= shared.chaos.most_restarts;
        if matches!(error.kind(), ErrorKind::Bug | ErrorKind::Configuration | ErrorKind::Data) || legacy {
            return Err(error);
        }
        shared.note(|| format!("fails: {}", error.chain().lines().last().unwrap_or_default()));
        let random = shared.chance.random_range(0.0..1.0);
        match self.restarts.on_failure(FailureCause::Running(error.kind()), shared.now(), random) {
            RestartDecision::Restart { after } => {
                if shared.chaos.restarts.is_none() {
                    shared.tally.crashes += 1;
                }
                // The attempt is over; what it has sent may still arrive.
                if shared.chance.random_bool(0.5) {
                    self.world.executor().abandon();
                }
                self.at = At::Waiting(shared.now() + nanos(after));
                Ok(Progress::Did)
            }
            RestartDecision::End { why } => {
                self.at = At::Gone;
                Err(error.in_context(why))
            }
            RestartDecision::FallBack { .. } => Err(error),
        }
    }
}

const RESTART_AT_ONCE: millstream_protocol::checkpoint_options::RestartStrategy =
    millstream_protocol::checkpoint_options::RestartStrategy::FixedDelay {
        attempts: u32::MAX,
        delay: std::time::Duration::ZERO,
    };

/// Asks the storage once; what stands in the end, or that it is refused.
pub(super) fn ask(shared: &mut SharedWorld, append: &mut Append) -> Result<Option<Done>> {
    let answer = shared.storage.answer(&mut shared.chance, &append.ask());
    append.on(answer);
    match append.ask() {
        LogRequest::Done(done) => {
            shared.storage.prune(&done.prune);
            Ok(Some(done))
        }
        LogRequest::Refused(error) => Err(error),
        LogRequest::List | LogRequest::Read(_) | LogRequest::Create(..) => Ok(None),
    }
}
