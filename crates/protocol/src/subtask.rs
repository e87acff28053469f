//! What one subtask does next: a pure state machine, events in, decisions out.
//!
//! It holds every rule of a subtask: which channel may be read, how long a source is held behind a barrier,
//! when `prepare`, `snapshot`, `completed` and `aborted` are called, what a command may overtake, when the
//! subtask ends and when it has settled. A driver brings events, makes the calls of the stage that follow,
//! and reports their answers:
//!
//! 1. [`on`](SubtaskProtocol::on) takes what came: an element of a channel, a command, or that it is time to
//!    resume.
//! 2. [`next_decision`](SubtaskProtocol::next_decision) says what to do, until there is nothing left. The
//!    answer of each [`StageCall`] goes to [`answered`](SubtaskProtocol::answered) before the next decision
//!    is asked for.
//! 3. [`can`](SubtaskProtocol::can) says which [`Move`]s are possible without anything from outside, and
//!    [`make`](SubtaskProtocol::make) makes one. The thread driver makes the first of [`Move::all`] that is
//!    possible, the simulation any of them: every order is allowed.
//! 4. [`channels`](SubtaskProtocol::channels) and [`is_held`](SubtaskProtocol::is_held) say what may be taken
//!    next, and [`wants_resume`](SubtaskProtocol::wants_resume) and [`wake_at`](SubtaskProtocol::wake_at)
//!    when to resume.

mod messages;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

pub use self::messages::{
    Asked, Channels, Move, ReaderState, StageCall, SubtaskCommand, SubtaskDecision, SubtaskEvent,
};
use super::barrier_alignment::{Alignment, AlignmentDecision, AlignmentEvent};
use super::broken::BrokenRule;
use super::inputs::{InputEvent, Inputs};
use millstream_record::{Error, Result};
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::source::Assignment;
use millstream_stage::stage::{End, InputId, Stage};
use millstream_stage::step::Step;
use millstream_stage::time::Time;

/// Decides what one subtask does.
#[derive(Debug)]
pub struct SubtaskProtocol {
    inputs: Inputs,
    alignment: Alignment,
    /// A barrier that has come on every channel and was not passed on yet.
    barrier: Option<PreparingCheckpoint>,
    /// The source reads nothing behind this barrier until its checkpoint is given up, or the source is told
    /// to stop.
    hold: Option<CheckpointId>,
    /// The last checkpoint is complete: its output is to be committed.
    settling: Option<PreparingCheckpoint>,
    /// What the channels mean for the inputs, not yet told to the stage.
    news: VecDeque<InputEvent>,
    /// Commands that must not overtake the barrier at hand.
    deferred: VecDeque<SubtaskCommand>,
    decisions: VecDeque<SubtaskDecision>,
    /// Inputs whose end the stage has not heard of; 1 for a source until it ends.
    open_inputs: usize,
    is_source: bool,
    reported_ready: bool,
    stopped: bool,
    ended: bool,
    /// Whoever aligns the channels says that a barrier is on its way.
    awaits_barrier: bool,
    step: Step,
    broken: Option<BrokenRule>,
}

/// A checkpoint for which `prepare` is called, again and again until it is complete.
#[derive(Clone, Copy, Debug)]
struct PreparingCheckpoint {
    id: CheckpointId,
    /// Whether `prepare` is to be called (again).
    due: bool,
}

impl SubtaskProtocol {
    /// For a subtask with these inputs, out of `count`; none for a source. `exactly_once` makes channels wait
    /// for each other at a barrier.
    pub fn new(count: InputId, feeds: &[InputId], is_source: bool, exactly_once: bool) -> Self {
        let inputs = Inputs::new(count, feeds);
        let alignment = Alignment::new(feeds.len());
        Self {
            news: inputs.unfed().collect(),
            inputs,
            alignment: if exactly_once { alignment } else { alignment.without_holding() },
            barrier: None,
            hold: None,
            settling: None,
            deferred: VecDeque::new(),
            decisions: VecDeque::new(),
            open_inputs: if is_source { 1 } else { usize::from(count) },
            is_source,
            reported_ready: false,
            stopped: false,
            ended: false,
            awaits_barrier: false,
            // The first call is a resume: a source reads, restored timers say when they are due.
            step: Step::MORE,
            broken: None,
        }
    }

