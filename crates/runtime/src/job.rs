//! Starts a job, and the handle on it while it runs.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use millstream_checkpoint::store::ReadOptions;
use millstream_protocol::checkpoint_stats::CheckpointHistory;
use millstream_protocol::job_id::JobId;
use millstream_record::{Error, ErrorKind, Result};
use millstream_stage::metrics::JobMetrics;
use millstream_stage::plan::Plan;
use millstream_stage::stage::End;
use millstream_stage::state_backend::{Heap, StateBackend};
use millstream_stage::time::Time;
use millstream_stage::trouble::Ongoing;

use crate::ask::{CheckpointDone, Pending};
use crate::checkpoint_storage::{CheckpointStorage, Memory, StartFrom, Stored};
use crate::control::JobControl;
use crate::dry_run;
use crate::job_state::{JobState, TerminationRequest, Waited};
use crate::options::RuntimeOptions;
use crate::patiently::patiently;
use crate::report::JobReport;
use crate::setup::Setup;
use crate::snapshot::JobSnapshot;
use crate::status::{JobFailure, JobStatus};
use crate::supervisor::{self, JobOutcome};
use crate::{checkpoint_storage, layout};

/// Runs a job to its end, stopping it in order at SIGTERM or SIGINT: what a program's `main` calls.
///
/// # Errors
/// See [`start`] and [`JobHandle::wait`].
pub fn run(plan: Plan, options: RuntimeOptions) -> Result<JobReport> {
    let job = start(plan, options)?;
    job.stop_on_signals()?;
    job.wait()
}

/// Starts a job. When this returns, every operator was opened and all subtasks run.
///
/// # Errors
/// Settings or plan that can never work, an enumerator that cannot find its splits, an operator that cannot
/// be opened: then nothing has run, and nothing runs on.
pub fn start(plan: Plan, options: RuntimeOptions) -> Result<JobHandle> {
    Launch::new(plan, options).start()
}

/// Starts a job from a snapshot, at any parallelism.
///
/// # Errors
/// Returns the same errors as [`start`]; and
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when the plan has no place for
/// something in the snapshot.
pub fn start_from(plan: Plan, options: RuntimeOptions, snapshot: JobSnapshot) -> Result<JobHandle> {
    Launch::new(plan, options).from_snapshot(snapshot).start()
}

/// A job that is about to start: what [`start`] takes, and more.
pub struct Launch {
    plan: Plan,
    options: RuntimeOptions,
    backend: Arc<dyn StateBackend>,
    start_from: StartFrom,
    allow_non_restored: bool,
    read: ReadOptions,
}

impl Launch {
    /// A job of this plan.
    pub fn new(plan: Plan, options: RuntimeOptions) -> Self {
        let (backend, read) = (Arc::new(Heap), ReadOptions::default());
        Self { plan, options, backend, start_from: StartFrom::Latest, allow_non_restored: false, read }
    }

    /// Keeps keyed state in this backend; in memory by default.
    #[must_use]
    pub fn with_backend(self, backend: Arc<dyn StateBackend>) -> Self {
        Self { backend, ..self }
    }

    /// Says how files of cold stores in checkpoints are read; where the backend keeps state in files.
    #[must_use]
    pub fn with_native_files(self, read: ReadOptions) -> Self {
        Self { read, ..self }
    }

    /// Begins with this snapshot where the job has no checkpoint of its own.
    #[must_use]
    pub fn from_snapshot(self, snapshot: JobSnapshot) -> Self {
        Self { start_from: StartFrom::Snapshot(Arc::new(snapshot)), ..self }
    }

    /// Begins with the savepoint or checkpoint at this URL, unless the job has begun from this very one
    /// before and has a checkpoint of its own since. State that the job has no place for is refused, or left
    /// behind where that is allowed.
    #[must_use]
    pub fn from_savepoint(self, url: &str, allow_non_restored: bool) -> Self {
        Self { start_from: StartFrom::Savepoint(url.to_owned()), ..self }
            .allowing_non_restored_state(allow_non_restored)
    }

