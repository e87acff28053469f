//! The loop of one subtask: looks at commands, wake-ups and lanes, and makes the calls of the stage contract.

use std::collections::VecDeque;

use millstream_core::context::Context;
use millstream_core::figures::SubtaskFigures;
use millstream_core::snapshot::CheckpointId;
use millstream_core::source::Assignment;
use millstream_core::stage::{Budget, End, Stage, Step};
use millstream_core::time::{Nanos, Time};
use millstream_core::{Batch, Error, Result};

use crate::alignment::{self, Alignment, Decision};
use crate::halt::Halt;
use crate::inbox::{Command, Element, Inbox, Lanes, Taken, Want};
use crate::inputs::{Inputs, News};
use crate::meter::Meter;
use crate::outputs::Outputs;
use crate::shared::{Event, Shared};
use crate::vault::Part;

/// One subtask while it runs.
pub(crate) struct Subtask<'a> {
    pub(crate) index: usize,
    pub(crate) shared: &'a Shared,
    pub(crate) stage: &'a mut dyn Stage,
    pub(crate) cx: Context<'a>,
    pub(crate) inbox: &'a Inbox,
    pub(crate) figures: &'a SubtaskFigures,
    pub(crate) outputs: Outputs,
    pub(crate) meter: Meter<'a>,
    pub(crate) state: State,
}

/// What a subtask remembers between two turns.
pub(crate) struct State {
    inputs: Inputs,
    alignment: Alignment,
    barrier: Option<Barrier>,
    // When the first barrier of a checkpoint came.
    first_barrier: Option<(CheckpointId, Nanos)>,
    // A source waits behind this barrier until it hears how the checkpoint ended.
    hold: Option<CheckpointId>,
    // The last checkpoint is complete: its output is to be committed.
    settling: Option<Barrier>,
    // What the stage is to hear as soon as it is free.
    news: VecDeque<News>,
    // Commands that must not overtake the barrier at hand.
    held: VecDeque<Command>,
    // Inputs whose end the stage has not heard of; 1 for a source until it ends.
    open_inputs: usize,
    is_source: bool,
    told_ready: bool,
    stopped: bool,
    ended: bool,
    step: Step,
}

// A barrier that has come on every channel; due when `prepare` is to be called (again).
#[derive(Clone, Copy)]
struct Barrier {
    id: CheckpointId,
    due: bool,
    came: Nanos,
}

impl State {
    /// For a stage with inputs, or for a source.
    pub(crate) fn new(inputs: Inputs, count: usize, alignment: Alignment, is_source: bool) -> Self {
        let news = inputs.unfed().collect();
        Self {
            inputs,
            alignment,
            barrier: None,
            first_barrier: None,
            hold: None,
            settling: None,
            news,
            held: VecDeque::new(),
            open_inputs: if is_source { 1 } else { count },
            is_source,
            told_ready: false,
            stopped: false,
            ended: false,
            // The first call is a resume: a source reads, restored timers say when they are due.
            step: Step::MORE,
        }
    }

    fn lanes(&self) -> Lanes {
        if self.barrier.is_some() || !self.news.is_empty() {
            Lanes::None
        } else if self.takes_data() {
            Lanes::All
        } else {
            Lanes::Barriers
        }
    }

    // A blocked stage is given data too while a barrier is waited for: it must come through.
    fn takes_data(&self) -> bool {
        !self.step.more && (!self.step.blocked || self.alignment.is_waiting())
    }

    // A source that waits behind a barrier is left alone.
    fn is_quiet(&self) -> bool {
        self.barrier.is_none() && (self.hold.is_some() || self.ended && self.settling.is_none())
    }
}

