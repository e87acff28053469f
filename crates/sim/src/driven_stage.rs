//! One subtask's stage, driven by hand: keeps what it asked for, and catches what a stage must not do.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use millstream_protocol::subtask::StageCall;
use millstream_record::{Error, Result};
use millstream_stage::batch::{Batch, EdgeId};
use millstream_stage::context::Emitted;
use millstream_stage::snapshot::{CheckpointId, Frozen, Restored};
use millstream_stage::source::SplitControl;
use millstream_stage::stage::{End, InputId, Stage};
use millstream_stage::step::Budget;
use millstream_stage::time::{MAX_TIME, MIN_TIME, Time};
use millstream_stage::{Context, Step, WatermarkEvent};

use crate::conformance::panic_text;
use crate::driven_writer::wrong;
use crate::harness::Harness;
use crate::pace::Pace;

/// A stage in its subtask.
pub(crate) struct DrivenStage {
    harness: Harness,
    stage: Box<dyn Stage>,
    pace: Pace,
    watermarks: BTreeMap<EdgeId, Time>,
}

impl DrivenStage {
    /// Opens a stage. What was restored must be taken back by its operators, or it would be lost at the next
    /// checkpoint.
    pub(crate) fn open(make: &dyn Fn() -> Box<dyn Stage>, harness: Harness) -> Result<Self> {
        let mut stage = guarded("being made", || Ok(make()))?;
        let mut cx = harness.open_context();
        guarded("open", || stage.open(&mut cx))?;
        all_taken(&cx.restored)?;
        let mut pace = Pace::default();
        // The first call is a resume: restored timers say when they are due.
        pace.add(Step::MORE);
        Ok(Self { harness, stage, pace, watermarks: BTreeMap::new() })
    }

    pub(crate) fn process(&mut self, input: InputId, batch: Batch) -> Result<Vec<Emitted>> {
        self.emitted("process", |stage, cx| stage.process(cx, input, batch))
    }

    pub(crate) fn on_watermark(&mut self, input: InputId, watermark: WatermarkEvent) -> Result<Vec<Emitted>> {
        self.emitted("watermark", |stage, cx| stage.on_watermark(cx, input, watermark))
    }

    pub(crate) fn end_of_input(&mut self, input: InputId, end: End) -> Result<Vec<Emitted>> {
        self.emitted("end_of_input", |stage, cx| stage.end_of_input(cx, input, end))
    }

    pub(crate) fn prepare(&mut self, id: CheckpointId) -> Result<(Step, Vec<Emitted>)> {
        self.call("prepare", |stage, cx| stage.prepare(cx, id))
    }

    pub(crate) fn completed(&mut self, id: CheckpointId) -> Result<Vec<Emitted>> {
        self.emitted("completed", |stage, cx| stage.completed(cx, id).map(|()| Step::DONE))
    }

    pub(crate) fn aborted(&mut self, id: CheckpointId) -> Result<Vec<Emitted>> {
        self.emitted("aborted", |stage, cx| {
            stage.aborted(cx, id);
            Ok(Step::DONE)
        })
    }

    pub(crate) fn resume(&mut self, records: usize) -> Result<Vec<Emitted>> {
        self.resume_step(records).map(|(_, emitted)| emitted)
    }

    /// Makes a call that the protocol decided on; what is frozen goes to `frozen`.
    pub(crate) fn make(
        &mut self,
        call: StageCall,
        records: usize,
        frozen: &mut Option<Frozen>,
    ) -> Result<(Step, Vec<Emitted>)> {
        match call {
            StageCall::Resume => self.resume_step(records),
            StageCall::Prepare(id) => self.prepare(id),
            StageCall::Snapshot(id) => {
                *frozen = Some(self.snapshot(id)?);
                Ok((Step::DONE, Vec::new()))
            }
            StageCall::Completed(id) => Ok((Step::DONE, self.completed(id)?)),
            StageCall::Aborted(id) => Ok((Step::DONE, self.aborted(id)?)),
            StageCall::Watermark(..) => self.make_plain("watermark", call),
            StageCall::EndOfInput(..) => self.make_plain("end_of_input", call),
            StageCall::Assign(_) => self.make_plain("assign", call),
        }
    }

    fn make_plain(&mut self, name: &'static str, call: StageCall) -> Result<(Step, Vec<Emitted>)> {
        self.call(name, |stage, cx| call.make(stage, cx, Budget::default(), &mut None))
    }

