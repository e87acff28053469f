//! The thread of one subtask at work: brings what comes to the [`SubtaskProtocol`], and does what that
//! decides.

use millstream_protocol::subtask::{Asked, StageCall, SubtaskDecision, SubtaskEvent, SubtaskProtocol};
use millstream_record::{Error, Result};
use millstream_stage::Batch;
use millstream_stage::context::Context;
use millstream_stage::metrics::SubtaskMetrics;
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::source::SplitControl;
use millstream_stage::stage::Stage;
use millstream_stage::step::{Budget, Step};
use millstream_stage::time::{Nanos, Time};

use crate::attempt_context::{AttemptContext, CoordinatorMessage};
use crate::checkpoint_storage::SubtaskSnapshot;
use crate::halt::Halt;
use crate::inbox::{Element, Inbox, Taken, ThreadCommand, Want};
use crate::meter::Meter;
use crate::outputs::Outputs;

/// One subtask while it runs.
pub(crate) struct Subtask<'a> {
    pub(crate) index: usize,
    pub(crate) attempt: &'a AttemptContext,
    pub(crate) stage: &'a mut dyn Stage,
    pub(crate) cx: Context<'a>,
    pub(crate) inbox: &'a Inbox,
    pub(crate) metrics: &'a SubtaskMetrics,
    pub(crate) outputs: Outputs,
    pub(crate) meter: Meter<'a>,
    pub(crate) protocol: SubtaskProtocol,
    pub(crate) barriers: Barriers,
}

/// When the barriers of the newest checkpoint came, for its statistics, and what was frozen.
#[derive(Default)]
pub(crate) struct Barriers {
    id: CheckpointId,
    first: Nanos,
    /// When the barrier had come on every channel.
    complete: Option<Nanos>,
    frozen: Option<Frozen>,
    frozen_at: Nanos,
}