    /// Breaks a rule on purpose, so that the simulation can show that it finds that.
    #[doc(hidden)]
    #[must_use]
    pub fn breaking(self, broken: Option<BrokenRule>) -> Self {
        Self { broken, ..self }
    }

    /// For a driver below which somebody else aligns the channels, as Flink does: says whether a barrier is on
    /// its way, so that a blocked stage takes data. The barrier itself comes on all channels at once; until
    /// then nothing else may begin it, neither a trigger nor the end of the last channel.
    pub fn await_barrier(&mut self, awaits: bool) {
        self.awaits_barrier = awaits;
    }

    /// For a driver whose job may end with a savepoint while its inputs go on, as Flink's: the subtask ends
    /// here, without a word to anybody downstream. What the savepoint has ordered can then be settled.
    pub fn suspend(&mut self) {
        self.ended = true;
    }

    /// Takes what happened.
    pub fn on(&mut self, event: SubtaskEvent) {
        match event {
            SubtaskEvent::Watermark(channel, watermark) => {
                self.news.extend(self.inputs.on_watermark(channel, watermark).into_iter().flatten());
            }
            SubtaskEvent::Barrier(channel, id) => self.barrier_came(channel, id),
            SubtaskEvent::End(channel, end) => {
                self.news.extend(self.inputs.end(channel, end).into_iter().flatten());
                self.align(AlignmentEvent::Ended(channel));
            }
            SubtaskEvent::Command(command) => self.command(command),
            SubtaskEvent::Resume => self.resume(),
        }
    }

    /// What is to be done next; none when the event or the move is dealt with.
    pub fn next_decision(&mut self) -> Option<SubtaskDecision> {
        self.decisions.pop_front()
    }

    /// Takes the answer of a call. The wishes of a `resume` replace all earlier ones, those of other calls
    /// add to them.
    pub fn answered(&mut self, asked: Asked, step: Step) {
        match asked {
            Asked::Resume => self.step = step,
            Asked::Prepare(id) => {
                self.step = self.step.and(step);
                self.prepared(id, step);
            }
            Asked::Other => self.step = self.step.and(step),
        }
    }

    /// Whether a move is possible.
    pub fn can(&self, wanted: Move) -> bool {
        match wanted {
            Move::Barrier => self.barrier.is_some_and(|barrier| barrier.due),
            Move::Reader(reader) => {
                self.watches_reader() && (reader.finished || (reader.waiting && !self.reported_ready))
            }
            Move::InputEvent => self.barrier.is_none() && !self.news.is_empty() && self.takes_data(),
            Move::End => !self.ended && self.barrier.is_none() && self.has_flushed(),
            Move::Settle => {
                self.ended && self.barrier.is_none() && self.settling.is_some_and(|settling| settling.due)
            }
        }
    }

    /// The first of [`Move::all`] that is possible; a source's reader is asked where it matters.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](millstream_record::ErrorKind::Bug) for a source's subtask whose stage has no reader.
    pub fn next_move(&self, stage: &mut dyn Stage) -> Result<Option<Move>> {
        let mut reader = ReaderState::default();
        if self.watches_reader() {
            let source = stage.source();
            let source = source.ok_or_else(|| Error::bug("a stage with an enumerator has no source"))?;
            reader = ReaderState { finished: source.is_finished(), waiting: source.is_waiting() };
        }
        Ok(Move::all(reader).into_iter().find(|possible| self.can(*possible)))
    }

    /// Makes a move that is possible.
    pub fn make(&mut self, chosen: Move) {
        match chosen {
            Move::Barrier => self.prepare(|protocol| protocol.barrier.as_mut()),
            Move::Settle => self.prepare(|protocol| protocol.settling.as_mut()),
            Move::Reader(reader) if reader.finished => self.tell(InputEvent::End(0, End::Finished)),
            Move::Reader(_) => {
                self.reported_ready = true;
                self.decisions.push_back(SubtaskDecision::ReportReady);
            }
            Move::InputEvent => {
                if let Some(news) = self.news.pop_front() {
                    self.tell(news);
                }
            }
            Move::End => self.end(),
        }
    }

