//! One subtask of a simulated job: the same rules as in the thread driver, one move at a time.

use std::collections::VecDeque;

use millstream_core::batch::{Batch, EdgeId};
use millstream_core::context::Emitted;
use millstream_core::drive::alignment::{Alignment, Event};
use millstream_core::drive::inputs::{Inputs, News};
use millstream_core::drive::layout::Place;
use millstream_core::snapshot::{CheckpointId, Frozen};
use millstream_core::source::Assignment;
use millstream_core::stage::End;
use millstream_core::time::Time;
use millstream_core::{Result, Step};

use super::broken::Broken;
use super::lane::{Element, Lane, Target};
use crate::driven_stage::DrivenStage;
use crate::driven_writer::wrong;

/// What the coordinator asks of a subtask.
pub(super) enum Command {
    Assign(Assignment),
    Stop,
    /// The second one: read nothing behind the barrier until it is over.
    Trigger(CheckpointId, bool),
    Aborted(CheckpointId),
    /// The second one: nothing follows it, so say when everything is committed.
    Completed(CheckpointId, bool),
}

/// What a subtask tells the coordinator.
pub(super) enum Told {
    ReaderReady,
    Frozen(CheckpointId, Frozen),
    Ended(End),
    Settled,
}

/// An exchange that leaves a subtask; by route, where it leads to.
pub(super) struct Route {
    pub(super) edge: EdgeId,
    pub(super) targets: Vec<Option<Target>>,
}

/// One thing that a subtask can do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Hands the next element of its output to a channel.
    Send,
    /// Takes an element of a lane.
    Take(usize),
    /// Does what the coordinator asks.
    Obey,
    /// Resumes its stage; in vain, perhaps.
    Resume,
    /// Prepares the barrier that has come everywhere.
    Barrier,
    /// Tells its stage what the channels mean for an input.
    News,
    /// Sees that its reader is done, or waits for work.
    Reader,
    /// Ends.
    End,
    /// Sees whether what the last checkpoint ordered is done.
    Settle,
}

/// A barrier that has come on every channel; due when `prepare` is to be called.
#[derive(Clone, Copy)]
struct Barrier {
    id: CheckpointId,
    due: bool,
}

/// One subtask.
pub(super) struct Subtask {
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) stage: DrivenStage,
    pub(super) lanes: Vec<Lane>,
    pub(super) commands: VecDeque<Command>,
    /// What its stage emitted and no channel has taken yet: the stage is not called while there is any.
    pub(super) out: VecDeque<(Target, Element)>,
    pub(super) told: Vec<Told>,
    routes: Vec<Route>,
    inputs: Inputs,
    alignment: Alignment,
    barrier: Option<Barrier>,
    news: VecDeque<News>,
    held: Vec<Command>,
    /// The snapshot behind whose barrier nothing is read.
    hold: Option<CheckpointId>,
    settling: Option<Barrier>,
    broken: Option<Broken>,
    open_inputs: usize,
    is_source: bool,
    told_ready: bool,
    stopped: bool,
    pub(super) ended: bool,
}

impl Subtask {
    pub(super) fn new(
        place: Place,
        name: String,
        stage: DrivenStage,
        inputs: (usize, Inputs, usize),
        routes: Vec<Route>,
        broken: Option<Broken>,
    ) -> Self {
        let (count, inputs, lanes) = inputs;
        let is_source = count == 0;
        Self {
            place,
            name,
            stage,
            lanes: (0..lanes).map(|_| Lane::default()).collect(),
            commands: VecDeque::new(),
            out: VecDeque::new(),
            told: Vec::new(),
            routes,
            news: inputs.unfed().collect(),
            inputs,
            alignment: Alignment::new(lanes),
            barrier: None,
            held: Vec::new(),
            hold: None,
            settling: None,
            broken,
            open_inputs: count.max(1),
            is_source,
            told_ready: false,
            stopped: false,
            ended: false,
        }
    }

