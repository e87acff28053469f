//! Runs a job as a sequence of attempts: claims an epoch, restores, runs, and after a failure decides whether
//! there is a next one.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use millstream_protocol::log::CheckpointRef;
use millstream_protocol::restart_strategy::{FailureCause, RestartDecision, Restarts};
use millstream_record::{Error, ErrorKind, Result};
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::stage::End;
use millstream_stage::trouble::{Say, Trouble, rounded};

use crate::attempt_context::{AttemptContext, AttemptFailure};
use crate::checkpoint_storage::{CheckpointStorage, CompletedCheckpointStore};
use crate::coordinator::{self, Begin, Ending};
use crate::job_state::{JobState, TerminationRequest};
use crate::panics::guarded;
use crate::patiently::patiently;
use crate::report::JobReport;
use crate::status::JobStatus;

/// How a job ended.
pub(crate) type JobOutcome = Result<JobReport>;

/// Runs a job to its end.
pub(crate) fn run(state: &Arc<JobState>, storage: Box<dyn CheckpointStorage>) -> JobOutcome {
    let options = &state.setup.options;
    let strategy = options.restart.resolved(options.checkpointing.interval.is_some());
    let mut supervisor = Supervisor {
        state,
        storage,
        restarts: Restarts::new(strategy),
        restoring: None,
        given_up: Vec::new(),
        outage: Outage::default(),
    };
    let ended = guarded("the job's supervisor", || supervisor.run());
    let (end, status) = match &ended {
        Ok(Ended::By(Ending { end, with_savepoint: true })) => (*end, JobStatus::Finished),
        Ok(Ended::By(Ending { end: End::Finished, .. })) => (End::Finished, JobStatus::Finished),
        Ok(Ended::By(Ending { end: End::Stopped, .. })) => (End::Stopped, JobStatus::Suspended),
        Ok(Ended::Cancelled) => (End::Stopped, JobStatus::Canceled),
        Err(_) => (End::Stopped, JobStatus::Failed),
    };
    if matches!(status, JobStatus::Canceled | JobStatus::Failed) {
        supervisor.storage.ended(&state.setup, status == JobStatus::Canceled);
    }
    state.end(status);
    ended.map(|_| state.report(end, status))
}

struct Supervisor<'a> {
    state: &'a Arc<JobState>,
    storage: Box<dyn CheckpointStorage>,
    restarts: Restarts,
    // What the present attempt goes on from, until it runs.
    restoring: Option<(CheckpointRef, Arc<dyn CompletedCheckpointStore>)>,
    // Checkpoints that turned out to be damaged.
    given_up: Vec<CheckpointId>,
    outage: Outage,
}

/// What the log says of attempts that fail one after the other: each new reason, the same one now and then,
/// and that the job runs again.
#[derive(Default)]
struct Outage {
    trouble: Trouble,
    last: String,
}

impl Outage {
    fn failed(&mut self, state: &JobState, error: &Error, pause: Duration) {
        let reason = error.chain();
        let due = self.trouble.failed(state.setup.clock.nanos()).is_some();
        if due || reason != self.last {
            let (number, time) = (state.attempts() + 1, humantime::format_duration(pause));
            tracing::warn!("{reason}; attempt {number} begins in {time}");
        }
        self.last = reason;
    }

    fn over(&mut self, state: &JobState) {
        if let Some(Say::Over { lasted, .. }) = self.trouble.recovered(state.setup.clock.nanos()) {
            let (job, number) = (&state.setup.plan.name, state.attempts());
            tracing::info!("job `{job}` runs again after {}, with attempt {number}", rounded(lasted));
        }
    }
}

enum Ended {
    By(Ending),
    Cancelled,
}