    /// Whether the state of the source's reader matters now.
    pub fn watches_reader(&self) -> bool {
        self.is_source && self.open_inputs > 0 && self.barrier.is_none() && self.hold.is_none()
    }

    /// What may be taken from channels now, but for those that are [held](Self::is_held).
    pub fn channels(&self) -> Channels {
        if self.barrier.is_some() || !self.news.is_empty() {
            Channels::None
        } else if self.takes_data() {
            Channels::All
        } else {
            Channels::Barriers
        }
    }

    /// Whether a channel waits at a barrier for the others.
    pub fn is_held(&self, channel: usize) -> bool {
        self.alignment.is_held(channel)
    }

    /// Which input a channel feeds.
    pub fn input_of(&self, channel: usize) -> InputId {
        self.inputs.of(channel)
    }

    /// Whether a resume is wanted at once.
    pub fn wants_resume(&self) -> bool {
        self.step.more && !self.is_quiet()
    }

    /// The processing time at which a resume is wanted.
    pub fn wake_at(&self) -> Option<Time> {
        self.step.wake_at.filter(|_| !self.is_quiet())
    }

    /// Whether a resume would do anything: a source that waits behind a barrier is left alone, and so is a
    /// subtask that has ended.
    pub fn is_quiet(&self) -> bool {
        self.barrier.is_none() && (self.hold.is_some() || (self.ended && self.settling.is_none()))
    }

    /// Whether the stage takes no data until it is woken: back-pressure.
    pub fn is_blocked(&self) -> bool {
        self.step.blocked
    }

    /// Whether the end was passed on: the stage must emit nothing any more.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The barrier at hand: it has come on every channel and was not passed on yet.
    pub fn barrier(&self) -> Option<CheckpointId> {
        self.barrier.map(|barrier| barrier.id)
    }

    // A blocked stage is given data all the same while a barrier is waited for: the barrier must come
    // through.
    fn takes_data(&self) -> bool {
        !self.step.more && (!self.step.blocked || self.alignment.is_waiting() || self.awaits_barrier)
    }

    fn has_flushed(&self) -> bool {
        let over = self.open_inputs == 0 && self.news.is_empty();
        over && (self.step.is_complete() || self.broken == Some(BrokenRule::EndBeforeFlush))
    }

    fn barrier_came(&mut self, channel: usize, id: CheckpointId) {
        if self.broken == Some(BrokenRule::AlignmentSkipped) {
            self.inputs.channels().for_each(|channel| self.align(AlignmentEvent::Barrier(channel, id)));
        }
        self.align(AlignmentEvent::Barrier(channel, id));
    }

    fn command(&mut self, command: SubtaskCommand) {
        let overtakes = self.broken == Some(BrokenRule::AssignmentOvertakesBarrier);
        match command {
            // The enumerator's snapshot was taken before it assigned these splits: they belong behind the
            // barrier.
            SubtaskCommand::Assign(_) | SubtaskCommand::Stop(_) if self.barrier.is_some() && !overtakes => {
                self.deferred.push_back(command);
            }
            SubtaskCommand::Assign(assignment) => self.assign(assignment),
            SubtaskCommand::Stop(end) => self.stop(end),
            SubtaskCommand::Trigger { id, hold } => self.triggered(id, hold),
            SubtaskCommand::Aborted(id) => self.aborted(id),
            SubtaskCommand::Completed { id, last } => self.completed(id, last),
        }
    }

    fn assign(&mut self, assignment: Assignment) {
        if self.open_inputs > 0 {
            self.reported_ready = false;
            self.call(StageCall::Assign(assignment));
        }
    }

    fn stop(&mut self, end: End) {
        self.release_source(CheckpointId::MAX);
        if self.is_source && self.open_inputs > 0 {
            self.tell(InputEvent::End(0, end));
        }
    }

    fn triggered(&mut self, id: CheckpointId, hold: bool) {
        if hold && self.is_source && self.broken != Some(BrokenRule::HeldSourceReads) {
            self.hold = Some(id);
        } else {
            // A newer checkpoint begins when the one before it is decided.
            self.release_source(id);
        }
        self.align(AlignmentEvent::Triggered(id));
    }