    /// Everything that it can do now; `room` says whether a channel takes its next element.
    pub(super) fn moves(&mut self, now: Time, room: impl Fn(Target) -> bool) -> Vec<Move> {
        if let Some((target, _)) = self.out.front() {
            return if room(*target) { vec![Move::Send] } else { Vec::new() };
        }
        let mut moves = self.inner_moves();
        if !self.commands.is_empty() {
            moves.push(Move::Obey);
        }
        let takes_data = self.takes_data();
        if self.barrier.is_none() && self.news.is_empty() {
            let takes = |lane: &usize| takes_data || self.lanes[*lane].barrier_first();
            let open = (0..self.lanes.len())
                .filter(|lane| !self.lanes[*lane].is_empty() && !self.alignment.is_held(*lane));
            moves.extend(open.filter(takes).map(Move::Take));
        }
        if self.wants_resume(now) {
            moves.push(Move::Resume);
        }
        moves
    }

    // While a barrier is awaited, a stage that is blocked gets data all the same: it must not hold the barrier.
    fn takes_data(&self) -> bool {
        let pace = self.stage.pace();
        pace.takes_data() || (self.alignment.is_aligning() && !pace.wants_resume())
    }

    // What needs neither a channel nor a command.
    fn inner_moves(&mut self) -> Vec<Move> {
        if let Some(barrier) = self.barrier {
            return if barrier.due { vec![Move::Barrier] } else { Vec::new() };
        }
        let mut moves = Vec::new();
        if self.ended && self.settling.is_some_and(|settling| settling.due) {
            moves.push(Move::Settle);
        }
        let complete = self.stage.pace().takes_data();
        if !self.news.is_empty() && complete {
            moves.push(Move::News);
        }
        if self.is_source && self.open_inputs > 0 && self.hold.is_none() {
            let told = self.told_ready;
            let reader = self.stage.source();
            if reader.is_some_and(|reader| reader.is_finished() || (reader.is_waiting() && !told)) {
                moves.push(Move::Reader);
            }
        }
        if !self.ended && self.open_inputs == 0 && self.news.is_empty() && complete {
            moves.push(Move::End);
        }
        moves
    }

    /// Whether it may be resumed at any time, in vain perhaps.
    pub(super) fn may_resume(&self) -> bool {
        self.out.is_empty() && !self.is_over() && self.hold.is_none()
    }

    // It has ended, and waits for nothing of its own.
    fn is_over(&self) -> bool {
        self.ended && self.barrier.is_none() && self.settling.is_none()
    }

    fn wants_resume(&self, now: Time) -> bool {
        if self.is_over() || (self.is_held() && self.barrier.is_none()) {
            return false;
        }
        let pace = self.stage.pace();
        self.stage.harness().is_woken() || pace.wants_resume() || pace.wake_at().is_some_and(|at| at <= now)
    }

    /// When it wants to be resumed although nothing happens.
    pub(super) fn wake_at(&self) -> Option<Time> {
        if self.is_over() || self.is_held() || !self.out.is_empty() {
            None
        } else {
            self.stage.pace().wake_at()
        }
    }

    /// Makes any move but sending and taking.
    pub(super) fn make(&mut self, made: Move, records: usize) -> Result<()> {
        match made {
            Move::Obey => self.obey(),
            Move::Resume => self.resume(records),
            Move::Barrier => self.try_barrier(),
            Move::News => self.hear_news(),
            Move::Reader => self.look_at_reader(),
            Move::End => self.end(),
            Move::Settle => self.settle(),
            Move::Send | Move::Take(_) => Err(wrong("a move of the channels was made by a subtask")),
        }
    }

    /// Takes an element that came on a lane.
    pub(super) fn take(&mut self, lane: usize, element: Element) -> Result<()> {
        match element {
            Element::Batch(batch) => self.batch(lane, batch),
            Element::Mark(mark) => {
                self.news.extend(self.inputs.mark(lane, mark).into_iter().flatten());
                Ok(())
            }
            Element::Barrier(id) if self.broken == Some(Broken::AlignmentSkipped) => {
                (0..self.lanes.len()).try_for_each(|lane| self.align(Event::Barrier(lane, id)))
            }
            Element::Barrier(id) => self.align(Event::Barrier(lane, id)),
            Element::End(end) => {
                self.news.extend(self.inputs.end(lane, end).into_iter().flatten());
                self.align(Event::Ended(lane))
            }
        }
    }

