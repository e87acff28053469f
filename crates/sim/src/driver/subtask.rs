//! One subtask of a simulated job: the protocol of the product, carried out one move at a time.

use std::collections::VecDeque;

use millstream_protocol::layout::SubtaskId;
use millstream_protocol::subtask::{
    Asked, Channels, Move as Inner, ReaderState, StageCall, SubtaskCommand, SubtaskDecision, SubtaskEvent,
    SubtaskProtocol,
};
use millstream_record::Result;
use millstream_stage::batch::{Batch, EdgeId};
use millstream_stage::context::Emitted;
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::stage::End;
use millstream_stage::time::Time;

use super::channel::{Channel, Element, Target};
use super::held_source::HeldSource;
use crate::driven_stage::DrivenStage;
use crate::driven_writer::wrong;

/// What a subtask tells the coordinator.
pub(super) enum SubtaskReport {
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
    /// Takes an element of a channel.
    Take(usize),
    /// Takes the coordinator's next command.
    Command,
    /// Resumes its stage; in vain, perhaps.
    Resume,
    /// Something that needs nothing from outside.
    Inner(Inner),
}

/// One subtask.
pub(super) struct Subtask {
    pub(super) place: SubtaskId,
    pub(super) name: String,
    pub(super) stage: DrivenStage,
    pub(super) channels: Vec<Channel>,
    pub(super) commands: VecDeque<SubtaskCommand>,
    /// What its stage emitted and no channel has taken yet: the stage is not called while there is any.
    pub(super) out: VecDeque<(Target, Element)>,
    pub(super) reports: Vec<SubtaskReport>,
    protocol: SubtaskProtocol,
    routes: Vec<Route>,
    frozen: Option<Frozen>,
    /// Where the stage starts with a source.
    held: Option<HeldSource>,
}

impl Subtask {
    pub(super) fn new(
        place: SubtaskId,
        name: String,
        stage: DrivenStage,
        protocol: SubtaskProtocol,
        channels: usize,
        routes: Vec<Route>,
    ) -> Self {
        Self {
            place,
            name,
            stage,
            channels: (0..channels).map(|_| Channel::default()).collect(),
            commands: VecDeque::new(),
            out: VecDeque::new(),
            reports: Vec::new(),
            protocol,
            routes,
            frozen: None,
            held: (channels == 0).then(HeldSource::default),
        }
    }

    /// Everything that it can do now; `room` says whether a channel takes its next element.
    pub(super) fn moves(&mut self, now: Time, room: impl Fn(Target) -> bool) -> Vec<Move> {
        if let Some((target, _)) = self.out.front() {
            return if room(*target) { vec![Move::Send] } else { Vec::new() };
        }
        let reader = self.reader();
        let inner = Inner::all(reader).into_iter().filter(|inner| self.protocol.can(*inner));
        let mut moves: Vec<_> = inner.map(Move::Inner).collect();
        moves.extend((!self.commands.is_empty()).then_some(Move::Command));
        let channels = (0..self.channels.len()).filter(|channel| self.takes_from(*channel));
        moves.extend(channels.map(Move::Take));
        moves.extend(self.wants_resume(now).then_some(Move::Resume));
        moves
    }

    fn takes_from(&self, channel: usize) -> bool {
        let head = &self.channels[channel];
        let wanted = match self.protocol.channels() {
            Channels::All => !head.is_empty(),
            Channels::Barriers => head.barrier_first(),
            Channels::None => false,
        };
        wanted && !self.protocol.is_held(channel)
    }

    fn reader(&mut self) -> ReaderState {
        let watched = self.protocol.watches_reader();
        let reader = self.stage.source().filter(|_| watched);
        reader.map_or_else(ReaderState::default, |reader| ReaderState {
            finished: reader.is_finished(),
            waiting: reader.is_waiting(),
        })
    }

    /// Whether it may be resumed at any time, in vain perhaps.
    pub(super) fn may_resume(&self) -> bool {
        self.out.is_empty() && !self.protocol.is_quiet()
    }

    /// Whether its end was passed on.
    pub(super) fn has_ended(&self) -> bool {
        self.protocol.has_ended()
    }

    fn wants_resume(&self, now: Time) -> bool {
        let woken = self.stage.harness().is_woken() && !self.protocol.is_quiet();
        woken || self.protocol.wants_resume() || self.protocol.wake_at().is_some_and(|at| at <= now)
    }