impl Subtask<'_> {
    /// Runs until the job releases it.
    pub(crate) fn run(&mut self) -> Result<(), Halt> {
        loop {
            self.make_moves()?;
            match self.take()? {
                Taken::Element(channel, element) => self.element(channel, element)?,
                Taken::Command(ThreadCommand::Release) => return Ok(()),
                Taken::Command(ThreadCommand::Run) => {}
                Taken::Command(ThreadCommand::Protocol(command)) => {
                    self.on(SubtaskEvent::Command(command))?;
                }
                Taken::Woken | Taken::Nothing => self.on(SubtaskEvent::Resume)?,
            }
        }
    }

    // Everything that needs no look at the inbox.
    fn make_moves(&mut self) -> Result<(), Halt> {
        while let Some(possible) = self.protocol.next_move(self.stage)? {
            self.protocol.make(possible);
            self.carry_out()?;
        }
        Ok(())
    }

    fn take(&mut self) -> Result<Taken, Halt> {
        let want = Want {
            channels: self.protocol.channels(),
            protocol: &self.protocol,
            at_once: self.protocol.wants_resume(),
            until: self.protocol.wake_at().map(|time| self.nanos_of(time)),
        };
        let taken = self.inbox.take(&want)?;
        let blocked = self.protocol.is_blocked();
        let waited_for = if blocked { &self.metrics.back_pressured_nanos } else { &self.metrics.idle_nanos };
        self.meter.lap(waited_for);
        Ok(taken)
    }

    // The monotonic time of a processing time.
    fn nanos_of(&self, time: Time) -> Nanos {
        let clock = &self.attempt.setup.clock;
        let millis = time.saturating_sub(clock.now()).max(0) as u64;
        clock.nanos().saturating_add(millis.saturating_mul(1_000_000))
    }

    fn element(&mut self, channel: usize, element: Element) -> Result<(), Halt> {
        match element {
            Element::Batch(batch) => self.batch(channel, batch),
            Element::Watermark(watermark) => self.on(SubtaskEvent::Watermark(channel, watermark)),
            Element::Barrier(id) => {
                self.barriers.came(id, self.attempt.setup.clock.nanos());
                self.on(SubtaskEvent::Barrier(channel, id))
            }
            Element::End(end) => self.on(SubtaskEvent::End(channel, end)),
        }
    }

    fn batch(&mut self, channel: usize, batch: Batch) -> Result<(), Halt> {
        let input = self.protocol.input_of(channel);
        self.call(Asked::Other, |stage, cx| stage.process(cx, input, batch))
    }

    fn on(&mut self, event: SubtaskEvent) -> Result<(), Halt> {
        self.protocol.on(event);
        self.carry_out()
    }

    fn carry_out(&mut self) -> Result<(), Halt> {
        if let Some(id) = self.protocol.barrier() {
            self.barriers.complete(id, self.attempt.setup.clock.nanos());
        }
        while let Some(decision) = self.protocol.next_decision() {
            match decision {
                SubtaskDecision::Call(call) => self.make_call(call)?,
                SubtaskDecision::PassBarrier(id) => {
                    let waited = self.outputs.barrier(id)?;
                    self.count_wait(waited);
                }
                SubtaskDecision::PassEnd(end) => {
                    let waited = self.outputs.end(end)?;
                    self.count_wait(waited);
                }
                SubtaskDecision::ReportReady => {
                    self.attempt.tell(CoordinatorMessage::ReaderReady(self.index));
                }
                SubtaskDecision::ReportFrozen(id) => self.report_frozen(id),
                SubtaskDecision::ReportEnded(end) => {
                    let damage = self.stage.source().and_then(SplitControl::damage);
                    self.attempt.tell(CoordinatorMessage::Ended(self.index, end, damage));
                }
                SubtaskDecision::ReportSettled => self.attempt.tell(CoordinatorMessage::Settled(self.index)),
            }
        }
        Ok(())
    }

    fn make_call(&mut self, call: StageCall) -> Result<(), Halt> {
        let budget = Budget { records: self.attempt.setup.options.records_per_call };
        let freezes = matches!(call, StageCall::Snapshot(_));
        let mut frozen = None;
        self.call(call.asked(), |stage, cx| call.make(stage, cx, budget, &mut frozen))?;
        if freezes {
            let now = self.attempt.setup.clock.nanos();
            self.barriers.froze(frozen, now);
        }
        Ok(())
    }

    fn report_frozen(&mut self, id: CheckpointId) {
        if let Some(part) = self.barriers.part() {
            self.attempt.tell(CoordinatorMessage::Frozen(self.index, id, part));
        }
    }

    // One call of the stage, and what it emitted sent on.
    fn call(
        &mut self,
        asked: Asked,
        call: impl FnOnce(&mut dyn Stage, &mut Context<'_>) -> Result<Step>,
    ) -> Result<(), Halt> {
        self.cx.tick();
        let step = call(self.stage, &mut self.cx)?;
        self.meter.lap(&self.metrics.busy_nanos);
        self.send()?;
        self.protocol.answered(asked, step);
        Ok(())
    }

    fn send(&mut self) -> Result<(), Halt> {
        let mut emitted = std::mem::take(&mut self.cx.emitted);
        if self.protocol.has_ended() && !emitted.is_empty() {
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
            self.meter.lap(&self.metrics.back_pressured_nanos);
        }
    }
}

impl Barriers {
    fn came(&mut self, id: CheckpointId, now: Nanos) {
        if self.id < id {
            *self = Self { id, first: now, ..Self::default() };
        }
    }

    fn complete(&mut self, id: CheckpointId, now: Nanos) {
        self.came(id, now);
        self.complete.get_or_insert(now);
    }

    fn froze(&mut self, frozen: Option<Frozen>, now: Nanos) {
        self.frozen = frozen;
        self.frozen_at = now;
    }

    fn part(&mut self) -> Option<SubtaskSnapshot> {
        let complete = self.complete.unwrap_or(self.first);
        let alignment = complete.saturating_sub(self.first);
        let sync = self.frozen_at.saturating_sub(complete);
        self.frozen.take().map(|frozen| SubtaskSnapshot { frozen, alignment, sync })
    }
}