    fn batch(&mut self, lane: usize, batch: Batch) -> Result<()> {
        let input = self.inputs.of(lane);
        let emitted = self.stage.process(input, batch)?;
        self.send(emitted)
    }

    fn hear_news(&mut self) -> Result<()> {
        match self.news.pop_front() {
            Some(news) => self.hear(news),
            None => Ok(()),
        }
    }

    fn hear(&mut self, news: News) -> Result<()> {
        let emitted = match news {
            News::Mark(input, mark) => self.stage.mark(input, mark)?,
            News::End(input, end) => {
                self.open_inputs -= 1;
                self.stopped |= end == End::Stopped;
                self.stage.end_of_input(input, end)?
            }
        };
        self.send(emitted)
    }

    fn obey(&mut self) -> Result<()> {
        let Some(command) = self.commands.pop_front() else { return Ok(()) };
        match command {
            Command::Assign(_) | Command::Stop if self.barrier.is_some() => {
                self.held.push(command);
                Ok(())
            }
            Command::Assign(assignment) => self.assign(assignment),
            Command::Stop if self.is_source && self.open_inputs > 0 => self.hear(News::End(0, End::Stopped)),
            Command::Stop => Ok(()),
            Command::Trigger(id, hold) => {
                self.hold = (hold && self.is_source).then_some(id);
                self.align(Event::Triggered(id))
            }
            Command::Aborted(id) => {
                self.let_go(id);
                let decision = self.alignment.on(Event::Aborted(id));
                let emitted = self.stage.aborted(id)?;
                self.send(emitted)?;
                if decision.abandon.is_some() {
                    self.barrier = None;
                    self.after_barrier();
                }
                Ok(())
            }
            Command::Completed(id, last) => {
                self.let_go(id);
                self.settling = last.then_some(Barrier { id, due: true });
                let emitted = self.stage.completed(id)?;
                self.stage.want_resume();
                self.send(emitted)
            }
        }
    }

    fn assign(&mut self, assignment: Assignment) -> Result<()> {
        if self.open_inputs == 0 {
            return Ok(());
        }
        self.told_ready = false;
        let emitted = self.stage.call("assign", |stage, cx| {
            let source = stage.source().ok_or_else(|| wrong("splits came to a stage without a source"))?;
            source.assign(cx, assignment).map(|()| Step::MORE)
        })?;
        self.send(emitted)
    }

    fn look_at_reader(&mut self) -> Result<()> {
        let Some(reader) = self.stage.source() else {
            return Err(wrong("a stage with an enumerator has no source"));
        };
        if reader.is_finished() {
            return self.hear(News::End(0, End::Finished));
        }
        self.told_ready = true;
        self.told.push(Told::ReaderReady);
        Ok(())
    }

    fn resume(&mut self, records: usize) -> Result<()> {
        self.stage.harness().take_wake();
        for waiting in [&mut self.barrier, &mut self.settling].into_iter().flatten() {
            waiting.due = true;
        }
        let emitted = self.stage.resume(records)?;
        self.send(emitted)
    }

    fn align(&mut self, event: Event) -> Result<()> {
        let decision = self.alignment.on(event);
        if let Some(id) = decision.abandon {
            let emitted = self.stage.aborted(id)?;
            self.send(emitted)?;
            self.let_go(id);
            self.barrier = None;
            self.after_barrier();
        }
        if let Some(id) = decision.begin {
            self.barrier = Some(Barrier { id, due: true });
        }
        Ok(())
    }