impl Supervisor<'_> {
    fn run(&mut self) -> Result<Ended> {
        loop {
            let failure = match self.attempt() {
                Ok(ended) => return Ok(ended),
                Err(failure) => *failure,
            };
            if let Some(ended) = self.after(failure)? {
                return Ok(ended);
            }
        }
    }

    // What follows a failure: the next attempt where nothing is given.
    fn after(&mut self, failure: AttemptFailure) -> Result<Option<Ended>> {
        if failure.wanted {
            return match self.state.termination() {
                Some(TerminationRequest::Cancel) => Ok(Some(Ended::Cancelled)),
                _ => Err(failure.error),
            };
        }
        self.state.failed(&failure);
        if self.state.termination().is_some() {
            return Err(failure.error);
        }
        match self.judge(failure.error.kind()) {
            RestartDecision::End { why } => {
                // Whoever waits for the job says the error itself.
                if self.state.attempts() > 1 || self.restoring.is_some() {
                    tracing::error!("{why}");
                }
                Err(failure.error)
            }
            RestartDecision::Restart { after } => self.pause(after, failure.error),
            RestartDecision::FallBack { to, retire } => {
                self.fall_back(to.id, retire, &failure.error);
                Ok(None)
            }
        }
    }

    fn judge(&mut self, kind: ErrorKind) -> RestartDecision {
        let (now, random) = (self.state.setup.clock.nanos(), self.state.setup.chance.fraction());
        let retained = self
            .restoring
            .as_ref()
            .map(|(_, checkpoint_store)| checkpoint_store.retained())
            .unwrap_or_default();
        let failed = match &self.restoring {
            Some((from, _)) => FailureCause::Restoring { kind, from, retained: &retained },
            None => FailureCause::Running(kind),
        };
        self.restarts.on_failure(failed, now, random)
    }

    // The log hears of it when the older one has proved to be whole: until then nothing may be lost that was
    // retained.
    fn fall_back(&mut self, to: CheckpointId, damaged: Vec<CheckpointId>, error: &Error) {
        let names: Vec<_> = damaged.iter().map(ToString::to_string).collect();
        tracing::error!(
            "checkpoint {} cannot be read, the job goes back to checkpoint {to}: {}",
            names.join(", "),
            error.chain()
        );
        self.given_up.extend(damaged);
    }

    fn pause(&mut self, pause: Duration, error: Error) -> Result<Option<Ended>> {
        self.outage.failed(self.state, &error, pause);
        match self.state.pause(pause) {
            None => Ok(None),
            Some(termination) => instead(&termination, error).map(Some),
        }
    }

    fn attempt(&mut self) -> Result<Ended, Box<AttemptFailure>> {
        let unasked = |error| Box::new(AttemptFailure { error, task: None, wanted: false });
        self.restoring = None;
        self.state.preparing();
        let setup = Arc::clone(&self.state.setup);
        let aborted = || Error::restart("the job was aborted before it ran");
        let (storage, given_up) = (&mut self.storage, &self.given_up);
        let claim = || guarded("claiming an epoch", || storage.claim(&setup, given_up));
        let Some(claim) = patiently(self.state, claim).map_err(unasked)? else {
            let termination = self.state.termination().unwrap_or(TerminationRequest::Cancel);
            return instead(&termination, aborted()).map_err(unasked);
        };
        let (events, inbound) = channel();
        let attempt = Arc::new(AttemptContext::new(setup, claim.epoch, events));
        if let Some(termination) = self.state.begin(&attempt) {
            return instead(&termination, aborted()).map_err(unasked);
        }
        if let Some(restored) = claim.restored {
            self.state.history(|history| history.restored(restored));
        }
        self.restoring = claim.reference.map(|reference| (reference, Arc::clone(&claim.checkpoint_store)));
        let (state, restoring, outage) = (self.state, &mut self.restoring, &mut self.outage);
        let (checkpoint_store, given_up, passed_over) =
            (&claim.checkpoint_store, &mut self.given_up, &claim.passed_over);
        let mut running = || {
            state.running();
            outage.over(state);
            *restoring = None;
            given_up.clear();
            retire(checkpoint_store.as_ref(), passed_over);
        };
        let begin = Begin {
            events: inbound,
            from: claim.from.as_deref(),
            next_checkpoint: claim.next_checkpoint,
            checkpoint_store: Arc::clone(&claim.checkpoint_store),
            running: &mut running,
        };
        let ran = guarded("the job's coordinator", || Ok(coordinator::run(&attempt, state, begin)));
        self.state.end_attempt();
        match (attempt.take_failure(), ran) {
            (None, Ok(ending)) => Ok(Ended::By(ending)),
            (Some(failure), _) => Err(Box::new(failure)),
            (None, Err(error)) => Err(unasked(error)),
        }
    }
}

// The past that these belong to is given up.
fn retire(checkpoint_store: &dyn CompletedCheckpointStore, damaged: &[CheckpointId]) {
    if damaged.is_empty() {
        return;
    }
    if let Err(error) = checkpoint_store.retire(damaged.to_vec()) {
        tracing::warn!("damaged checkpoints are still retained: {}", error.chain());
    }
}

// A termination that came while no attempt ran.
fn instead(termination: &TerminationRequest, error: Error) -> Result<Ended> {
    match termination {
        TerminationRequest::Cancel => Ok(Ended::Cancelled),
        TerminationRequest::Stop => Ok(Ended::By(Ending { end: End::Stopped, with_savepoint: false })),
        TerminationRequest::Abort(_) => Err(error),
    }
}