    /// Whether state that the job has no place for may be left behind, wherever the job goes on from. Else
    /// the job does not start.
    #[must_use]
    pub fn allowing_non_restored_state(self, allow_non_restored: bool) -> Self {
        Self { allow_non_restored, ..self }
    }

    /// Refuses settings and a plan that can never work. No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration), naming what is wrong.
    pub fn validate(&self) -> Result<()> {
        self.options.validate()?;
        layout::validate(&self.plan)
    }

    /// Starts the job. When this returns, every operator was opened and all subtasks run.
    ///
    /// # Errors
    /// Returns the same errors as [`start`].
    pub fn start(self) -> Result<JobHandle> {
        let mut job = self.begin()?;
        job.wait_for_start(None)?;
        Ok(job)
    }

    /// Begins to start the job and does not wait for it: its storage and its brokers may be away, and it can
    /// be stopped meanwhile.
    ///
    /// # Errors
    /// Settings or a plan that can never work.
    pub fn begin(self) -> Result<JobHandle> {
        self.validate()?;
        let Self { plan, options, backend, start_from, allow_non_restored, read } = self;
        warn(&plan, &options);
        let read = read.for_plan(&plan);
        let setup = Setup { allow_non_restored, ..Setup::new(plan, options, backend) };
        let state = Arc::new(JobState::new(setup));
        let supervised = Ending(Arc::clone(&state));
        let run = move || {
            let state = &supervised.0;
            refuse_misfit(state, &start_from)?;
            supervisor::run(state, storage(state, start_from, read)?)
        };
        let thread = Builder::new().name("millstream-job".into()).spawn(run);
        let thread =
            thread.map_err(|error| Error::configuration("no thread can be started").caused_by(error))?;
        Ok(JobHandle { control: JobControl { state }, thread: Some(thread) })
    }
}

// Whoever waits for the job hears of its end, whatever ends its thread.
struct Ending(Arc<JobState>);

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.0.is_over() {
            self.0.end(JobStatus::Failed);
        }
    }
}

fn warn(plan: &Plan, options: &RuntimeOptions) {
    plan.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    if options.checkpointing.interval.is_none() {
        for sink in plan.transactional_sinks() {
            tracing::warn!(
                "what sink {sink:?} writes is seen when a checkpoint is complete, and none is taken while the job runs: \
                 set `execution.checkpointing.interval`"
            );
        }
    }
}

/// Refuses state that does not fit before the attempt is claimed: until then, another process that runs the
/// job goes on undisturbed. A damaged checkpoint is left to the attempt, which may pass it over.
fn refuse_misfit(state: &JobState, start_from: &StartFrom) -> Result<()> {
    let setup = &state.setup;
    let from = match start_from {
        StartFrom::Snapshot(snapshot) => {
            return snapshot.validate_allowing(&setup.plan, setup.allow_non_restored);
        }
        StartFrom::Savepoint(url) => Some(url.as_str()),
        StartFrom::Latest => None,
    };
    match patiently(state, || dry_run::at_start(&setup.plan, &setup.options, from)).map(Option::flatten) {
        Ok(Some(found)) => {
            let refusal = found.report.refusal(setup.allow_non_restored);
            refusal.map_err(|error| error.in_context(found.url))
        }
        Ok(None) => Ok(()),
        Err(error) if error.kind() == ErrorKind::Configuration => Err(error),
        Err(error) => {
            tracing::warn!(
                "the checkpoint that the job goes on from could not be looked at yet: {}",
                error.chain()
            );
            Ok(())
        }
    }
}

fn storage(state: &JobState, start_from: StartFrom, read: ReadOptions) -> Result<Box<dyn CheckpointStorage>> {
    let setup = &state.setup;
    if let Some(url) = setup.options.checkpoints_url()? {
        return Ok(Box::new(Stored::new(&url, setup, start_from, read)?));
    }
    let from = match start_from {
        StartFrom::Latest => None,
        StartFrom::Snapshot(snapshot) => Some(snapshot),
        // A job that was told to end meanwhile runs nothing, so it needs nothing to begin with.
        StartFrom::Savepoint(url) => {
            patiently(state, || checkpoint_storage::read(&url, setup, &read))?.map(Arc::new)
        }
    };
    Ok(Box::new(Memory::new(from)))
}

