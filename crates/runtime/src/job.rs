//! Starts a job, and the handle on it while it runs.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak, mpsc};
use std::thread::{Builder, JoinHandle};

use millstream_core::figures::JobFigures;
use millstream_core::plan::Plan;
use millstream_core::stage::End;
use millstream_core::time::{Clock, Nanos};
use millstream_core::{Error, Result};

use crate::clock::SystemClock;
use crate::coordinator::{self, job_is_over};
use crate::options::RuntimeOptions;
use crate::report::JobReport;
use crate::shared::{Event, Shared};
use crate::signals;
use crate::snapshot::JobSnapshot;
use crate::{epoch, layout, panics};

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
/// Settings or plan that can never work, an enumerator that cannot find its splits, an operator that cannot be opened: then nothing
/// has run, and nothing runs on.
pub fn start(plan: Plan, options: RuntimeOptions) -> Result<JobHandle> {
    launch(plan, options, None)
}

/// Starts a job from a snapshot, at any parallelism.
///
/// # Errors
/// As [`start`]; and [`ErrorKind::Configuration`](millstream_core::ErrorKind::Configuration) when the plan has no place for
/// something in the snapshot.
pub fn start_from(plan: Plan, options: RuntimeOptions, snapshot: JobSnapshot) -> Result<JobHandle> {
    snapshot.validate(&plan)?;
    launch(plan, options, Some(snapshot))
}

fn launch(plan: Plan, options: RuntimeOptions, from: Option<JobSnapshot>) -> Result<JobHandle> {
    options.validate()?;
    layout::validate(&plan)?;
    let epoch = match (options.epoch, &options.job_dir) {
        (Some(epoch), _) => epoch,
        (None, Some(dir)) => epoch::claim(dir)?,
        (None, None) => 1,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (events, inbound) = mpsc::channel();
    let began = clock.nanos();
    let shared = Arc::new(Shared::new(plan, options, epoch, clock, events));
    let over = Arc::new(AtomicBool::new(false));
    let (tell_started, started) = mpsc::channel();
    let coordinated = (Arc::clone(&shared), Arc::clone(&over));
    let thread = Builder::new().name("millstream-job".into()).spawn(move || {
        let (shared, over) = coordinated;
        let coordinated = panics::catch(|| coordinator::run(&shared, inbound, from.as_ref(), tell_started));
        let end = coordinated.unwrap_or_else(|panic| {
            shared.fail(Error::bug(format!("the job's coordinator panicked: {panic}")));
            End::Stopped
        });
        over.store(true, Ordering::Release);
        end
    });
    let thread = thread.map_err(|error| Error::configuration("no thread can be started").caused_by(error))?;
    let mut job = JobHandle { control: JobControl { shared, over }, thread: Some(thread), began };
    match started.recv() {
        Ok(()) => Ok(job),
        Err(_) => Err(job.failure()),
    }
}

/// A running job. Dropping it aborts the job.
#[derive(Debug)]
pub struct JobHandle {
    control: JobControl,
    thread: Option<JoinHandle<End>>,
    began: Nanos,
}

/// What can be asked of a running job, from any thread. Does nothing once the job has ended.
#[derive(Clone)]
pub struct JobControl {
    shared: Arc<Shared>,
    over: Arc<AtomicBool>,
}

/// A control that keeps nothing alive.
pub(crate) struct WeakControl {
    shared: Weak<Shared>,
    over: Arc<AtomicBool>,
}

impl WeakControl {
    /// The control, while the job runs.
    pub(crate) fn running(&self) -> Option<JobControl> {
        let control = JobControl { shared: self.shared.upgrade()?, over: Arc::clone(&self.over) };
        (!control.is_over()).then_some(control)
    }
}

impl JobHandle {
    /// A control for other threads.
    pub fn control(&self) -> JobControl {
        self.control.clone()
    }

    /// Waits for the job's end: everything was read, or it was stopped.
    ///
    /// # Errors
    /// What ended the job otherwise: the first error or panic of a subtask or an enumerator, with the stage, the subtask and the
    /// chain of causes; an abort; a stop that took too long.
    pub fn wait(mut self) -> Result<JobReport> {
        let end = self.join();
        let shared = &self.control.shared;
        match (shared.take_failure(), end) {
            (None, Some(end)) => Ok(JobReport::new(shared, end, self.began)),
            (Some(error), _) => Err(error),
            (None, None) => Err(lost()),
        }
    }

    fn failure(&mut self) -> Error {
        self.join();
        self.control.shared.take_failure().unwrap_or_else(lost)
    }

    fn join(&mut self) -> Option<End> {
        self.thread.take().and_then(|thread| thread.join().ok())
    }
}

fn lost() -> Error {
    Error::bug("the job's coordinator left without a word")
}

impl Deref for JobHandle {
    type Target = JobControl;

    fn deref(&self) -> &JobControl {
        &self.control
    }
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.control.abort("its handle was dropped");
            self.join();
        }
    }
}

