//! The one thread that looks after an attempt: starts its subtasks, asks its enumerators, takes checkpoints,
//! sees to its end.

mod flight;
mod snapshots;
mod stopping;

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Duration;

use millstream_protocol::checkpointing::{CheckpointCoordinator, CoordinatorEvent, StopOptions};
use millstream_protocol::enumerators::{Assignments, Enumerators, Guard};
use millstream_protocol::subtask::SubtaskCommand;
use millstream_record::{Error, Result};
use millstream_stage::io::Io;
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::stage::End;
use millstream_stage::trouble::Reporter;

use self::flight::{Askers, Flight};
use self::stopping::Stopping;
use crate::attempt_context::{AttemptContext, CoordinatorMessage};
use crate::checkpoint_storage::CompletedCheckpointStore;
use crate::inbox::ThreadCommand;
use crate::io::{self, TokioIo};
use crate::job_state::JobState;
use crate::panics;
use crate::snapshot::JobSnapshot;
use crate::worker::Worker;

// How long sinks may commit after the checkpoint that a stopped job ends with.
const COMMIT_GRACE: Duration = Duration::from_secs(2);
// How long the last I/O may take when every subtask is closed.
const IO_GRACE: Duration = Duration::from_secs(2);

/// What an attempt runs with.
pub(crate) struct Begin<'a> {
    pub(crate) events: Receiver<CoordinatorMessage>,
    pub(crate) from: Option<&'a JobSnapshot>,
    pub(crate) next_checkpoint: u64,
    pub(crate) checkpoint_store: Arc<dyn CompletedCheckpointStore>,
    /// Called when every subtask is open.
    pub(crate) running: &'a mut dyn FnMut(),
}

/// How an attempt ended, if nothing failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) end: End,
    /// It was stopped with a savepoint.
    pub(crate) with_savepoint: bool,
}

/// Runs an attempt to its end on this thread; whether something failed is in `attempt`.
pub(crate) fn run<'a>(attempt: &Arc<AttemptContext>, state: &'a JobState, begin: Begin<'a>) -> Ending {
    match Coordinator::start(attempt, state, begin) {
        Ok(coordinator) => coordinator.run(),
        Err(error) => {
            attempt.fail(error);
            Ending { end: End::Stopped, with_savepoint: false }
        }
    }
}

struct Coordinator<'a> {
    attempt: Arc<AttemptContext>,
    state: &'a JobState,
    events: Receiver<CoordinatorMessage>,
    enumerators: Enumerators,
    assignments: Assignments,
    running: &'a mut dyn FnMut(),
    threads: Vec<Option<JoinHandle<()>>>,
    runtime: tokio::runtime::Runtime,
    machine: CheckpointCoordinator,
    checkpoint_store: Arc<dyn CompletedCheckpointStore>,
    flight: Option<Flight>,
    askers: Askers,
    reporters: Reporters,
    stopped_with_savepoint: bool,
    opened: usize,
    ended: Vec<bool>,
    // Subtasks whose output is committed.
    settled: Vec<bool>,
    // The snapshot that the job ends with, once it stands.
    last: Option<CheckpointId>,
    end: End,
    // Why a source ended before the end of its input.
    damage: Option<Error>,
    stopping: Stopping,
}

/// Where lasting troubles with checkpoints are said.
struct Reporters {
    checkpoints: Reporter,
    log: Reporter,
}

impl Reporters {
    fn new(attempt: &AttemptContext) -> Self {
        let reporter = |what: &str| {
            attempt.setup.metrics.troubles.reporter(format!("{what} of job `{}`", attempt.setup.plan.name))
        };
        Self { checkpoints: reporter("the checkpoints"), log: reporter("the log of checkpoints") }
    }
}

impl<'a> Coordinator<'a> {
    fn start(attempt: &Arc<AttemptContext>, state: &'a JobState, begin: Begin<'a>) -> Result<Self> {
        let Begin { events, from, next_checkpoint, checkpoint_store, running } = begin;
        let troubles = &attempt.setup.metrics.troubles;
        let guard: Guard = |call| panics::catch(call);
        let mut enumerators = Enumerators::make(&attempt.setup.plan, &attempt.setup.clock, troubles, guard)?;
        let assignments = enumerators.start(&attempt.setup.plan, from)?;
        let runtime = io::runtime(attempt.setup.options.io_threads)?;
        let io: Arc<dyn Io> = Arc::new(TokioIo::new(runtime.handle().clone()));
        let mut coordinator = Self {
            attempt: Arc::clone(attempt),
            state,
            events,
            enumerators,
            assignments,
            running,
            threads: Vec::new(),
            runtime,
            machine: machine(attempt, next_checkpoint, checkpoint_store.as_ref()),
            checkpoint_store,
            flight: None,
            askers: Askers::default(),
            reporters: Reporters::new(attempt),
            stopped_with_savepoint: false,
            opened: 0,
            ended: vec![false; attempt.setup.places.len()],
            settled: vec![false; attempt.setup.places.len()],
            last: None,
            end: End::Finished,
            damage: None,
            stopping: Stopping::default(),
        };
        coordinator.spawn(&io, from);
        Ok(coordinator)
    }

    // A thread that cannot be started fails the job; those before it then leave by themselves.
    fn spawn(&mut self, io: &Arc<dyn Io>, from: Option<&JobSnapshot>) {
        for (index, place) in self.attempt.setup.places.iter().enumerate() {
            let restored =
                from.map(|from| from.restored(&self.attempt.setup.plan, *place)).unwrap_or_default();
            let worker = Worker { index, attempt: Arc::clone(&self.attempt), io: Arc::clone(io), restored };
            match worker.spawn() {
                Ok(thread) => self.threads.push(Some(thread)),
                Err(error) => return self.attempt.fail(error),
            }
        }
    }

