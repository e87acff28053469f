//! The one thread that looks after a job: starts its subtasks, asks its enumerators, collects checkpoints, sees to its end.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use millstream_core::drive::checkpoint_stats::CheckpointKind;
use millstream_core::io::Io;
use millstream_core::snapshot::{CheckpointId, Frozen};
use millstream_core::source::Assignment;
use millstream_core::stage::End;
use millstream_core::time::Nanos;
use millstream_core::{Error, ErrorKind, Result};

use crate::ask::{Ask, CheckpointDone, Reply, job_is_over};
use crate::checkpoint::Collecting;
use crate::enumerators::{Assignments, Enumerators};
use crate::inbox::Command;
use crate::io::{self, TokioIo};
use crate::job::guarded;
use crate::life::Life;
use crate::shared::{Event, Shared};
use crate::snapshot::JobSnapshot;
use crate::worker::Worker;

// How long an aborted job waits for a thread that does not come back from a call of its stage.
const ABORT_GRACE: Duration = Duration::from_secs(10);
// How long the last I/O may take when every subtask is closed.
const IO_GRACE: Duration = Duration::from_secs(2);

/// Runs an attempt to its end on this thread. `running` is called when every subtask is open; whether something failed is in `shared`.
pub(crate) fn run(
    shared: &Arc<Shared>,
    life: &Life,
    events: Receiver<Event>,
    from: Option<&JobSnapshot>,
    running: &mut dyn FnMut(),
) -> End {
    match Coordinator::start(shared, life, events, from, running) {
        Ok(coordinator) => coordinator.run(),
        Err(error) => {
            shared.fail(error);
            End::Stopped
        }
    }
}

struct Coordinator<'a> {
    shared: Arc<Shared>,
    life: &'a Life,
    events: Receiver<Event>,
    enumerators: Enumerators,
    assignments: Assignments,
    running: &'a mut dyn FnMut(),
    threads: Vec<Option<JoinHandle<()>>>,
    runtime: tokio::runtime::Runtime,
    checkpoints: Checkpoints,
    opened: usize,
    ended: Vec<bool>,
    end: End,
    released: bool,
    stopping: bool,
    stop_deadline: Option<Nanos>,
    abort_deadline: Option<Nanos>,
}

struct Checkpoints {
    next: CheckpointId,
    collecting: Option<(Collecting, Reply)>,
    storing: Option<(CheckpointId, Reply)>,
}

impl<'a> Coordinator<'a> {
    fn start(
        shared: &Arc<Shared>,
        life: &'a Life,
        events: Receiver<Event>,
        from: Option<&JobSnapshot>,
        running: &'a mut dyn FnMut(),
    ) -> Result<Self> {
        let (enumerators, assignments) = Enumerators::start(&shared.plan, &shared.clock, from)?;
        let runtime = io::runtime(shared.options.io_threads)?;
        let io: Arc<dyn Io> = Arc::new(TokioIo::new(runtime.handle().clone()));
        let next = from.map_or(1, |from| from.checkpoint + 1);
        let mut coordinator = Self {
            shared: Arc::clone(shared),
            life,
            events,
            enumerators,
            assignments,
            running,
            threads: Vec::new(),
            runtime,
            checkpoints: Checkpoints { next, collecting: None, storing: None },
            opened: 0,
            ended: vec![false; shared.places.len()],
            end: End::Finished,
            released: false,
            stopping: false,
            stop_deadline: None,
            abort_deadline: None,
        };
        coordinator.spawn(&io, from);
        Ok(coordinator)
    }

    // A thread that cannot be started fails the job; those before it then leave by themselves.
    fn spawn(&mut self, io: &Arc<dyn Io>, from: Option<&JobSnapshot>) {
        for (index, place) in self.shared.places.iter().enumerate() {
            let restored = from.map(|from| from.restored(&self.shared.plan, *place)).unwrap_or_default();
            let worker = Worker { index, shared: Arc::clone(&self.shared), io: Arc::clone(io), restored };
            match worker.spawn() {
                Ok(thread) => self.threads.push(Some(thread)),
                Err(error) => return self.shared.fail(error),
            }
        }
    }