impl JobControl {
    /// Stops the job in order, without waiting for it: sources read no more, what is in the queues is processed, sinks flush. Open
    /// windows are left alone, no final watermark is sent.
    pub fn stop(&self) {
        if !self.is_over() {
            self.shared.stop_sources();
        }
    }

    /// Ends the job at once: what is in the queues is lost. [`JobHandle::wait`] gives an error with this reason.
    pub fn abort(&self, reason: &str) {
        if !self.is_over() {
            self.shared.abort(reason);
        }
    }

    /// Stops the job in order at the first SIGTERM or SIGINT, aborts it at the second. While no job of the process runs, signals
    /// end the process as they would have.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_core::ErrorKind::Configuration) when the process cannot handle signals.
    pub fn stop_on_signals(&self) -> Result<()> {
        signals::stop_on_signals(self)
    }

    /// Takes a checkpoint and waits for it: the state of all operators at one point of every source.
    ///
    /// # Errors
    /// [`ErrorKind::Retry`](millstream_core::ErrorKind::Retry) while another one is under way;
    /// [`ErrorKind::Restart`](millstream_core::ErrorKind::Restart) when the job ends before it is complete.
    pub fn checkpoint(&self) -> Result<JobSnapshot> {
        self.checkpoint_to(|_| Ok(()))
    }

    /// Takes a checkpoint and hands it to `store`; operators learn that it is complete only when that has succeeded.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint), and those of `store`: the checkpoint is given up, the job runs on.
    pub fn checkpoint_to(&self, store: impl FnOnce(&JobSnapshot) -> Result<()>) -> Result<JobSnapshot> {
        if self.is_over() {
            return Err(job_is_over());
        }
        let (reply, parts) = mpsc::channel();
        self.shared.tell(Event::Checkpoint(reply));
        let parts = parts.recv().map_err(|_| job_is_over())??;
        // Told on drop, so that a panic while storing gives the checkpoint up.
        let mut told = Told { shared: &self.shared, id: parts.id, stored: false };
        let snapshot = parts.write(&self.shared)?;
        store(&snapshot)?;
        told.stored = true;
        Ok(snapshot)
    }

    /// The figures of all subtasks and operators; they stay readable after the job's end.
    pub fn figures(&self) -> Arc<JobFigures> {
        Arc::clone(&self.shared.figures)
    }

    /// The plan that runs.
    pub fn plan(&self) -> &Plan {
        &self.shared.plan
    }

    /// The number of this attempt.
    pub fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    /// Whether the job has ended, in whatever way.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    pub(crate) fn downgrade(&self) -> WeakControl {
        WeakControl { shared: Arc::downgrade(&self.shared), over: Arc::clone(&self.over) }
    }
}

impl std::fmt::Debug for JobControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobControl").field("job", &self.shared.plan.name).field("over", &self.over).finish()
    }
}

struct Told<'a> {
    shared: &'a Shared,
    id: u64,
    stored: bool,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.shared.tell(Event::Stored(self.id, self.stored));
    }
}
