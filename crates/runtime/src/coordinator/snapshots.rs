//! Does what the pure coordinator of checkpoints decides: tells subtasks, stores, logs, answers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::Builder;

use millstream_protocol::checkpoint_stats::CheckpointKind;
use millstream_protocol::checkpointing::{
    AbortReason, CoordinatorDecision, CoordinatorEvent, Logged, Request, Wanted,
};
use millstream_protocol::subtask::SubtaskCommand;
use millstream_record::{Error, Result};
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::stage::End;

use super::Coordinator;
use super::flight::{Flight, millis};
use crate::ask::{Ask, ReplyTo};
use crate::attempt_context::CoordinatorMessage;
use crate::checkpoint_storage::{SubtaskSnapshot, WrittenCheckpoint};
use crate::inbox::ThreadCommand;
use crate::panics::guarded;

impl Coordinator<'_> {
    /// Tells the pure coordinator what happened, and does what it decides.
    pub(super) fn happened(&mut self, event: CoordinatorEvent) -> Result<()> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for decision in self.machine.on(event, self.attempt.setup.clock.nanos()) {
                events.extend(self.act(decision)?);
            }
        }
        Ok(())
    }

    pub(super) fn on_ask(&mut self, ask: Ask, reply: ReplyTo) -> Result<()> {
        let wanted = match &ask {
            Ask::Checkpoint => Wanted::Checkpoint,
            Ask::Savepoint(_) => Wanted::Savepoint,
            Ask::Stop { drain, .. } => Wanted::Stop { drain: *drain },
        };
        let token = self.askers.add(ask, reply);
        self.happened(CoordinatorEvent::Requested(Request { token, wanted }))
    }

    pub(super) fn on_frozen(&mut self, index: usize, id: CheckpointId, part: SubtaskSnapshot) -> Result<()> {
        let Some(flight) = self.flight.as_mut().filter(|flight| flight.id == id) else { return Ok(()) };
        let stats = flight.add(&self.attempt.setup, index, part);
        let now = self.attempt.setup.clock.now();
        self.state.history(|history| history.acknowledged(id, stats, now));
        self.happened(CoordinatorEvent::Frozen { id, subtask: index })
    }

    pub(super) fn on_written(&mut self, id: CheckpointId, written: Result<WrittenCheckpoint>) -> Result<()> {
        let result = match written {
            Err(error) => Err(error.chain()),
            Ok(written) => {
                self.note_written(id, &written);
                if let Some(flight) = self.flight.as_mut().filter(|flight| flight.id == id) {
                    flight.written = Some(written);
                }
                Ok(())
            }
        };
        self.happened(CoordinatorEvent::Written { id, result })
    }

    pub(super) fn on_logged(&mut self, id: CheckpointId, logged: Logged) -> Result<()> {
        let now = self.attempt.setup.clock.nanos();
        if let Logged::Unknown(why) = &logged {
            self.reporters
                .log
                .failed(now, format_args!("whether checkpoint {id} stands is not known: {why}"));
            self.state.history(|history| history.in_doubt(id, why));
        } else {
            self.reporters.log.recovered(now);
        }
        self.happened(CoordinatorEvent::Logged { id, logged })
    }

    fn note_written(&self, id: CheckpointId, written: &WrittenCheckpoint) {
        self.state.history(|history| {
            let Some(stats) = history.in_progress(id) else { return };
            stats.url.clone_from(&written.url);
            (stats.bytes, stats.bytes_written) = (written.bytes, written.bytes_written);
            for (place, (nanos, bytes)) in self.attempt.setup.places.iter().zip(&written.parts) {
                let stage = &self.attempt.setup.plan.stages[place.stage as usize].name;
                let same =
                    stats.subtasks.iter_mut().find(|s| s.stage == *stage && s.subtask == place.subtask);
                if let Some(subtask) = same {
                    (subtask.asynchronous, subtask.bytes) = (millis(*nanos), *bytes);
                }
            }
        });
    }

    // Gives what happened by doing it.
    fn act(&mut self, decision: CoordinatorDecision) -> Result<Option<CoordinatorEvent>> {
        match decision {
            CoordinatorDecision::Trigger { id, kind, hold, request } => {
                self.trigger(id, kind, hold, request)?;
            }
            CoordinatorDecision::Write(id) => self.write(id),
            CoordinatorDecision::Log(id) => self.log(id),
            CoordinatorDecision::Complete { id, commits, last, request } => {
                self.complete(id, commits, last, request);
            }
            CoordinatorDecision::Abort { id, reason, request } => self.give_up(id, &reason, request),
            CoordinatorDecision::Refuse { token, why } => self.askers.answer(Some(token), Err(why)),
            CoordinatorDecision::StopSources { drain } => {
                self.stop_sources(if drain { End::Finished } else { End::Stopped });
            }
            CoordinatorDecision::LogFinish => {
                let checkpoint_store = Arc::clone(&self.checkpoint_store);
                self.beside(move |setup| CoordinatorMessage::FinishLogged(checkpoint_store.finish(setup)));
            }
            CoordinatorDecision::Release => self.release(),
            CoordinatorDecision::FailJob { kind, message } => self.attempt.fail(Error::new(kind, message)),
        }
        Ok(None)
    }

    fn trigger(
        &mut self,
        id: CheckpointId,
        kind: CheckpointKind,
        hold: bool,
        request: Option<u64>,
    ) -> Result<()> {
        // Before the barrier, so that an assignment is either in this snapshot or behind the barrier.
        let enumerators = self.enumerators.snapshot(self.attempt.setup.plan.stages.len())?;
        let parts = (0..self.attempt.setup.places.len()).map(|_| None).collect();
        let default = || self.attempt.setup.options.savepoints_dir.clone();
        let dir = request.and_then(|token| self.askers.dir(token)).or_else(default);
        let (epoch, requested) = (self.attempt.epoch, request.is_some());
        let last = request.is_some_and(|token| self.askers.is_stop(token));
        self.flight =
            Some(Flight { id, epoch, kind, requested, last, dir, enumerators, parts, written: None });
        let now = self.attempt.setup.clock.now();
        self.state.history(|history| history.triggered(id, epoch, kind, now));
        self.attempt.command_all(|| ThreadCommand::Protocol(SubtaskCommand::Trigger { id, hold }));
        Ok(())
    }

    fn write(&mut self, id: CheckpointId) {
        let Some(flight) = self.flight.as_mut() else { return };
        let (checkpoint_store, snapshot) = (Arc::clone(&self.checkpoint_store), flight.take());
        self.beside(move |setup| {
            CoordinatorMessage::WrittenCheckpoint(
                id,
                guarded("storing a checkpoint", || checkpoint_store.write(setup, snapshot)),
            )
        });
    }

    fn log(&mut self, id: CheckpointId) {
        let Some(flight) = &self.flight else { return };
        let Some(written) = flight.written.clone() else { return };
        let (checkpoint_store, last) = (Arc::clone(&self.checkpoint_store), flight.last);
        self.beside(move |setup| {
            let logged = guarded("logging a checkpoint", || Ok(checkpoint_store.log(setup, &written, last)));
            CoordinatorMessage::Logged(id, logged.unwrap_or_else(|error| Logged::Unknown(error.chain())))
        });
    }

    fn complete(&mut self, id: CheckpointId, commits: bool, last: bool, request: Option<u64>) {
        let now = self.attempt.setup.clock.now();
        self.state.history(|history| history.completed(id, now));
        if commits {
            self.attempt.command_all(|| ThreadCommand::Protocol(SubtaskCommand::Completed { id, last }));
        } else {
            self.attempt.command_all(|| ThreadCommand::Protocol(SubtaskCommand::Aborted(id)));
        }
        let Some(flight) = self.flight.take() else { return };
        self.stopped_with_savepoint |= last && flight.kind == CheckpointKind::Savepoint;
        if last {
            self.last = Some(id);
            self.expect_the_end();
        }
        tracing::debug!("checkpoint {id} is complete");
        self.reporters.checkpoints.recovered(self.attempt.setup.clock.nanos());
        self.askers.answer(request, Ok(flight.done()));
        let checkpoint_store = Arc::clone(&self.checkpoint_store);
        self.beside(move |_| CoordinatorMessage::Cleaned(checkpoint_store.clean()));
    }

    fn give_up(&mut self, id: CheckpointId, reason: &AbortReason, request: Option<u64>) {
        let now = self.attempt.setup.clock.now();
        self.state.history(|history| history.failed(id, &reason.to_string(), now));
        if *reason != AbortReason::JobFailed {
            let message = format_args!("checkpoint {id} was given up: {reason}");
            self.reporters.checkpoints.failed(self.attempt.setup.clock.nanos(), message);
        }
        self.attempt.command_all(|| ThreadCommand::Protocol(SubtaskCommand::Aborted(id)));
        self.flight = None;
        self.askers.answer(request, Err(format!("checkpoint {id} was given up: {reason}")));
        let checkpoint_store = Arc::clone(&self.checkpoint_store);
        self.beside(move |_| CoordinatorMessage::Cleaned(checkpoint_store.clean()));
    }

    // Work that may take long, on a thread of its own: a slow store holds up neither the subtasks nor this
    // thread.
    fn beside(&self, work: impl FnOnce(&crate::setup::Setup) -> CoordinatorMessage + Send + 'static) {
        let attempt = Arc::clone(&self.attempt);
        let work = move || {
            let event = work(&attempt.setup);
            attempt.tell(event);
        };
        if let Err(error) = Builder::new().name("millstream-checkpoint".into()).spawn(work) {
            let message = "no thread can be started to store a checkpoint";
            self.attempt.fail(Error::restart(message).caused_by(error));
        }
    }
}
