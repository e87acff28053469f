//! What can be asked of a job from any thread.

use std::fmt;
use std::sync::Arc;

use millstream_protocol::checkpoint_stats::CheckpointHistory;
use millstream_protocol::job_id::JobId;
use millstream_record::{Error, Result};
use millstream_stage::chance::Chance;
use millstream_stage::metrics::JobMetrics;
use millstream_stage::plan::Plan;
use millstream_stage::time::{Nanos, Time};
use millstream_stage::trouble::Ongoing;
use millstream_storage::Storage;

use crate::ask::{Ask, CheckpointDone, Pending};
use crate::job_state::{JobState, TerminationRequest};
use crate::signals;
use crate::snapshot::JobSnapshot;
use crate::status::{JobFailure, JobStatus};

/// What can be asked of a job, from any thread and through all of its attempts. Does nothing once the job has
/// ended; what it tells stays readable.
#[derive(Clone)]
pub struct JobControl {
    pub(crate) state: Arc<JobState>,
}

impl JobControl {
    /// Stops the job in order, without waiting for it: sources read no more, what is in the queues is
    /// processed, sinks flush. Open windows are left alone, no final watermark is sent.
    pub fn stop(&self) {
        self.state.request_termination(TerminationRequest::Stop);
    }

    /// Ends the job at once: what is in the queues is lost. [`JobHandle::wait`](crate::JobHandle::wait)
    /// reports it as cancelled.
    pub fn cancel(&self) {
        self.state.request_termination(TerminationRequest::Cancel);
    }

    /// Ends the job at once: what is in the queues is lost. [`JobHandle::wait`](crate::JobHandle::wait) gives
    /// an error with this reason.
    pub fn abort(&self, reason: &str) {
        self.state.request_termination(TerminationRequest::Abort(reason.to_owned()));
    }

    /// Stops the job in order at the first SIGTERM or SIGINT, aborts it at the second; signals within a
    /// second count as one. While no job of the process runs, signals end the process as they would have.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when the process cannot
    /// handle signals.
    pub fn stop_on_signals(&self) -> Result<()> {
        signals::stop_on_signals(&self.state)
    }

    /// Takes a checkpoint for recovery and waits for it.
    ///
    /// # Errors
    /// [`ErrorKind::Retry`](millstream_record::ErrorKind::Retry) while another one is under way or when it
    /// cannot be stored; [`ErrorKind::Restart`](millstream_record::ErrorKind::Restart) when the attempt ends
    /// before it is complete.
    pub fn checkpoint_now(&self) -> Result<CheckpointDone> {
        self.ask(Ask::Checkpoint).wait()
    }

