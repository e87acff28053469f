//! One subtask of a stage in a TaskManager: Flink brings elements and barriers, the rules of
//! [`SubtaskProtocol`] decide what follows, as on every driver.

mod inputs;
mod request;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Waker;

use millstream_checkpoint::flink_form::decode_assignment;
use millstream_protocol::subtask::{
    Asked, Channels, StageCall, SubtaskCommand, SubtaskDecision, SubtaskEvent, SubtaskProtocol,
};
use millstream_record::{Error, Result};
use millstream_stage::batch::{Batch, EdgeId};
use millstream_stage::context::{Context, Emitted};
use millstream_stage::io::Io;
use millstream_stage::metrics::SubtaskMetrics;
use millstream_stage::plan::{Exchange, Plan};
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::source::SplitControl;
use millstream_stage::stage::{End, Stage};
use millstream_stage::step::{Budget, Step};
use millstream_stage::time::Clock;
use millstream_stage::watermark::WatermarkEvent;
use tokio::runtime::Runtime;

use self::inputs::FlinkInputs;
use self::request::OutEdge;
use crate::element::{self, Address, Received};
use crate::metrics::RecordCounters;
use crate::outcome::{CallOutcome, OutgoingElement};
use crate::state::FrozenStage;
use crate::wake::Wake;

