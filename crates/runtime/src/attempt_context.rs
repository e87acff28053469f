//! What all threads of one attempt to run a job share.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use millstream_protocol::checkpointing::Logged;
use millstream_record::{Error, ErrorKind, Result};
use millstream_stage::metrics::SubtaskMetrics;
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::stage::End;
use parking_lot::{Mutex, MutexGuard};

use crate::ask::{Ask, ReplyTo};
use crate::checkpoint_storage::{SubtaskSnapshot, WrittenCheckpoint};
use crate::inbox::{Inbox, ThreadCommand};
use crate::layout::{self, SubtaskId};
use crate::setup::Setup;

/// The messages to the coordinator. Subtasks are numbered over all stages.
pub(crate) enum CoordinatorMessage {
    /// A subtask is open and waits for [`ThreadCommand::Run`].
    Opened,
    /// A source's reader waits for splits.
    ReaderReady(usize),
    /// A subtask's part of a checkpoint.
    Frozen(usize, CheckpointId, SubtaskSnapshot),
    /// A subtask has done all its work and waits for its release; its source may have ended too early.
    Ended(usize, End, Option<Error>),
    /// A subtask that has ended has committed what the last checkpoint holds.
    Settled(usize),
    /// A subtask's thread is about to leave.
    Exited(usize),
    /// Somebody wants a checkpoint.
    Ask(Ask, ReplyTo),
    /// The parts of a checkpoint were stored, or could not be.
    WrittenCheckpoint(CheckpointId, Result<WrittenCheckpoint>),
    /// What came of a checkpoint's log entry.
    Logged(CheckpointId, Logged),
    /// What came of the entry that says that the job has finished.
    FinishLogged(Logged),
    /// Files that are of no use any more are deleted, and these checkpoints with them.
    Cleaned(Vec<CheckpointId>),
    /// The job is to end in order.
    Stop,
    /// Something failed: [`AttemptContext::fail`].
    Failed,
}

/// Why an attempt ended before its time.
pub(crate) struct AttemptFailure {
    pub(crate) error: Error,
    /// The subtask, where it was one.
    pub(crate) task: Option<String>,
    /// Somebody wanted it: no new attempt follows.
    pub(crate) wanted: bool,
}

/// What all threads of one attempt share.
pub(crate) struct AttemptContext {
    /// What is the same for every attempt.
    pub(crate) setup: Arc<Setup>,
    pub(crate) epoch: u64,
    pub(crate) inboxes: Vec<Arc<Inbox>>,
    events: Sender<CoordinatorMessage>,
    failure: Mutex<Option<AttemptFailure>>,
}

impl AttemptContext {
    pub(crate) fn new(setup: Arc<Setup>, epoch: u64, events: Sender<CoordinatorMessage>) -> Self {
        let inbox = |(place, metrics): (&SubtaskId, &Arc<SubtaskMetrics>)| {
            let channels = layout::channels(&setup.plan, *place).len();
            let (bytes, clock) = (setup.options.channel_bytes, Arc::clone(&setup.clock));
            Arc::new(Inbox::new(channels, bytes, clock, Arc::clone(metrics)))
        };
        let inboxes = setup.places.iter().zip(&setup.metrics.subtasks).map(inbox).collect();
        Self { setup, epoch, inboxes, events, failure: Mutex::default() }
    }

    /// Tells the coordinator. After its end there is nobody to tell, and nothing to do.
    pub(crate) fn tell(&self, event: CoordinatorMessage) {
        let _ = self.events.send(event);
    }

    /// Tells every subtask.
    pub(crate) fn command_all(&self, command: impl Fn() -> ThreadCommand) {
        self.inboxes.iter().for_each(|inbox| inbox.command(command()));
    }

    /// Tells every source.
    pub(crate) fn command_sources(&self, command: impl Fn() -> ThreadCommand) {
        for (index, inbox) in self.inboxes.iter().enumerate() {
            if self.setup.stage(index).enumerator.is_some() {
                inbox.command(command());
            }
        }
    }

    /// Ends the whole attempt with an error; the first one counts.
    pub(crate) fn fail(&self, error: Error) {
        self.end_with(AttemptFailure { error, task: None, wanted: false });
    }

    /// Ends the whole attempt with a subtask's error.
    pub(crate) fn fail_task(&self, index: usize, error: Error) {
        self.end_with(AttemptFailure { error, task: Some(self.setup.who(index)), wanted: false });
    }

    /// Ends the whole attempt because somebody wants it.
    pub(crate) fn abort(&self, reason: &str) {
        let error =
            Error::new(ErrorKind::Restart, format!("job `{}` was aborted: {reason}", self.setup.plan.name));
        self.end_with(AttemptFailure { error, task: None, wanted: true });
    }

    fn end_with(&self, failure: AttemptFailure) {
        self.failure().get_or_insert(failure);
        self.inboxes.iter().for_each(|inbox| inbox.abort());
        self.tell(CoordinatorMessage::Failed);
    }

    /// Why the attempt ended.
    pub(crate) fn take_failure(&self) -> Option<AttemptFailure> {
        self.failure().take()
    }

    fn failure(&self) -> MutexGuard<'_, Option<AttemptFailure>> {
        self.failure.lock()
    }
}