/// A running job. Dropping it aborts the job.
#[derive(Debug)]
pub struct JobHandle {
    control: JobControl,
    thread: Option<JoinHandle<JobOutcome>>,
}

impl JobHandle {
    /// A control for other threads.
    pub fn control(&self) -> JobControl {
        self.control.clone()
    }

    /// Waits for the job's end: everything was read, or it was stopped or cancelled.
    ///
    /// # Errors
    /// What ended the job otherwise: the error or panic of a subtask or an enumerator that no restart was to
    /// follow, with the stage, the subtask and the chain of causes; an abort; a stop that took too long.
    pub fn wait(mut self) -> Result<JobReport> {
        self.join()
    }

    /// Waits until all subtasks run or the job has ended, for so long at the most where that is said; whether
    /// it is so.
    ///
    /// # Errors
    /// What has ended the job, unless somebody stopped it.
    pub fn wait_for_start(&mut self, patience: Option<Duration>) -> Result<bool> {
        match self.control.state.wait_for_the_start(patience) {
            Waited::NotYet => Ok(false),
            Waited::Done if self.control.status() == JobStatus::Failed => {
                Err(self.join().err().unwrap_or_else(lost))
            }
            Waited::Done | Waited::Lost { .. } => Ok(true),
        }
    }

    // A thread that does not come back is left behind: whoever wants the job to end must not wait for it.
    fn join(&mut self) -> Result<JobReport> {
        if let Waited::Lost { termination, nothing_ran } = self.control.state.wait_for_the_end() {
            self.thread = None;
            return left_behind(&self.control.state, &termination, nothing_ran);
        }
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            _ => Err(lost()),
        }
    }
}

fn left_behind(state: &JobState, termination: &TerminationRequest, nothing_ran: bool) -> Result<JobReport> {
    let status = match termination {
        TerminationRequest::Stop if nothing_ran => JobStatus::Suspended,
        TerminationRequest::Cancel if nothing_ran => JobStatus::Canceled,
        _ => JobStatus::Failed,
    };
    state.end(status);
    if status != JobStatus::Failed {
        return Ok(state.report(End::Stopped, status));
    }
    let message = match termination {
        TerminationRequest::Abort(reason) => format!("job `{}` was aborted: {reason}", state.setup.plan.name),
        TerminationRequest::Stop | TerminationRequest::Cancel => {
            "the job did not end in time: it waits for its storage or its source's system".to_owned()
        }
    };
    Err(Error::restart(message))
}

fn lost() -> Error {
    Error::bug("the job's coordinator ended without a result")
}

/// What a [`JobControl`] can do, without asking for one.
macro_rules! forward {
    ($($name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        impl JobHandle {$(
            #[doc = concat!("See [`JobControl::", stringify!($name), "`].")]
            pub fn $name(&self, $($argument: $type),*) $(-> $result)? {
                self.control.$name($($argument),*)
            }
        )*}
    };
}
forward! {
    stop();
    cancel();
    abort(reason: &str);
    stop_on_signals() -> Result<()>;
    checkpoint_now() -> Result<CheckpointDone>;
    checkpoint() -> Result<JobSnapshot>;
    savepoint(dir: Option<&str>) -> Result<CheckpointDone>;
    trigger_savepoint(dir: Option<&str>) -> Result<Pending>;
    stop_with_savepoint(dir: Option<&str>, drain: bool) -> Result<CheckpointDone>;
    trigger_stop_with_savepoint(dir: Option<&str>, drain: bool) -> Result<Pending>;
    job_id() -> JobId;
    status() -> JobStatus;
    started_at() -> Time;
    attempts() -> u64;
    exceptions() -> Vec<JobFailure>;
    checkpoint_stats() -> CheckpointHistory;
    metrics() -> Arc<JobMetrics>;
    troubles() -> Vec<Ongoing>;
    plan() -> &Plan;
    epoch() -> u64;
    is_over() -> bool;
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.control.abort("its handle was dropped");
            // Nobody is left to hear how it ended.
            let _ = self.join();
        }
    }
}