impl Subtask<'_> {
    /// Runs until the job releases it.
    pub(crate) fn run(&mut self) -> Result<(), Halt> {
        loop {
            self.go_on()?;
            match self.take()? {
                Taken::Element(lane, element) => self.element(lane, element)?,
                Taken::Command(Command::Release) => return Ok(()),
                Taken::Command(command) => self.command(command)?,
                Taken::Woken | Taken::Nothing => self.resume()?,
            }
        }
    }

    // Everything that needs no look at the inbox.
    fn go_on(&mut self) -> Result<(), Halt> {
        self.try_barrier()?;
        if self.state.is_source && self.state.barrier.is_none() && self.state.hold.is_none() {
            self.look_at_reader()?;
        }
        while self.state.barrier.is_none() && self.state.takes_data() {
            let Some(news) = self.state.news.pop_front() else { break };
            self.hear(news)?;
        }
        self.try_end()?;
        self.try_settle()
    }

    fn take(&mut self) -> Result<Taken, Halt> {
        let Step { more, blocked, wake_at } = self.state.step;
        let over = self.state.is_quiet();
        let want = Want {
            lanes: self.state.lanes(),
            alignment: &self.state.alignment,
            at_once: more && !over,
            until: wake_at.filter(|_| !over).map(|time| self.nanos_of(time)),
        };
        let taken = self.inbox.take(&want)?;
        let waited_for = if blocked { &self.figures.back_pressured_nanos } else { &self.figures.idle_nanos };
        self.meter.lap(waited_for);
        Ok(taken)
    }

    // The monotonic time of a processing time.
    fn nanos_of(&self, time: Time) -> Nanos {
        let clock = &self.shared.clock;
        let millis = time.saturating_sub(clock.now()).max(0) as u64;
        clock.nanos().saturating_add(millis.saturating_mul(1_000_000))
    }

    fn element(&mut self, lane: usize, element: Element) -> Result<(), Halt> {
        match element {
            Element::Batch(batch) => self.batch(lane, batch),
            Element::Mark(mark) => {
                let news = self.state.inputs.mark(lane, mark);
                self.state.news.extend(news.into_iter().flatten());
                Ok(())
            }
            Element::Barrier(id) => self.align(alignment::Event::Barrier(lane, id)),
            Element::End(end) => {
                let news = self.state.inputs.end(lane, end);
                self.state.news.extend(news.into_iter().flatten());
                self.align(alignment::Event::Ended(lane))
            }
        }
    }

    fn batch(&mut self, lane: usize, batch: Batch) -> Result<(), Halt> {
        let input = self.state.inputs.of(lane);
        self.call(|stage, cx| stage.process(cx, input, batch))
    }

    fn hear(&mut self, news: News) -> Result<(), Halt> {
        match news {
            News::Mark(input, mark) => self.call(|stage, cx| stage.mark(cx, input, mark)),
            News::End(input, end) => {
                self.state.open_inputs -= 1;
                self.state.stopped |= end == End::Stopped;
                self.call(|stage, cx| stage.end_of_input(cx, input, end))
            }
        }
    }

    fn command(&mut self, command: Command) -> Result<(), Halt> {
        match command {
            Command::Assign(_) | Command::Stop(_) if self.state.barrier.is_some() => {
                self.state.held.push_back(command);
                Ok(())
            }
            Command::Assign(assignment) => self.assign(assignment),
            Command::Stop(end) => self.stop(end),
            Command::Trigger { id, hold } => {
                self.state.hold = Some(id).filter(|_| hold && self.state.is_source);
                self.align(alignment::Event::Triggered(id))
            }
            Command::Aborted(id) => self.aborted(id),
            Command::Completed { id, last } => self.completed(id, last),
            Command::Run | Command::Release => Ok(()),
        }
    }

    fn assign(&mut self, assignment: Assignment) -> Result<(), Halt> {
        if self.state.open_inputs == 0 {
            return Ok(());
        }
        self.state.told_ready = false;
        self.call(|stage, cx| {
            let source =
                stage.source().ok_or_else(|| Error::bug("splits came to a stage without a source"))?;
            source.assign(cx, assignment).map(|()| Step::MORE)
        })
    }

    fn stop(&mut self, end: End) -> Result<(), Halt> {
        self.let_go();
        if self.state.open_inputs == 0 {
            return Ok(());
        }
        self.hear(News::End(0, end))
    }

    fn completed(&mut self, id: CheckpointId, last: bool) -> Result<(), Halt> {
        self.call(|stage, cx| stage.completed(cx, id).map(|()| Step::DONE))?;
        if last {
            self.state.settling = Some(Barrier { id, due: true, came: 0 });
        }
        Ok(())
    }

    // Operators hear of a savepoint that it was given up, though it stands: it commits nothing.
    fn aborted(&mut self, id: CheckpointId) -> Result<(), Halt> {
        if self.state.hold == Some(id) {
            self.let_go();
        }
        // One that is still under way is told below.
        if !self.state.alignment.is_under_way(id) {
            self.stage.aborted(&mut self.cx, id);
        }
        self.align(alignment::Event::Aborted(id))
    }

    // A source goes on.
    fn let_go(&mut self) {
        if self.state.hold.take().is_some() {
            self.state.step.more = true;
        }
    }

    // Whether the reader has read everything, or wants more to read.
    fn look_at_reader(&mut self) -> Result<(), Halt> {
        if self.state.open_inputs == 0 {
            return Ok(());
        }
        let Some(reader) = self.stage.source() else {
            return Err(Error::bug("a stage with an enumerator has no source").into());
        };
        if reader.is_finished() {
            return self.hear(News::End(0, End::Finished));
        }
        if reader.is_waiting() && !self.state.told_ready {
            self.state.told_ready = true;
            self.shared.tell(Event::ReaderReady(self.index));
        }
        Ok(())
    }

    fn resume(&mut self) -> Result<(), Halt> {
        if self.state.is_quiet() {
            return Ok(());
        }
        let budget = Budget { records: self.shared.options.records_per_call };
        // Its answer replaces all earlier wishes.
        self.state.step = Step::DONE;
        for barrier in [&mut self.state.barrier, &mut self.state.settling].into_iter().flatten() {
            barrier.due = true;
        }
        self.call(|stage, cx| stage.resume(cx, budget))
    }

    fn align(&mut self, event: alignment::Event) -> Result<(), Halt> {
        let now = self.shared.clock.nanos();
        if let alignment::Event::Barrier(_, id) = event
            && self.state.first_barrier.is_none_or(|(first, _)| first < id)
        {
            self.state.first_barrier = Some((id, now));
        }
        let Decision { abandon, begin } = self.state.alignment.on(event);
        if let Some(id) = abandon {
            self.stage.aborted(&mut self.cx, id);
            self.state.barrier = None;
            self.after_barrier()?;
        }
        if let Some(id) = begin {
            self.state.barrier = Some(Barrier { id, due: true, came: now });
        }
        Ok(())
    }

    fn try_barrier(&mut self) -> Result<(), Halt> {
        let Some(barrier) = self.state.barrier.as_mut().filter(|barrier| barrier.due) else {
            return Ok(());
        };
        barrier.due = false;
        let barrier = *barrier;
        if self.prepare(barrier.id)? { self.pass_barrier(barrier) } else { Ok(()) }
    }

    fn prepare(&mut self, id: CheckpointId) -> Result<bool, Halt> {
        let mut prepared = Step::DONE;
        self.call(|stage, cx| stage.prepare(cx, id).inspect(|step| prepared = *step))?;
        Ok(prepared.is_complete())
    }

    fn pass_barrier(&mut self, Barrier { id, came, .. }: Barrier) -> Result<(), Halt> {
        let mut frozen = None;
        self.call(|stage, cx| {
            frozen = Some(stage.snapshot(cx, id)?);
            Ok(Step::DONE)
        })?;
        let first = self.state.first_barrier.filter(|(first, _)| *first == id).map_or(came, |(_, at)| at);
        let alignment = came.saturating_sub(first);
        let sync = self.shared.clock.nanos().saturating_sub(came);
        if !self.state.ended {
            let waited = self.outputs.barrier(id)?;
            self.count_wait(waited);
        }
        if let Some(frozen) = frozen {
            self.shared.tell(Event::Frozen(self.index, id, Part { frozen, alignment, sync }));
        }
        self.state.alignment.on(alignment::Event::Passed(id));
        self.state.barrier = None;
        self.after_barrier()
    }

    // What was held back for the barrier happens now. A source went quiet for it: a resume sets it going.
    fn after_barrier(&mut self) -> Result<(), Halt> {
        self.state.step.more = true;
        let held = std::mem::take(&mut self.state.held);
        held.into_iter().try_for_each(|command| self.command(command))
    }

    // What a sink writes only after the last checkpoint is written when it is prepared once more.
    fn try_settle(&mut self) -> Result<(), Halt> {
        let ready = self.state.ended && self.state.barrier.is_none();
        let Some(settling) = self.state.settling.as_mut().filter(|settling| ready && settling.due) else {
            return Ok(());
        };
        settling.due = false;
        let id = settling.id;
        if self.prepare(id)? {
            self.state.settling = None;
            self.shared.tell(Event::Settled(self.index));
        }
        Ok(())
    }

    fn try_end(&mut self) -> Result<(), Halt> {
        let state = &self.state;
        let over = state.open_inputs == 0 && state.news.is_empty() && state.step.is_complete();
        if state.ended || !over || state.barrier.is_some() {
            return Ok(());
        }
        let end = if state.stopped { End::Stopped } else { End::Finished };
        self.state.ended = true;
        let waited = self.outputs.end(end)?;
        self.count_wait(waited);
        self.shared.tell(Event::Ended(self.index, end));
        Ok(())
    }

    // One call of the stage, and what it emitted sent on. Its wishes add to earlier ones.
    fn call(
        &mut self,
        call: impl FnOnce(&mut dyn Stage, &mut Context<'_>) -> Result<Step>,
    ) -> Result<(), Halt> {
        self.cx.tick();
        let step = call(self.stage, &mut self.cx)?;
        self.meter.lap(&self.figures.busy_nanos);
        self.state.step = self.state.step.and(step);
        self.send()
    }

    fn send(&mut self) -> Result<(), Halt> {
        let mut emitted = std::mem::take(&mut self.cx.emitted);
        if self.state.ended && !emitted.is_empty() {
            return Err(Error::bug("the stage emitted something after its end").into());
        }
        for item in emitted.drain(..) {
            let waited = self.outputs.send(item)?;
            self.count_wait(waited);
        }
        // The vector goes back: its memory is used again.
        self.cx.emitted = emitted;
        Ok(())
    }

    fn count_wait(&mut self, waited: bool) {
        if waited {
            self.meter.lap(&self.figures.back_pressured_nanos);
        }
    }
}