    fn aborted(&mut self, id: CheckpointId) {
        self.release_source(id);
        // The stage hears once of a checkpoint that is still under way here.
        if !self.alignment.is_under_way(id) {
            self.call(StageCall::Aborted(id));
        }
        self.align(AlignmentEvent::Aborted(id));
        self.step.more = true;
    }

    // A source that is held stays so: what it read behind a savepoint that the job stops with would be of no
    // use.
    fn completed(&mut self, id: CheckpointId, last: bool) {
        self.call(StageCall::Completed(id));
        // The stage cannot say what it wants next: a resume lets it go on with what it commits now.
        self.step.more = true;
        if last && self.broken == Some(BrokenRule::SettledBeforeCommit) {
            self.decisions.push_back(SubtaskDecision::ReportSettled);
        } else if last {
            self.settling = Some(PreparingCheckpoint { id, due: true });
        }
    }

    // The outcome of an older checkpoint says nothing about the one that the source waits for.
    fn release_source(&mut self, decided: CheckpointId) {
        let forgotten = self.broken == Some(BrokenRule::HeldSourceForgotten) && decided != CheckpointId::MAX;
        if !forgotten && self.hold.take_if(|held| *held <= decided).is_some() {
            self.step.more = true;
        }
    }

    fn resume(&mut self) {
        if self.is_quiet() {
            return;
        }
        for pending in [&mut self.barrier, &mut self.settling].into_iter().flatten() {
            pending.due = true;
        }
        self.call(StageCall::Resume);
    }

    fn align(&mut self, event: AlignmentEvent) {
        let AlignmentDecision { abandon, begin } = self.alignment.on(event);
        if let Some(id) = abandon {
            self.call(StageCall::Aborted(id));
            self.barrier = None;
            self.after_barrier();
        }
        if let Some(id) = begin {
            self.barrier = Some(PreparingCheckpoint { id, due: true });
        }
    }

    fn prepare(&mut self, pending: impl FnOnce(&mut Self) -> Option<&mut PreparingCheckpoint>) {
        if let Some(pending) = pending(self) {
            pending.due = false;
            let id = pending.id;
            self.call(StageCall::Prepare(id));
        }
    }

    fn prepared(&mut self, id: CheckpointId, step: Step) {
        let complete = step.is_complete() || self.broken == Some(BrokenRule::AcknowledgeBeforeFlush);
        if !complete {
            return;
        }
        if self.barrier().is_some_and(|barrier| barrier == id) {
            self.pass_barrier(id);
        } else if self.settling.take_if(|settling| settling.id == id).is_some() {
            self.decisions.push_back(SubtaskDecision::ReportSettled);
        }
    }

    // Nothing may come between the snapshot and the barrier.
    fn pass_barrier(&mut self, id: CheckpointId) {
        self.call(StageCall::Snapshot(id));
        if !self.ended {
            self.decisions.push_back(SubtaskDecision::PassBarrier(id));
        }
        self.decisions.push_back(SubtaskDecision::ReportFrozen(id));
        self.alignment.on(AlignmentEvent::Passed(id));
        self.barrier = None;
        self.after_barrier();
    }

    // What was held back for the barrier happens now. A source went quiet for it: a resume sets it going.
    fn after_barrier(&mut self) {
        self.step.more = true;
        std::mem::take(&mut self.deferred).into_iter().for_each(|command| self.command(command));
    }

    fn tell(&mut self, news: InputEvent) {
        match news {
            InputEvent::Watermark(input, watermark) => self.call(StageCall::Watermark(input, watermark)),
            InputEvent::End(input, end) => {
                self.open_inputs -= 1;
                self.stopped |= end == End::Stopped;
                self.call(StageCall::EndOfInput(input, end));
            }
        }
    }

    fn end(&mut self) {
        let end = if self.stopped { End::Stopped } else { End::Finished };
        self.ended = true;
        self.decisions.push_back(SubtaskDecision::PassEnd(end));
        self.decisions.push_back(SubtaskDecision::ReportEnded(end));
    }

    fn call(&mut self, call: StageCall) {
        self.decisions.push_back(SubtaskDecision::Call(call));
    }
}