    fn resume_step(&mut self, records: usize) -> Result<(Step, Vec<Emitted>)> {
        let (stage, mut answer) = (&mut self.stage, Step::DONE);
        let emitted = self.harness.call(|cx| {
            answer = guarded("resume", || stage.resume(cx, Budget { records }))?;
            Ok::<_, Error>(std::mem::take(&mut cx.emitted))
        })?;
        self.pace.replace(answer);
        Ok((answer, self.checked("resume", emitted)?))
    }

    /// Freezes; nothing may leave the stage any more before its barrier.
    pub(crate) fn snapshot(&mut self, id: CheckpointId) -> Result<Frozen> {
        let mut frozen = Frozen::default();
        let emitted = self.emitted("snapshot", |stage, cx| {
            frozen = stage.snapshot(cx, id)?;
            Ok(Step::DONE)
        })?;
        if !emitted.is_empty() {
            return Err(wrong("snapshot emits: what must go out before the barrier belongs into prepare"));
        }
        let owned = self.harness.open_context().owned;
        for (operator, state) in &frozen.keyed {
            state.entries(&mut |group, _, _| match owned.contains(&group) {
                true => Ok(()),
                false => Err(wrong(format!(
                    "the snapshot of operator {operator} has key group {group}, this subtask owns {owned:?}"
                ))),
            })?;
        }
        Ok(frozen)
    }

    pub(crate) fn close(mut self) -> Result<()> {
        let stage = &mut self.stage;
        guarded("close", || {
            stage.close();
            Ok(())
        })
    }

    fn emitted(
        &mut self,
        name: &str,
        call: impl FnOnce(&mut dyn Stage, &mut Context<'_>) -> Result<Step>,
    ) -> Result<Vec<Emitted>> {
        self.call(name, call).map(|(_, emitted)| emitted)
    }

    /// Any call but `resume`: its answer, and what it emitted.
    pub(crate) fn call(
        &mut self,
        name: &str,
        call: impl FnOnce(&mut dyn Stage, &mut Context<'_>) -> Result<Step>,
    ) -> Result<(Step, Vec<Emitted>)> {
        let stage = self.stage.as_mut();
        let (step, emitted) = self.harness.call(|cx| {
            let step = guarded(name, || call(stage, cx))?;
            Ok::<_, Error>((step, std::mem::take(&mut cx.emitted)))
        })?;
        self.pace.add(step);
        Ok((step, self.checked(name, emitted)?))
    }

    /// The reader, where the stage starts with a source.
    pub(crate) fn source(&mut self) -> Option<&mut dyn SplitControl> {
        self.stage.source()
    }

    pub(crate) fn pace(&self) -> Pace {
        self.pace
    }

    pub(crate) fn harness(&self) -> &Harness {
        &self.harness
    }

    fn checked(&mut self, call: &str, emitted: Vec<Emitted>) -> Result<Vec<Emitted>> {
        for element in &emitted {
            let Emitted::Watermark(edge, WatermarkEvent::Watermark(time)) = element else { continue };
            let before = self.watermarks.entry(*edge).or_insert(MIN_TIME);
            if *time < *before {
                return Err(wrong(format!(
                    "{call}: the watermark on edge {edge} goes back from {before} to {time}"
                )));
            }
            if *time == MAX_TIME && *before == MAX_TIME {
                return Err(wrong(format!("{call}: the final watermark on edge {edge} comes twice")));
            }
            *before = *time;
        }
        Ok(emitted)
    }
}

fn all_taken(restored: &Restored) -> Result<()> {
    let keyed = restored.keyed.iter().find(|(_, groups)| !groups.is_empty()).map(|(operator, _)| operator);
    if let Some(operator) = keyed {
        return Err(wrong(format!(
            "keyed state of operator {operator} was restored, but nobody took it at open"
        )));
    }
    match restored.lists.iter().find(|(_, items)| !items.is_empty()) {
        Some(((operator, state), _)) => Err(wrong(format!(
            "the list {state} of operator {operator} was restored, but nobody took it at open"
        ))),
        None => Ok(()),
    }
}

fn guarded<T>(call: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| error.in_context(call)),
        Err(panic) => Err(wrong(format!("{call} panicked: {}", panic_text(&*panic)))),
    }
}
