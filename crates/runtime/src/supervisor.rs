//! Runs a job as a sequence of attempts: claims an epoch, restores, runs, and after a failure decides whether there is a next one.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use millstream_core::drive::checkpoint_stats::RestoredStats;
use millstream_core::stage::End;
use millstream_core::{Error, ErrorKind, Result};

use crate::coordinator;
use crate::epoch;
use crate::job::guarded;
use crate::life::{Life, Wish};
use crate::report::JobReport;
use crate::restarts::Restarts;
use crate::shared::{Failure, Shared};
use crate::snapshot::JobSnapshot;
use crate::status::JobStatus;

/// How a job ended.
pub(crate) type Outcome = Result<JobReport>;

/// Runs a job to its end. `started` is told once, when the first attempt that comes so far has opened every subtask.
pub(crate) fn run(life: &Arc<Life>, from: Option<Arc<JobSnapshot>>, started: Sender<()>) -> Outcome {
    let began = life.setup.clock.nanos();
    let mut supervisor =
        Supervisor { life, from, started: Some(started), restarts: Restarts::new(&life.setup), epoch: 0 };
    let ended = guarded("the job's supervisor", || supervisor.run());
    let status = match &ended {
        Ok(Ended::By(End::Finished)) => JobStatus::Finished,
        Ok(Ended::By(End::Stopped)) => JobStatus::Suspended,
        Ok(Ended::Cancelled) => JobStatus::Canceled,
        Err(_) => JobStatus::Failed,
    };
    life.end(status);
    let end = match ended? {
        Ended::By(end) => end,
        Ended::Cancelled => End::Stopped,
    };
    Ok(JobReport::new(life, end, status, began))
}

struct Supervisor<'a> {
    life: &'a Arc<Life>,
    // Where to begin while there is no checkpoint.
    from: Option<Arc<JobSnapshot>>,
    started: Option<Sender<()>>,
    restarts: Restarts,
    epoch: u64,
}

enum Ended {
    By(End),
    Cancelled,
}

impl Supervisor<'_> {
    fn run(&mut self) -> Result<Ended> {
        loop {
            let failure = match self.attempt() {
                Ok(ended) => return Ok(ended),
                Err(failure) => failure,
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
        let Some(pause) = self.restarts.after(&failure.error, self.life.setup.clock.now()) else {
            return Err(failure.error);
        };
        tracing::warn!(
            "{}; attempt {} begins in {}",
            failure.error.chain(),
            self.life.attempts() + 1,
            humantime::format_duration(pause)
        );
        match self.life.pause(pause) {
            None => Ok(None),
            Some(wish) => instead(&wish, failure.error).map(Some),
        }
    }

    fn attempt(&mut self) -> Result<Ended, Failure> {
        let unasked = |error| Failure { error, task: None, wanted: false };
        self.epoch = self.claim().map_err(unasked)?;
        let from = self.life.latest().or_else(|| self.from.clone());
        let (events, inbound) = channel();
        let shared = Arc::new(Shared::new(Arc::clone(&self.life.setup), self.epoch, events));
        if let Some(wish) = self.life.begin(&shared) {
            let aborted = Error::new(ErrorKind::Restart, "the job was aborted before it ran");
            return instead(&wish, aborted).map_err(unasked);
        }
        if let Some(from) = &from {
            self.note_restored(from);
        }
        let (life, started) = (self.life, &mut self.started);
        let mut running = || {
            life.running();
            if let Some(started) = started.take() {
                // Nobody may be waiting any more; the job runs all the same.
                let _ = started.send(());
            }
        };
        let ran = guarded("the job's coordinator", || {
            Ok(coordinator::run(&shared, life, inbound, from.as_deref(), &mut running))
        });
        self.life.end_attempt();
        match (shared.take_failure(), ran) {
            (None, Ok(end)) => Ok(Ended::By(end)),
            (Some(failure), _) => Err(failure),
            (None, Err(error)) => Err(unasked(error)),
        }
    }

    fn note_restored(&self, from: &JobSnapshot) {
        let (id, epoch, time) = (from.checkpoint, from.epoch, self.life.setup.clock.now());
        let restored = RestoredStats { id, epoch, time, savepoint: false, url: String::new() };
        self.life.history(|history| history.restored(restored));
    }

    fn claim(&self) -> Result<u64> {
        let options = &self.life.setup.options;
        match (options.epoch, &options.job_dir) {
            (None, Some(dir)) => epoch::claim(dir),
            (given, _) => Ok(given.unwrap_or(1).max(self.epoch + 1)),
        }
    }
}

// A wish that came while no attempt ran.
fn instead(wish: &Wish, error: Error) -> Result<Ended> {
    match wish {
        Wish::Cancel => Ok(Ended::Cancelled),
        Wish::Stop => Ok(Ended::By(End::Stopped)),
        Wish::Abort(_) => Err(error),
    }
}