    /// When it wants to be resumed although nothing happens.
    pub(super) fn wake_at(&self) -> Option<Time> {
        self.protocol.wake_at().filter(|_| self.out.is_empty())
    }

    /// Makes any move but sending and taking.
    pub(super) fn make(&mut self, made: Move, records: usize) -> Result<()> {
        match made {
            Move::Command => match self.commands.pop_front() {
                Some(command) => self.command(command, records),
                None => Ok(()),
            },
            Move::Resume => {
                self.stage.harness().take_wake();
                self.on(SubtaskEvent::Resume, records)
            }
            Move::Inner(inner) => {
                self.protocol.make(inner);
                self.carry_out(records)
            }
            Move::Send | Move::Take(_) => Err(wrong("a move of the channels was made by a subtask")),
        }
    }

    /// Takes an element that came on a channel.
    pub(super) fn take(&mut self, channel: usize, element: Element, records: usize) -> Result<()> {
        match element {
            Element::Batch(batch) => self.batch(channel, batch),
            Element::Watermark(watermark) => self.on(SubtaskEvent::Watermark(channel, watermark), records),
            Element::Barrier(id) => self.on(SubtaskEvent::Barrier(channel, id), records),
            Element::End(end) => self.on(SubtaskEvent::End(channel, end), records),
        }
    }

    fn batch(&mut self, channel: usize, batch: Batch) -> Result<()> {
        let input = self.protocol.input_of(channel);
        let (step, emitted) = self.stage.call("process", |stage, cx| stage.process(cx, input, batch))?;
        self.send(emitted)?;
        self.protocol.answered(Asked::Other, step);
        Ok(())
    }

    fn command(&mut self, command: SubtaskCommand, records: usize) -> Result<()> {
        let goes_on = self.held.as_mut().is_some_and(|held| held.command(&command));
        self.on(SubtaskEvent::Command(command), records)?;
        if goes_on && self.protocol.is_quiet() && !self.has_ended() {
            return Err(wrong("the source stands still, though the savepoint that held it was given up"));
        }
        Ok(())
    }

    fn on(&mut self, event: SubtaskEvent, records: usize) -> Result<()> {
        self.protocol.on(event);
        self.carry_out(records)
    }

    fn carry_out(&mut self, records: usize) -> Result<()> {
        while let Some(decision) = self.protocol.next_decision() {
            match decision {
                SubtaskDecision::Call(call) => self.call(call, records)?,
                SubtaskDecision::PassBarrier(id) => {
                    self.held.iter_mut().for_each(|held| held.passed(id));
                    self.send_all(|| Element::Barrier(id));
                }
                SubtaskDecision::PassEnd(end) => self.send_all(|| Element::End(end)),
                SubtaskDecision::ReportReady => self.reports.push(SubtaskReport::ReaderReady),
                SubtaskDecision::ReportFrozen(id) => {
                    self.reports.extend(self.frozen.take().map(|frozen| SubtaskReport::Frozen(id, frozen)));
                }
                SubtaskDecision::ReportEnded(end) => self.reports.push(SubtaskReport::Ended(end)),
                SubtaskDecision::ReportSettled => self.reports.push(SubtaskReport::Settled),
            }
        }
        Ok(())
    }

    fn call(&mut self, call: StageCall, records: usize) -> Result<()> {
        let asked = call.asked();
        let (step, emitted) = self.stage.make(call, records, &mut self.frozen)?;
        self.send(emitted)?;
        self.protocol.answered(asked, step);
        Ok(())
    }

    fn send(&mut self, emitted: Vec<Emitted>) -> Result<()> {
        self.held.iter().try_for_each(|held| held.emitted(&emitted))?;
        if self.has_ended() && !emitted.is_empty() {
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
                Emitted::Watermark(edge, watermark) => {
                    let targets = self.route(edge)?.targets.clone();
                    self.out.extend(
                        targets.into_iter().flatten().map(|target| (target, Element::Watermark(watermark))),
                    );
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
        let queued = self.channels.iter().filter(|channel| !channel.is_empty()).count();
        format!(
            "{} ({queued} of {} channels with elements{}) {:?}",
            self.name,
            self.channels.len(),
            if self.out.is_empty() { "" } else { ", waits for room downstream" },
            self.protocol,
        )
    }
}
