//! Runs a job as a sequence of attempts: claims an epoch, restores, runs, and after a failure decides whether there is a next one.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use millstream_protocol::log::CheckpointRef;
use millstream_protocol::restart::{Failure as Failed, Restarts, Verdict};
use millstream_record::{Error, ErrorKind, Result};
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::stage::End;
use millstream_stage::trouble::{Say, Trouble, rounded};

use crate::coordinator::{self, Begin, Ending};
use crate::job::guarded;
use crate::life::{Life, Wish};
use crate::patiently::patiently;
use crate::report::JobReport;
use crate::shared::{Failure, Shared};
use crate::status::JobStatus;
use crate::vault::{Ledger, Vault};

/// How a job ended.
pub(crate) type Outcome = Result<JobReport>;

/// Runs a job to its end.
pub(crate) fn run(life: &Arc<Life>, vault: Box<dyn Vault>) -> Outcome {
    let options = &life.setup.options;
    let strategy = options.restart.resolved(options.checkpointing.interval.is_some());
    let mut supervisor = Supervisor {
        life,
        vault,
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
        supervisor.vault.ended(&life.setup, status == JobStatus::Canceled);
    }
    life.end(status);
    ended.map(|_| JobReport::new(life, end, status))
}

struct Supervisor<'a> {
    life: &'a Arc<Life>,
    vault: Box<dyn Vault>,
    restarts: Restarts,
    // What the present attempt goes on from, until it runs.
    restoring: Option<(CheckpointRef, Arc<dyn Ledger>)>,
    // Checkpoints that turned out to be damaged.
    given_up: Vec<CheckpointId>,
    outage: Outage,
}

/// What the log says of attempts that fail one after the other: each new reason, the same one now and then, and that the job runs again.
#[derive(Default)]
struct Outage {
    trouble: Trouble,
    last: String,
}

impl Outage {
    fn failed(&mut self, life: &Life, error: &Error, pause: Duration) {
        let reason = error.chain();
        let due = self.trouble.failed(life.setup.clock.nanos()).is_some();
        if due || reason != self.last {
            let (number, time) = (life.attempts() + 1, humantime::format_duration(pause));
            tracing::warn!("{reason}; attempt {number} begins in {time}");
        }
        self.last = reason;
    }

    fn over(&mut self, life: &Life) {
        if let Some(Say::Over { lasted, .. }) = self.trouble.recovered(life.setup.clock.nanos()) {
            let (job, number) = (&life.setup.plan.name, life.attempts());
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
    fn after(&mut self, failure: Failure) -> Result<Option<Ended>> {
        if failure.wanted {
            return match self.life.wished() {
                Some(Wish::Cancel) => Ok(Some(Ended::Cancelled)),
                _ => Err(failure.error),
            };
        }
        self.life.failed(&failure);
        if self.life.wished().is_some() {
            return Err(failure.error);
        }
        match self.judge(failure.error.kind()) {
            Verdict::End { why } => {
                // Whoever waits for the job says the error itself.
                if self.life.attempts() > 1 || self.restoring.is_some() {
                    tracing::error!("{why}");
                }
                Err(failure.error)
            }
            Verdict::Restart { after } => self.pause(after, failure.error),
            Verdict::FallBack { to, retire } => {
                self.fall_back(to.id, retire, &failure.error);
                Ok(None)
            }
        }
    }

    fn judge(&mut self, kind: ErrorKind) -> Verdict {
        let now = self.life.setup.clock.nanos();
        let random = RandomState::new().hash_one(now) as f64 / u64::MAX as f64;
        let retained = self.restoring.as_ref().map(|(_, ledger)| ledger.retained()).unwrap_or_default();
        let failed = match &self.restoring {
            Some((from, _)) => Failed::Restoring { kind, from, retained: &retained },
            None => Failed::Running(kind),
        };
        self.restarts.on_failure(failed, now, random)
    }

    // The log hears of it when the older one has proved to be whole: until then nothing may be lost that was retained.
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
        self.outage.failed(self.life, &error, pause);
        match self.life.pause(pause) {
            None => Ok(None),
            Some(wish) => instead(&wish, error).map(Some),
        }
    }

    fn attempt(&mut self) -> Result<Ended, Box<Failure>> {
        let unasked = |error| Box::new(Failure { error, task: None, wanted: false });
        self.restoring = None;
        self.life.preparing();
        let setup = Arc::clone(&self.life.setup);
        let aborted = || Error::restart("the job was aborted before it ran");
        let (vault, given_up) = (&mut self.vault, &self.given_up);
        let claim = || guarded("claiming an epoch", || vault.claim(&setup, given_up));
        let Some(claim) = patiently(self.life, claim).map_err(unasked)? else {
            let wish = self.life.wished().unwrap_or(Wish::Cancel);
            return instead(&wish, aborted()).map_err(unasked);
        };
        let (events, inbound) = channel();
        let shared = Arc::new(Shared::new(setup, claim.epoch, events));
        if let Some(wish) = self.life.begin(&shared) {
            return instead(&wish, aborted()).map_err(unasked);
        }
        if let Some(restored) = claim.restored {
            self.life.history(|history| history.restored(restored));
        }
        self.restoring = claim.reference.map(|reference| (reference, Arc::clone(&claim.ledger)));
        let (life, restoring, outage) = (self.life, &mut self.restoring, &mut self.outage);
        let (ledger, given_up, passed_over) = (&claim.ledger, &mut self.given_up, &claim.passed_over);
        let mut running = || {
            life.running();
            outage.over(life);
            *restoring = None;
            given_up.clear();
            retire(ledger.as_ref(), passed_over);
        };
        let begin = Begin {
            events: inbound,
            from: claim.from.as_deref(),
            next_checkpoint: claim.next_checkpoint,
            ledger: Arc::clone(&claim.ledger),
            running: &mut running,
        };
        let ran = guarded("the job's coordinator", || Ok(coordinator::run(&shared, life, begin)));
        self.life.end_attempt();
        match (shared.take_failure(), ran) {
            (None, Ok(ending)) => Ok(Ended::By(ending)),
            (Some(failure), _) => Err(Box::new(failure)),
            (None, Err(error)) => Err(unasked(error)),
        }
    }
}

// The past that these belong to is given up.
fn retire(ledger: &dyn Ledger, damaged: &[CheckpointId]) {
    if damaged.is_empty() {
        return;
    }
    if let Err(error) = ledger.retire(damaged.to_vec()) {
        tracing::warn!("damaged checkpoints are still retained: {}", error.chain());
    }
}

// A wish that came while no attempt ran.
fn instead(wish: &Wish, error: Error) -> Result<Ended> {
    match wish {
        Wish::Cancel => Ok(Ended::Cancelled),
        Wish::Stop => Ok(Ended::By(Ending { end: End::Stopped, with_savepoint: false })),
        Wish::Abort(_) => Err(error),
    }
}