    fn run(mut self) -> End {
        while self.threads.iter().any(Option::is_some) {
            let event = self.next_event();
            let handled = match event {
                Some(event) => self.on(event),
                None => self.on_time(),
            };
            if let Err(error) = handled {
                self.shared.fail(error);
            }
            if self.abort_deadline.is_some_and(|deadline| deadline <= self.shared.clock.nanos()) {
                self.leave_behind();
            }
        }
        self.runtime.shutdown_timeout(IO_GRACE);
        self.end
    }

    // The next event; none when it is time for something.
    fn next_event(&self) -> Option<Event> {
        let ticks = if self.may_assign() { self.enumerators.next_tick() } else { None };
        let Some(deadline) = [ticks, self.stop_deadline, self.abort_deadline].into_iter().flatten().min()
        else {
            return self.events.recv().ok();
        };
        let left = deadline.saturating_sub(self.shared.clock.nanos());
        self.events.recv_timeout(Duration::from_nanos(left)).ok()
    }

    fn on(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Opened => self.on_opened()?,
            Event::ReaderReady(index) if self.may_assign() => {
                let assignments = self.enumerators.reader_ready(self.shared.places[index])?;
                self.assign(assignments)?;
            }
            Event::ReaderReady(_) => {}
            Event::Frozen(index, id, frozen) => self.on_frozen(index, id, frozen),
            Event::Ended(index, end) => self.on_ended(index, end),
            Event::Exited(index) => self.join(index),
            Event::Ask(ask, reply) => self.on_ask(&ask, reply)?,
            Event::Stored(id, stored) => self.on_stored(id, stored),
            Event::Stop => self.on_stop(),
            Event::Failed => self.on_failed(),
        }
        Ok(())
    }

    fn on_time(&mut self) -> Result<()> {
        if self.stop_deadline.take_if(|deadline| *deadline <= self.shared.clock.nanos()).is_some() {
            return Err(self.stop_timed_out());
        }
        if self.may_assign() {
            let assignments = self.enumerators.tick()?;
            self.assign(assignments)?;
        }
        Ok(())
    }

    // When all are open, all run; before that nothing does.
    fn on_opened(&mut self) -> Result<()> {
        self.opened += 1;
        if self.opened < self.shared.places.len() {
            return Ok(());
        }
        self.shared.command_all(|| Command::Run);
        let assignments = std::mem::take(&mut self.assignments);
        self.assign(assignments)?;
        (self.running)();
        if self.stopping {
            self.shared.command_sources(|| Command::Stop);
        }
        Ok(())
    }

    // What comes before all are open waits until they are.
    fn on_stop(&mut self) {
        let patience = nanos(self.shared.options.stop_timeout);
        self.stop_deadline.get_or_insert(self.shared.clock.nanos().saturating_add(patience));
        if !std::mem::replace(&mut self.stopping, true) && self.is_running() {
            self.shared.command_sources(|| Command::Stop);
        }
    }

    fn is_running(&self) -> bool {
        self.opened == self.shared.places.len()
    }

    fn assign(&self, assignments: Assignments) -> Result<()> {
        for (place, assignment) in assignments {
            let Assignment { subtask, .. } = assignment;
            let index = self.shared.index(place).ok_or_else(|| {
                Error::bug(format!("an enumerator assigns splits to subtask {subtask}, which does not exist"))
            })?;
            self.shared.inboxes[index].command(Command::Assign(assignment));
        }
        Ok(())
    }

    fn on_ask(&mut self, ask: &Ask, reply: Reply) -> Result<()> {
        if let Some(refusal) = self.refusal(ask) {
            let _ = reply.send(Err(refusal));
            return Ok(());
        }
        let id = self.checkpoints.next;
        self.checkpoints.next += 1;
        // Before the barrier, so that an assignment is either in this snapshot or behind the barrier.
        let enumerators = self.enumerators.snapshot(self.shared.plan.stages.len())?;
        let collecting = Collecting::new(id, self.shared.places.len(), enumerators);
        self.checkpoints.collecting = Some((collecting, reply));
        self.life.history(|history| {
            history.triggered(id, self.shared.epoch, CheckpointKind::Checkpoint, self.shared.clock.now());
        });
        self.shared.command_all(|| Command::Trigger(id));
        Ok(())
    }

    fn refusal(&self, ask: &Ask) -> Option<Error> {
        if *ask != Ask::Checkpoint {
            return Some(Error::configuration(
                "this job keeps its checkpoints in memory: it takes no savepoints",
            ));
        }
        if self.released || self.shared.has_failed() {
            return Some(job_is_over());
        }
        let busy = self.checkpoints.collecting.is_some() || self.checkpoints.storing.is_some();
        busy.then(|| Error::retry("another checkpoint is under way: try again when it is complete"))
    }

    fn on_frozen(&mut self, index: usize, id: CheckpointId, frozen: Frozen) {
        let complete = |(collecting, _): &mut (Collecting, _)| collecting.add(index, id, frozen);
        if !self.checkpoints.collecting.as_mut().is_some_and(complete) {
            return;
        }
        let Some((collecting, reply)) = self.checkpoints.collecting.take() else { return };
        self.checkpoints.storing = Some((id, reply));
        let shared = Arc::clone(&self.shared);
        let parts = collecting.finish();
        let store = move || {
            let stored = guarded("storing a checkpoint", || parts.write(&shared).map(Arc::new));
            shared.tell(Event::Stored(id, stored));
        };
        if let Err(error) = Builder::new().name("millstream-checkpoint".into()).spawn(store) {
            let error = Error::retry("no thread can be started to store a checkpoint").caused_by(error);
            self.on_stored(id, Err(error));
        }
    }

    fn on_stored(&mut self, id: CheckpointId, stored: Result<Arc<JobSnapshot>>) {
        let Some((_, reply)) = self.checkpoints.storing.take_if(|(storing, _)| *storing == id) else {
            return;
        };
        let now = self.shared.clock.now();
        let answer = match stored {
            Ok(snapshot) => {
                self.life.set_latest(snapshot);
                self.life.history(|history| history.completed(id, now));
                self.shared.command_all(|| Command::Completed(id));
                let (epoch, kind) = (self.shared.epoch, CheckpointKind::Checkpoint);
                Ok(CheckpointDone { id, epoch, kind, url: None, bytes: 0 })
            }
            Err(error) => {
                self.life.history(|history| history.failed(id, &error.chain(), now));
                self.shared.command_all(|| Command::Aborted(id));
                Err(error)
            }
        };
        // Whoever asked may not wait any more.
        let _ = reply.send(answer);
        self.release();
    }

    fn on_ended(&mut self, index: usize, end: End) {
        self.ended[index] = true;
        if end == End::Stopped {
            self.end = End::Stopped;
        }
        self.release();
    }

    // A checkpoint under way is seen through: sinks may commit by it.
    fn release(&mut self) {
        let busy = self.checkpoints.collecting.is_some() || self.checkpoints.storing.is_some();
        if !busy && !self.released && self.ended.iter().all(|ended| *ended) {
            self.released = true;
            self.shared.command_all(|| Command::Release);
        }
    }

    fn on_failed(&mut self) {
        // Whoever waits for a checkpoint learns by the dropped channel that none comes.
        self.checkpoints.collecting = None;
        self.checkpoints.storing = None;
        self.life.failing();
        self.stop_deadline = None;
        let deadline = self.shared.clock.nanos().saturating_add(nanos(ABORT_GRACE));
        self.abort_deadline.get_or_insert(deadline);
    }

    fn join(&mut self, index: usize) {
        if let Some(thread) = self.threads[index].take() {
            // It has caught its panics and is about to leave.
            let _ = thread.join();
        }
    }

    fn may_assign(&self) -> bool {
        self.is_running() && self.stop_deadline.is_none() && self.abort_deadline.is_none()
    }

    fn stop_timed_out(&self) -> Error {
        let busy = (0..self.ended.len()).filter(|index| !self.ended[*index]);
        let busy: Vec<_> = busy.map(|index| self.shared.who(index)).collect();
        let message = format!(
            "the job did not stop within {}, what these hold was not written: {}",
            humantime::format_duration(self.shared.options.stop_timeout),
            busy.join(", ")
        );
        Error::new(ErrorKind::Restart, message)
    }

    // A call that never returns cannot be ended from outside; the job's report must not wait for it.
    fn leave_behind(&mut self) {
        for (index, thread) in self.threads.iter_mut().enumerate() {
            if thread.take().is_some() {
                tracing::error!(
                    "{} does not return from a call: its thread is left behind",
                    self.shared.who(index)
                );
            }
        }
    }
}

fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}