    fn run(mut self) -> Ending {
        while self.threads.iter().any(Option::is_some) {
            let event = self.next_event();
            let handled = match event {
                Some(event) => self.on(event),
                None => self.on_time(),
            };
            for error in [handled, self.lose_patience()].into_iter().filter_map(Result::err) {
                self.attempt.fail(error);
            }
        }
        self.runtime.shutdown_timeout(IO_GRACE);
        Ending { end: self.end, with_savepoint: self.stopped_with_savepoint }
    }

    // The next event; none when it is time for something.
    fn next_event(&self) -> Option<CoordinatorMessage> {
        let ticks = if self.may_assign() { self.enumerators.next_tick() } else { None };
        let [stop, leave] = self.stopping.deadlines();
        let deadlines = [ticks, self.machine.wake_at(), stop, leave];
        let Some(deadline) = deadlines.into_iter().flatten().min() else {
            return self.events.recv().ok();
        };
        let left = deadline.saturating_sub(self.attempt.setup.clock.nanos());
        self.events.recv_timeout(Duration::from_nanos(left)).ok()
    }

    fn on(&mut self, event: CoordinatorMessage) -> Result<()> {
        match event {
            CoordinatorMessage::Opened => self.on_opened()?,
            CoordinatorMessage::ReaderReady(index) if self.may_assign() => {
                let assignments = self.enumerators.reader_ready(self.attempt.setup.places[index])?;
                self.assign(assignments);
            }
            CoordinatorMessage::ReaderReady(_) => {}
            CoordinatorMessage::Frozen(index, id, part) => self.on_frozen(index, id, part)?,
            CoordinatorMessage::Ended(index, end, damage) => self.on_ended(index, end, damage)?,
            CoordinatorMessage::Settled(subtask) => {
                self.settled[subtask] = true;
                self.happened(CoordinatorEvent::Settled { subtask })?;
            }
            CoordinatorMessage::Exited(index) => self.join(index),
            CoordinatorMessage::Ask(ask, reply) => self.on_ask(ask, reply)?,
            CoordinatorMessage::WrittenCheckpoint(id, written) => self.on_written(id, written)?,
            CoordinatorMessage::Logged(id, logged) => self.on_logged(id, logged)?,
            CoordinatorMessage::FinishLogged(logged) => {
                self.happened(CoordinatorEvent::FinishLogged(logged))?;
            }
            CoordinatorMessage::Cleaned(retired) => self.state.history(|history| history.discarded(&retired)),
            CoordinatorMessage::Stop => self.on_stop()?,
            CoordinatorMessage::Failed => self.on_failed()?,
        }
        Ok(())
    }

    fn on_time(&mut self) -> Result<()> {
        if self.may_assign() {
            let assignments = self.enumerators.tick()?;
            self.assign(assignments);
        }
        self.happened(CoordinatorEvent::Tick)
    }

    // When all are open, all run; before that nothing does.
    fn on_opened(&mut self) -> Result<()> {
        self.opened += 1;
        if self.opened < self.attempt.setup.places.len() {
            return Ok(());
        }
        self.attempt.command_all(|| ThreadCommand::Run);
        let assignments = std::mem::take(&mut self.assignments);
        self.assign(assignments);
        (self.running)();
        if let Some(end) = self.stopping.stop_sent() {
            self.attempt.command_sources(|| ThreadCommand::Protocol(SubtaskCommand::Stop(end)));
        }
        self.happened(CoordinatorEvent::Started)
    }

    fn is_running(&self) -> bool {
        self.opened == self.attempt.setup.places.len()
    }

    fn assign(&self, assignments: Assignments) {
        for (place, assignment) in assignments {
            if let Some(index) = self.attempt.setup.index(place) {
                self.attempt.inboxes[index]
                    .command(ThreadCommand::Protocol(SubtaskCommand::Assign(assignment)));
            }
        }
    }

    // A job whose input is damaged writes what came before the damage, then it fails: a last checkpoint would
    // say that all was read.
    fn on_ended(&mut self, subtask: usize, end: End, damage: Option<Error>) -> Result<()> {
        self.ended[subtask] = true;
        self.damage = self.damage.take().or(damage);
        if end == End::Stopped {
            self.end = End::Stopped;
        }
        if self.ended.iter().all(|ended| *ended) {
            if let Some(error) = self.damage.take_if(|_| self.end == End::Finished) {
                return Err(error);
            }
            self.all_have_ended();
        }
        self.happened(CoordinatorEvent::Ended { subtask, end })
    }

    fn join(&mut self, index: usize) {
        if let Some(thread) = self.threads[index].take() {
            // It has caught its panics and is about to leave.
            let _ = thread.join();
        }
    }

    fn may_assign(&self) -> bool {
        self.is_running() && !self.stopping.is_under_way()
    }
}

// A stop waits for no sink that does not write where somebody can go on from its snapshot.
fn machine(
    attempt: &AttemptContext,
    next: CheckpointId,
    checkpoint_store: &dyn CompletedCheckpointStore,
) -> CheckpointCoordinator {
    let machine = CheckpointCoordinator::new(
        attempt.setup.options.checkpointing.clone(),
        attempt.setup.places.len(),
        next,
    );
    match checkpoint_store.outlives_the_process() {
        true => machine.leaving_unwritten(StopOptions {
            flush: attempt.setup.options.stop_flush_timeout,
            commit: COMMIT_GRACE,
        }),
        false => machine,
    }
}