    // When prepare is complete, what it emitted goes out first; then the stage freezes, in the same move, as nothing may come between.
    fn try_barrier(&mut self) -> Result<()> {
        let Some(barrier) = &mut self.barrier else { return Ok(()) };
        let id = barrier.id;
        barrier.due = false;
        let (step, emitted) = self.stage.prepare(id)?;
        self.send(emitted)?;
        if !step.is_complete() && self.broken != Some(Broken::AcknowledgeBeforeFlush) {
            return Ok(());
        }
        let frozen = self.stage.snapshot(id)?;
        if !self.ended {
            self.send_all(|| Element::Barrier(id));
        }
        self.told.push(Told::Frozen(id, frozen));
        self.alignment.on(Event::Passed(id));
        self.barrier = None;
        self.after_barrier();
        Ok(())
    }

    fn let_go(&mut self, id: CheckpointId) {
        if self.hold.take_if(|held| *held <= id).is_some() {
            self.stage.want_resume();
        }
    }

    // A source reads nothing behind the barrier of a savepoint that the job may stop with.
    fn is_held(&self) -> bool {
        self.hold.is_some() && !self.alignment.is_aligning() && self.barrier.is_none()
    }

    fn settle(&mut self) -> Result<()> {
        let Some(settling) = &mut self.settling else { return Ok(()) };
        let id = settling.id;
        settling.due = false;
        let (step, emitted) = self.stage.prepare(id)?;
        self.send(emitted)?;
        if step.is_complete() {
            self.settling = None;
            self.told.push(Told::Settled);
        }
        Ok(())
    }

    // What was held back for the barrier happens now. A source went quiet for it: a resume sets it going.
    fn after_barrier(&mut self) {
        self.stage.want_resume();
        let held = std::mem::take(&mut self.held);
        held.into_iter().rev().for_each(|command| self.commands.push_front(command));
    }

    fn end(&mut self) -> Result<()> {
        let end = if self.stopped { End::Stopped } else { End::Finished };
        self.ended = true;
        self.send_all(|| Element::End(end));
        self.told.push(Told::Ended(end));
        Ok(())
    }

    fn send(&mut self, emitted: Vec<Emitted>) -> Result<()> {
        if self.ended && !emitted.is_empty() {
            return Err(wrong("the stage emits something after its end"));
        }
        for element in emitted {
            match element {
                Emitted::Batch(batch) if batch.records == 0 => {}
                Emitted::Batch(batch) => {
                    let (edge, route) = (batch.edge, batch.route);
                    let target = self.route(edge)?.targets.get(usize::from(route)).copied().flatten();
                    let target = target
                        .ok_or_else(|| wrong(format!("edge {edge} has no channel for route {route} here")))?;
                    self.out.push_back((target, Element::Batch(batch)));
                }
                Emitted::Mark(edge, mark) => {
                    let targets = self.route(edge)?.targets.clone();
                    self.out
                        .extend(targets.into_iter().flatten().map(|target| (target, Element::Mark(mark))));
                }
            }
        }
        Ok(())
    }

    fn send_all(&mut self, element: impl Fn() -> Element) {
        let targets = self.routes.iter().flat_map(|route| route.targets.iter().flatten());
        self.out.extend(targets.map(|target| (*target, element())));
    }

    fn route(&self, edge: EdgeId) -> Result<&Route> {
        let route = self.routes.iter().find(|route| route.edge == edge);
        route.ok_or_else(|| wrong(format!("this stage has no edge {edge}")))
    }

    /// For messages: what it waits for.
    pub(super) fn describe(&self) -> String {
        let queued = self.lanes.iter().filter(|lane| !lane.is_empty()).count();
        format!(
            "{} ({}, {} of {} channels with elements{}{})",
            self.name,
            match (self.ended, self.settling) {
                (true, None) => "ended".to_owned(),
                (true, Some(_)) => format!("settles, {:?}", self.stage.pace()),
                (false, _) => format!("{:?}", self.stage.pace()),
            },
            queued,
            self.lanes.len(),
            if self.out.is_empty() { "" } else { ", waits for room downstream" },
            self.barrier.map(|barrier| format!(", at barrier {}", barrier.id)).unwrap_or_default(),
        )
    }
}