    /// Takes a checkpoint and gives it: the state of all operators at one point of every source. For jobs
    /// that keep checkpoints in memory.
    ///
    /// # Errors
    /// Returns the same errors as [`checkpoint_now`](Self::checkpoint_now);
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) where they are kept
    /// elsewhere.
    pub fn checkpoint(&self) -> Result<JobSnapshot> {
        let (_, snapshot) = self.ask(Ask::Checkpoint).answer()?;
        let elsewhere = || Error::configuration("this job keeps its checkpoints in a storage, not in memory");
        snapshot.map(|snapshot| (*snapshot).clone()).ok_or_else(elsewhere)
    }

    /// Takes a savepoint below this URL, or below `state.savepoints.dir`, and waits for it. Nothing is
    /// committed by it, and the job does not recover from it by itself: it belongs to the user.
    ///
    /// # Errors
    /// Returns the same errors as [`checkpoint_now`](Self::checkpoint_now);
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) where no directory is known.
    pub fn savepoint(&self, dir: Option<&str>) -> Result<CheckpointDone> {
        self.trigger_savepoint(dir)?.wait()
    }

    /// The same without waiting for it.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) where no directory is known,
    /// or the URL is none.
    pub fn trigger_savepoint(&self, dir: Option<&str>) -> Result<Pending> {
        Ok(self.ask(Ask::Savepoint(self.savepoint_dir(dir)?)))
    }

    /// Stops the job in order with a savepoint below this URL, or below `state.savepoints.dir`, and waits for
    /// it; the job then ends. With `drain` the final watermark goes out before, so that open windows fire:
    /// for a job that will not go on.
    ///
    /// # Errors
    /// Returns the same errors as [`savepoint`](Self::savepoint). When the savepoint cannot be taken, the job
    /// goes on from its latest checkpoint.
    pub fn stop_with_savepoint(&self, dir: Option<&str>, drain: bool) -> Result<CheckpointDone> {
        self.trigger_stop_with_savepoint(dir, drain)?.wait()
    }

    /// The same without waiting for it.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) where no directory is known,
    /// or the URL is none.
    pub fn trigger_stop_with_savepoint(&self, dir: Option<&str>, drain: bool) -> Result<Pending> {
        Ok(self.ask(Ask::Stop { dir: self.savepoint_dir(dir)?, drain }))
    }

    fn savepoint_dir(&self, dir: Option<&str>) -> Result<String> {
        let options = &self.state.setup.options;
        let dir = dir.or(options.savepoints_dir.as_deref()).ok_or_else(|| {
            Error::configuration(
                "it is not known where savepoints go: name a directory or set state.savepoints.dir",
            )
        })?;
        // Whoever asks has made the mistake: the job must not count it as a snapshot that failed.
        Storage::open(dir, &options.storage)?;
        Ok(dir.to_owned())
    }

    fn ask(&self, ask: Ask) -> Pending {
        let (reply, pending) = Pending::channel();
        self.state.ask(ask, reply);
        pending
    }

    /// The job's id.
    pub fn job_id(&self) -> JobId {
        self.state.setup.id
    }

    /// Where the job's names get their randomness from.
    pub fn chance(&self) -> &Chance {
        &self.state.setup.chance
    }

    /// How the job is doing.
    pub fn status(&self) -> JobStatus {
        self.state.status()
    }

    /// Whether somebody wants the job to end in order: sources read no more, and sinks write what they have.
    pub fn is_stopping(&self) -> bool {
        self.state.is_stopping()
    }

    /// When the next attempt begins, in epoch milliseconds, where the job waits for it.
    pub fn next_attempt_at(&self) -> Option<Time> {
        self.state.next_attempt_at()
    }

    /// When the first attempt of this process began, in epoch milliseconds.
    pub fn started_at(&self) -> Time {
        self.state.started_at
    }

    /// How many attempts this process has begun: one more than there were restarts.
    pub fn attempts(&self) -> u64 {
        self.state.attempts()
    }

    /// What went wrong, newest first: the last few.
    pub fn exceptions(&self) -> Vec<JobFailure> {
        self.state.failures()
    }

    /// Checkpoints that were taken, failed and restored since the process began.
    pub fn checkpoint_stats(&self) -> CheckpointHistory {
        self.state.history(|history| history.clone())
    }

    /// The metrics of all subtasks and operators; they count on over attempts and stay readable after the
    /// job's end.
    pub fn metrics(&self) -> Arc<JobMetrics> {
        Arc::clone(&self.state.setup.metrics)
    }

    /// What is in trouble now: a store that is away, checkpoints that fail.
    pub fn troubles(&self) -> Vec<Ongoing> {
        self.state.setup.metrics.troubles.ongoing(self.nanos())
    }

    /// The plan that runs.
    pub fn plan(&self) -> &Plan {
        &self.state.setup.plan
    }

    /// The number of the present attempt, or of the last one.
    pub fn epoch(&self) -> u64 {
        self.state.epoch()
    }

    /// Whether the job has ended, in whatever way.
    pub fn is_over(&self) -> bool {
        self.state.is_over()
    }

    /// The job's monotonic clock.
    pub(crate) fn nanos(&self) -> Nanos {
        self.state.setup.clock.nanos()
    }
}

impl fmt::Debug for JobControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobControl")
            .field("job", &self.state.setup.plan.name)
            .field("status", &self.status())
            .finish()
    }
}