/// One call of the harness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlinkCall<'a> {
    /// An element on an input of Flink's.
    Element(usize, &'a [u8]),
    /// Timers, reads, completions.
    Resume,
    /// The JobManager has begun a checkpoint.
    Trigger(CheckpointId),
    /// The barrier is about to be passed on.
    Prepare(CheckpointId),
    /// A checkpoint is complete; the last one of the subtask.
    Completed(CheckpointId, bool),
    /// A checkpoint was given up, or it is a savepoint.
    Aborted(CheckpointId),
    /// Nothing more comes on an input of Flink's.
    EndInput(usize),
    /// Splits for the source.
    Assign(&'a [u8]),
    /// The source is to finish.
    Drain,
}

/// A subtask from `open` to `close`.
pub(crate) struct StageSubtask {
    stage: Box<dyn Stage>,
    protocol: SubtaskProtocol,
    plan: Arc<Plan>,
    who: String,
    index: u16,
    is_source: bool,
    inputs: FlinkInputs,
    outputs: Vec<OutEdge>,
    frozen: BTreeMap<CheckpointId, Frozen>,
    /// The latest checkpoint that has begun and of which nothing else has come.
    awaited: Option<CheckpointId>,
    /// The latest checkpoint that was prepared.
    prepared: CheckpointId,
    /// Checkpoints that were given up after that, of which the stage has not heard yet.
    given_up: BTreeSet<CheckpointId>,
    /// A folder of the subtask's own.
    folder: PathBuf,
    outcome: CallOutcome,
    // The subtask has settled with a savepoint: what it would emit comes again from whoever goes on.
    suspended: bool,
    // After an error or a panic nothing is called but `close`.
    failed: bool,
    clock: Arc<dyn Clock>,
    io: Arc<dyn Io>,
    wake: Arc<Wake>,
    waker: Waker,
    metrics: Arc<SubtaskMetrics>,
    counters: Arc<RecordCounters>,
    // Its threads end when the subtask is closed.
    runtime: Option<Runtime>,
}

impl StageSubtask {
    /// Makes one call and everything that follows from it.
    ///
    /// # Errors
    /// Returns the errors of the stage. The subtask is of no use afterwards and can only be closed.
    pub(crate) fn call(&mut self, call: FlinkCall<'_>) -> Result<CallOutcome> {
        if self.failed {
            return Err(Error::restart(format!("{} has failed before and cannot be used", self.who)));
        }
        let made = millstream_runtime::catch_panic(|| self.make(call));
        let made = made.unwrap_or_else(|panic| Err(Error::bug(format!("it panicked: {panic}"))));
        self.failed = made.is_err();
        made.map(|()| std::mem::take(&mut self.outcome))
    }

    /// Where the subtask counts.
    pub(crate) fn metrics(&self) -> &Arc<SubtaskMetrics> {
        &self.metrics
    }

    /// The records that came in and went out.
    pub(crate) fn counters(&self) -> &Arc<RecordCounters> {
        &self.counters
    }

    /// What was frozen for a checkpoint that is prepared.
    ///
    /// # Errors
    /// A checkpoint that is not.
    pub(crate) fn take_frozen(&mut self, id: CheckpointId) -> Result<FrozenStage> {
        let frozen = self.frozen.remove(&id);
        let frozen = frozen
            .ok_or_else(|| Error::bug(format!("{} has frozen nothing for checkpoint {id}", self.who)))?;
        Ok(FrozenStage::new(frozen, self.folder.join(format!("savepoint-{id}"))))
    }

    /// Frees everything; threads have ended when this returns.
    pub(crate) fn close(mut self) {
        let (stage, who) = (&mut self.stage, &self.who);
        if let Err(panic) = millstream_runtime::catch_panic(|| stage.close()) {
            tracing::error!("{who} panicked while closing: {panic}");
        }
        self.wake.forget();
        let runtime = self.runtime.take();
        drop(self);
        // Requests that are on their way are dropped; calls that block on a thread of their own are waited for.
        drop(runtime);
    }

    fn make(&mut self, call: FlinkCall<'_>) -> Result<()> {
        match call {
            FlinkCall::Element(input, bytes) => self.element(input, bytes)?,
            FlinkCall::Resume => {
                self.wake.rearm();
                self.on(SubtaskEvent::Resume)?;
            }
            // A stage that is blocked takes data until the barrier has come.
            FlinkCall::Trigger(id) => {
                self.awaited = self.awaited.max(Some(id));
                self.await_no_longer(self.prepared);
            }
            FlinkCall::Prepare(id) => self.prepare(id)?,
            FlinkCall::Completed(id, last) => {
                if last && !self.protocol.has_ended() {
                    self.suspended = true;
                    self.protocol.suspend();
                }
                self.on(SubtaskEvent::Command(SubtaskCommand::Completed { id, last }))?;
            }
            FlinkCall::Aborted(id) => {
                self.await_no_longer(id);
                self.given_up.insert(id);
                // What was never prepared means nothing to the stage; an older one may still have to be prepared.
                self.given_up.retain(|given_up| *given_up <= self.prepared);
            }
            FlinkCall::EndInput(input) => self.end_input(input)?,
            FlinkCall::Assign(bytes) => {
                let assignment = decode_assignment(bytes)?;
                self.on(SubtaskEvent::Command(SubtaskCommand::Assign(assignment)))?;
            }
            FlinkCall::Drain => self.on(SubtaskEvent::Command(SubtaskCommand::Stop(End::Finished)))?,
        }
        self.make_moves()?;
        self.tell_of_given_up()?;
        self.report();
        Ok(())
    }

    fn element(&mut self, input: usize, bytes: &[u8]) -> Result<()> {
        let edge = self.inputs.edge(input)?;
        let codec = Arc::clone(&self.plan.edges[edge as usize].codec);
        let (to, received) = element::read(bytes, codec.as_ref(), self.clock.as_ref())?;
        self.check_address(edge, to)?;
        let channel = self.inputs.channel(input, to.upstream)?;
        match received {
            Received::Batch(batch) => {
                self.counters.records_in.add(u64::from(batch.records));
                let input = self.protocol.input_of(channel);
                self.call_stage(Asked::Other, |stage, cx| stage.process(cx, input, batch))
            }
            Received::Watermark(watermark) => self.on(SubtaskEvent::Watermark(channel, watermark)),
            Received::End(end) => self.end_channel(channel, end),
        }
    }

    // A record at the wrong subtask would be counted under a key group that another subtask owns.
    fn check_address(&self, edge: EdgeId, to: Address) -> Result<()> {
        let parallelism = self.plan.stages[self.plan.edges[edge as usize].to as usize].parallelism;
        if to.edge == edge && to.route == self.index && to.routes == parallelism {
            return Ok(());
        }
        Err(Error::bug(format!(
            "an element for subtask {} of {} on edge {} came to subtask {} of {parallelism} on edge {edge}",
            to.route, to.routes, to.edge, self.index
        )))
    }

    fn end_channel(&mut self, channel: usize, end: End) -> Result<()> {
        if self.inputs.end(channel) {
            self.on(SubtaskEvent::End(channel, end))?;
        }
        Ok(())
    }

    // Channels whose sender has ended before the checkpoint that the job was restored from say nothing
    // themselves: Flink does not run these senders again.
    fn end_input(&mut self, input: usize) -> Result<()> {
        for channel in self.inputs.channels_of(input)? {
            self.end_channel(channel, End::Finished)?;
        }
        Ok(())
    }

    // Flink has aligned the channels: the barrier has come on all of them.
    fn prepare(&mut self, id: CheckpointId) -> Result<()> {
        self.await_no_longer(id);
        if self.protocol.barrier() == Some(id) {
            return Ok(());
        }
        self.prepared = self.prepared.max(id);
        self.on(SubtaskEvent::Command(SubtaskCommand::Trigger { id, hold: false }))?;
        for channel in self.inputs.open_channels() {
            self.on(SubtaskEvent::Barrier(channel, id))?;
        }
        self.frozen.retain(|frozen, _| *frozen >= id);
        Ok(())
    }

    // Several checkpoints may be on their way: a savepoint does not wait for the one before it.
    fn await_no_longer(&mut self, id: CheckpointId) {
        self.awaited = self.awaited.filter(|awaited| *awaited > id);
        self.protocol.await_barrier(self.awaited.is_some() && !self.is_source);
    }

    // Flink wants a checkpoint frozen that it gives up meanwhile: the stage hears of that afterwards.
    fn tell_of_given_up(&mut self) -> Result<()> {
        while self.protocol.barrier().is_none()
            && let Some(id) = self.given_up.pop_first()
        {
            self.on(SubtaskEvent::Command(SubtaskCommand::Aborted(id)))?;
        }
        Ok(())
    }

    fn make_moves(&mut self) -> Result<()> {
        while let Some(possible) = self.protocol.next_move(self.stage.as_mut())? {
            self.protocol.make(possible);
            self.carry_out()?;
        }
        Ok(())
    }

    fn on(&mut self, event: SubtaskEvent) -> Result<()> {
        self.protocol.on(event);
        self.carry_out()
    }

    fn carry_out(&mut self) -> Result<()> {
        while let Some(decision) = self.protocol.next_decision() {
            match decision {
                SubtaskDecision::Call(call) => self.make_call(call)?,
                // Flink passes the barrier on when the harness returns.
                SubtaskDecision::PassBarrier(_) => {}
                SubtaskDecision::PassEnd(end) => self.pass_end(end),
                SubtaskDecision::ReportReady => self.outcome.ready = true,
                SubtaskDecision::ReportFrozen(_) => self.outcome.prepared = true,
                SubtaskDecision::ReportEnded(_) => {
                    if let Some(damage) = self.stage.source().and_then(SplitControl::damage) {
                        return Err(damage);
                    }
                }
                SubtaskDecision::ReportSettled => self.outcome.settled = true,
            }
        }
        Ok(())
    }

    fn make_call(&mut self, call: StageCall) -> Result<()> {
        let snapshot = if let StageCall::Snapshot(id) = call { Some(id) } else { None };
        let mut frozen = None;
        self.call_stage(call.asked(), |stage, cx| call.make(stage, cx, Budget::default(), &mut frozen))?;
        self.frozen.extend(snapshot.zip(frozen));
        Ok(())
    }

    fn call_stage(
        &mut self,
        asked: Asked,
        call: impl FnOnce(&mut dyn Stage, &mut Context<'_>) -> Result<Step>,
    ) -> Result<()> {
        let mut cx = Context::new(self.clock.as_ref(), &self.io, &self.waker);
        let step = call(self.stage.as_mut(), &mut cx)?;
        let emitted = cx.emitted;
        emitted.into_iter().try_for_each(|item| self.emit(item))?;
        self.protocol.answered(asked, step);
        Ok(())
    }

    fn emit(&mut self, item: Emitted) -> Result<()> {
        if self.suspended {
            return Ok(());
        }
        if self.protocol.has_ended() {
            return Err(Error::bug("the stage emitted something after its end"));
        }
        match item {
            Emitted::Batch(batch) => self.emit_batch(batch)?,
            Emitted::Watermark(edge, watermark) => {
                self.broadcast(edge, |to| element::of_watermark(to, watermark))?;
                self.show_watermark(edge, watermark);
            }
        }
        Ok(())
    }

    fn emit_batch(&mut self, batch: Batch) -> Result<()> {
        self.counters.records_out.add(u64::from(batch.records));
        let to = self.address(batch.edge, batch.route, self.routes_of(batch.edge)?);
        let codec = &self.plan.edges[batch.edge as usize].codec;
        for part in element::parts(batch, codec.as_ref())? {
            let bytes = element::of_batch(to, &part, codec.as_ref(), self.clock.as_ref())?;
            self.outcome.elements.push(OutgoingElement { edge: to.edge, route: to.route, bytes });
        }
        Ok(())
    }

    fn pass_end(&mut self, end: End) {
        let edges: Vec<_> = self.outputs.iter().map(|output| output.edge).collect();
        for edge in edges {
            // The edge is one of the outputs.
            let _ = self.broadcast(edge, |to| element::of_end(to, end));
        }
    }

    fn broadcast(&mut self, edge: EdgeId, make: impl Fn(Address) -> Vec<u8>) -> Result<()> {
        let routes = self.routes_of(edge)?;
        // Of a forward edge each subtask knows one receiver.
        let forward = self.plan.edges[edge as usize].exchange == Exchange::Forward;
        let own = self.index % routes;
        for route in if forward { own..own + 1 } else { 0..routes } {
            let bytes = make(self.address(edge, route, routes));
            self.outcome.elements.push(OutgoingElement { edge, route, bytes });
        }
        Ok(())
    }

    fn address(&self, edge: EdgeId, route: u16, routes: u16) -> Address {
        Address { edge, upstream: self.index, route, routes }
    }

    fn routes_of(&self, edge: EdgeId) -> Result<u16> {
        let output = self.outputs.iter().find(|output| output.edge == edge);
        output
            .map(|output| output.routes)
            .ok_or_else(|| Error::bug(format!("edge {edge} does not leave this stage")))
    }

    // Flink knows one watermark per operator: the lowest of those edges that have any.
    fn show_watermark(&mut self, edge: EdgeId, watermark: WatermarkEvent) {
        let WatermarkEvent::Watermark(time) = watermark else { return };
        if let Some(output) = self.outputs.iter_mut().find(|output| output.edge == edge) {
            output.watermark = Some(time);
        }
        self.outcome.watermark = self.outputs.iter().filter_map(|output| output.watermark).min();
    }

    fn report(&mut self) {
        let protocol = &self.protocol;
        self.outcome.more = protocol.wants_resume();
        self.outcome.blocked = !self.outcome.more && protocol.channels() != Channels::All;
        self.outcome.ended = protocol.has_ended();
        self.outcome.wake_at = protocol.wake_at();
    }
}
