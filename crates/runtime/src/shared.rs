//! What all threads of a job share.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use millstream_core::figures::{JobFigures, SubtaskFigures};
use millstream_core::plan::{Plan, StageSpec};
use millstream_core::snapshot::{CheckpointId, Frozen};
use millstream_core::stage::End;
use millstream_core::time::Clock;
use millstream_core::{Error, ErrorKind, Result};

use crate::checkpoint::Parts;
use crate::inbox::{Command, Inbox};
use crate::layout::{self, Place};
use crate::options::RuntimeOptions;

/// What the coordinator is told. Subtasks are numbered over all stages.
pub(crate) enum Event {
    /// A subtask is open and waits for [`Command::Run`].
    Opened,
    /// A source's reader waits for splits.
    ReaderReady(usize),
    /// A subtask's part of a checkpoint.
    Frozen(usize, CheckpointId, Frozen),
    /// A subtask has done all its work and waits for its release.
    Ended(usize, End),
    /// A subtask's thread is about to leave.
    Exited(usize),
    /// Somebody wants a checkpoint.
    Checkpoint(Sender<Result<Parts>>),
    /// The parts of a checkpoint were stored, or could not be.
    Stored(CheckpointId, bool),
    /// Sources were told to stop.
    Stopping,
    /// Something failed: [`Shared::fail`].
    Failed,
}

/// What all threads of a job share.
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    pub(crate) options: RuntimeOptions,
    pub(crate) epoch: u64,
    pub(crate) places: Vec<Place>,
    pub(crate) inboxes: Vec<Arc<Inbox>>,
    pub(crate) figures: Arc<JobFigures>,
    pub(crate) clock: Arc<dyn Clock>,
    events: Sender<Event>,
    failure: Mutex<Option<Error>>,
}

impl Shared {
    pub(crate) fn new(
        plan: Plan,
        options: RuntimeOptions,
        epoch: u64,
        clock: Arc<dyn Clock>,
        events: Sender<Event>,
    ) -> Self {
        let places = layout::places(&plan);
        let figures =
            |place: &Place| SubtaskFigures::new(&plan.stages[place.stage as usize].name, place.subtask);
        let subtasks: Vec<_> = places.iter().map(figures).collect();
        let inbox = |(place, figures): (&Place, &Arc<SubtaskFigures>)| {
            let lanes = layout::lanes(&plan, *place).len();
            Arc::new(Inbox::new(lanes, options.channel_bytes, Arc::clone(&clock), Arc::clone(figures)))
        };
        let inboxes = places.iter().zip(&subtasks).map(inbox).collect();
        let figures = Arc::new(JobFigures { job: plan.name.clone(), subtasks });
        Self { plan, options, epoch, places, inboxes, figures, clock, events, failure: Mutex::default() }
    }

    /// The stage that a subtask runs.
    pub(crate) fn stage(&self, index: usize) -> &StageSpec {
        &self.plan.stages[self.places[index].stage as usize]
    }

    /// A subtask's name in messages.
    pub(crate) fn who(&self, index: usize) -> String {
        let stage = self.stage(index);
        let number = self.places[index].subtask + 1;
        format!("stage `{}` (subtask {number} of {})", stage.name, stage.parallelism)
    }

    /// A subtask's number.
    pub(crate) fn index(&self, place: Place) -> Option<usize> {
        self.places.iter().position(|other| *other == place)
    }

    /// Tells the coordinator. After its end there is nobody to tell, and nothing to do.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Tells every subtask.
    pub(crate) fn command_all(&self, command: impl Fn() -> Command) {
        self.inboxes.iter().for_each(|inbox| inbox.command(command()));
    }

    /// Tells every source to read no more.
    pub(crate) fn stop_sources(&self) {
        for (index, inbox) in self.inboxes.iter().enumerate() {
            if self.stage(index).enumerator.is_some() {
                inbox.command(Command::Stop);
            }
        }
        self.tell(Event::Stopping);
    }

    /// Ends the whole job with an error; the first one counts.
    pub(crate) fn fail(&self, error: Error) {
        self.failure().get_or_insert(error);
        self.inboxes.iter().for_each(|inbox| inbox.abort());
        self.tell(Event::Failed);
    }

    /// Ends the whole job because somebody wants it.
    pub(crate) fn abort(&self, reason: &str) {
        self.fail(Error::new(ErrorKind::Restart, format!("job `{}` was aborted: {reason}", self.plan.name)));
    }

    /// The error that ended the job.
    pub(crate) fn take_failure(&self) -> Option<Error> {
        self.failure().take()
    }

    /// Whether something failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure().is_some()
    }

    fn failure(&self) -> std::sync::MutexGuard<'_, Option<Error>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
