//! One run of a stage in one mode.

use std::sync::Arc;

use millstream_record::Result;
use millstream_record::key_group::owner;
use millstream_stage::WatermarkEvent;
use millstream_stage::batch::{Batch, EdgeCodec, EdgeId};
use millstream_stage::context::Emitted;
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::stage::{End, InputId, Stage};
use millstream_stage::time::{Clock, MIN_TIME, Time};
use millstream_stage::watermark::WatermarkMerger;

use super::below::Below;
use super::mode::{Mode, Restore};
use super::script::{Happening, Script, Step};
use super::transcript::{Entry, ReadRows, Segment};
use crate::driven_stage::DrivenStage;
use crate::driven_writer::wrong;
use crate::world::{Simulated, World};

/// More resumes than any step needs: the stage turns in a circle.
pub(super) const MOST_TURNS: u32 = 20_000;

/// The main output's edge.
pub(super) const MAIN: EdgeId = 0;

/// One output.
pub(super) struct OutputSpec {
    pub(super) edge: EdgeId,
    pub(super) read: ReadRows,
    pub(super) codec: Arc<dyn EdgeCodec>,
}

/// What all runs have in common.
pub(super) struct Layout {
    pub(super) make: Box<dyn Fn() -> Box<dyn Stage>>,
    pub(super) outputs: Vec<OutputSpec>,
    pub(super) key_groups: u16,
    pub(super) keyed: bool,
}

/// What a run gave: what came out; and, where snapshots are written late, what came out of the stages that
/// had gone on.
pub(super) struct Transcript {
    pub(super) segments: Vec<Segment>,
    pub(super) shadow: Option<Vec<Segment>>,
}

/// Where event time stands on an input, to be told again after a restore.
#[derive(Clone, Copy, Default)]
pub(super) struct Progress {
    pub(super) time: Option<Time>,
    pub(super) idle: bool,
    pub(super) ended: Option<End>,
}

/// Where event time stands in the output.
#[derive(Clone)]
pub(super) struct Front {
    pub(super) merge: WatermarkMerger,
    watermark: Time,
    idle: bool,
}

pub(super) struct Run<'a> {
    pub(super) layout: &'a Layout,
    pub(super) script: &'a Script,
    pub(super) mode: &'a Mode,
    pub(super) below: Below,
    pub(super) world: Arc<Simulated>,
    pub(super) subtasks: Vec<DrivenStage>,
    pub(super) progress: Vec<Progress>,
    pub(super) front: Front,
    pub(super) restores: usize,
    pub(super) checkpoint: CheckpointId,
    /// The watermarks that restored stages have not been told yet.
    pub(super) marks_due: bool,
    /// Frozen before the step at hand, and not written out yet.
    pub(super) late: Option<Vec<Frozen>>,
    /// This step was already cut by a restore, or must not be.
    pub(super) cut: bool,
    current: Segment,
    dealt: usize,
}

impl<'a> Run<'a> {
    pub(super) fn new(layout: &'a Layout, script: &'a Script, mode: &'a Mode, below: Below) -> Self {
        Self {
            layout,
            script,
            mode,
            below,
            world: Arc::new(Simulated::new(0, 0)),
            subtasks: Vec::new(),
            progress: vec![Progress::default(); script.inputs.len()],
            front: Front { merge: WatermarkMerger::new(1), watermark: MIN_TIME, idle: false },
            restores: 0,
            checkpoint: 0,
            marks_due: false,
            late: None,
            cut: true,
            current: Segment::default(),
            dealt: 0,
        }
    }

    /// Runs the whole script.
    pub(super) fn go(mut self) -> Result<Transcript> {
        self.start(&Default::default())?;
        let steps = self.script.steps(self.mode.batch);
        let count = steps.last().map_or(0, |step| step.segment + 1);
        let (mut segments, mut shadow) = (vec![Segment::default(); count], vec![Segment::default(); count]);
        for step in steps {
            let (came, shadowed) = self.one(&step).map_err(|error| {
                error.in_context(format!("in answer to [{}]", self.script.describe(step.segment)))
            })?;
            shadow[step.segment].append(shadowed.unwrap_or_else(|| came.clone()));
            segments[step.segment].append(came);
        }
        self.subtasks.drain(..).try_for_each(DrivenStage::close)?;
        let shadow = (self.mode.restore == Restore::WrittenLate).then_some(shadow);
        Ok(Transcript { segments, shadow })
    }

    fn one(&mut self, step: &Step) -> Result<(Segment, Option<Segment>)> {
        let shadowed = self.use_late_snapshot(&step.happening)?;
        self.cut = self.mode.restore != Restore::BetweenSlices;
        self.happen(&step.happening)?;
        self.cut = true;
        if !self.has_ended() {
            self.after_step()?;
        } else if self.mode.checkpoints {
            self.freeze()?;
        }
        Ok((std::mem::take(&mut self.current), shadowed))
    }

    /// Makes one thing happen and sees it through.
    fn happen(&mut self, happening: &Happening) -> Result<()> {
        let late = self.mode.restore == Restore::MarksLate && matches!(happening, Happening::Data(..));
        if !late {
            self.tell_marks()?;
        }
        match happening {
            Happening::Data(input, range) => {
                let batch =
                    (self.script.inputs[usize::from(*input)].cut)(range.clone(), self.world.clock().nanos());
                for (subtask, batch) in self.deal(*input, batch)? {
                    self.make(subtask, |stage| stage.process(*input, batch))?;
                }
            }
            Happening::Watermark(input, watermark) => {
                self.each_input(*input, |run, input| run.on_watermark(input, *watermark))?;
            }
            Happening::Now(time) => self.advance(*time)?,
            Happening::End(input, end) => self.each_input(*input, |run, input| run.end(input, *end))?,
        }
        if late {
            self.tell_marks()?;
        }
        if self.mode.spurious {
            for subtask in 0..self.subtasks.len() {
                self.resume(subtask)?;
                self.quiesce()?;
            }
        }
        Ok(())
    }

    fn each_input(
        &mut self,
        input: Option<InputId>,
        call: impl Fn(&mut Self, InputId) -> Result<()>,
    ) -> Result<()> {
        match input {
            Some(input) => call(self, input),
            None => (0..self.progress.len() as InputId).try_for_each(|input| call(self, input)),
        }
    }

    pub(super) fn on_watermark(&mut self, input: InputId, watermark: WatermarkEvent) -> Result<()> {
        let progress = &mut self.progress[usize::from(input)];
        match watermark {
            WatermarkEvent::Watermark(time) => progress.time = progress.time.max(Some(time)),
            WatermarkEvent::Idle | WatermarkEvent::Active => {
                progress.idle = watermark == WatermarkEvent::Idle;
            }
        }
        // Stages that are restored on the way learn it from the progress.
        let restores = self.restores;
        for subtask in 0..self.subtasks.len() {
            if restores == self.restores {
                self.make(subtask, |stage| stage.on_watermark(input, watermark))?;
            }
        }
        Ok(())
    }

    pub(super) fn end(&mut self, input: InputId, end: End) -> Result<()> {
        if self.progress[usize::from(input)].ended.replace(end).is_some() {
            return Err(wrong(format!("the rig's input {input} ends twice")));
        }
        let restores = self.restores;
        for subtask in 0..self.subtasks.len() {
            if restores == self.restores {
                self.make(subtask, |stage| stage.end_of_input(input, end))?;
            }
        }
        Ok(())
    }

    // Through every time at which somebody wants to be woken.
    fn advance(&mut self, to: Time) -> Result<()> {
        let clock = Arc::clone(self.world.virtual_clock());
        loop {
            let stages = self.subtasks.iter().filter_map(|stage| stage.pace().wake_at());
            let futures = self.world.executor().next_wake().map(|nanos| (nanos / 1_000_000) as Time + 1);
            let next = stages.chain(futures).filter(|at| *at <= to && *at > clock.now()).min();
            clock.set(next.unwrap_or(to));
            self.quiesce()?;
            if next.is_none() {
                return Ok(());
            }
        }
    }

    fn deal(&mut self, input: InputId, batch: Batch) -> Result<Vec<(usize, Batch)>> {
        let codec = Arc::clone(&self.script.inputs[usize::from(input)].codec);
        let batch = if self.mode.bytes { through_bytes(codec.as_ref(), &batch)? } else { batch };
        let (groups, subtasks) = (self.key_groups(), self.subtasks.len());
        if !self.layout.keyed {
            self.dealt += 1;
            return Ok(vec![(self.dealt % subtasks, batch)]);
        }
        let bundles = self.mode.bundles.max(subtasks as u16);
        if bundles == 1 {
            return Ok(vec![(0, batch)]);
        }
        let mut parts = Vec::new();
        codec.partition(batch, groups, &|group| owner(group, groups, bundles), &mut parts)?;
        Ok(parts.into_iter().map(|part| (usize::from(part.route) % subtasks, part)).collect())
    }

    /// Makes a call and sees everything through that follows from it.
    pub(super) fn make(
        &mut self,
        subtask: usize,
        call: impl FnOnce(&mut DrivenStage) -> Result<Vec<Emitted>>,
    ) -> Result<()> {
        let emitted = call(&mut self.subtasks[subtask])?;
        self.take(subtask, emitted)?;
        self.quiesce()
    }

    pub(super) fn resume(&mut self, subtask: usize) -> Result<()> {
        let emitted = self.subtasks[subtask].resume(self.mode.budget)?;
        self.take(subtask, emitted)
    }

    /// Resumes whoever wants it, until nobody does at this time.
    pub(super) fn quiesce(&mut self) -> Result<()> {
        for _ in 0..MOST_TURNS {
            self.world.settle();
            let subtasks = 0..self.subtasks.len();
            if let Some(subtask) = subtasks.clone().find(|subtask| self.wants_resume(*subtask)) {
                if self.cut || !self.subtasks[subtask].pace().wants_resume() {
                    self.resume(subtask)?;
                } else {
                    self.cut = true;
                    self.restart_from_now()?;
                }
                continue;
            }
            let Some(blocked) =
                subtasks.into_iter().find(|subtask| self.subtasks[*subtask].pace().is_blocked())
            else {
                return Ok(());
            };
            let stage = &self.subtasks[blocked];
            let waited = stage.harness().wait(stage.pace().wake_at());
            waited.map_err(|error| error.in_context("the stage is blocked"))?;
            self.resume(blocked)?;
        }
        Err(wrong(format!("resumed {MOST_TURNS} times in one step, and it still wants more")))
    }

    fn wants_resume(&self, subtask: usize) -> bool {
        let stage = &self.subtasks[subtask];
        let due = stage.pace().wake_at().is_some_and(|at| at <= self.world.clock().now());
        stage.harness().take_wake() || stage.pace().wants_resume() || due
    }

    fn has_ended(&self) -> bool {
        self.progress.iter().all(|progress| progress.ended.is_some())
    }

    /// Notes what a stage emitted.
    pub(super) fn take(&mut self, subtask: usize, emitted: Vec<Emitted>) -> Result<()> {
        emitted.into_iter().try_for_each(|element| match element {
            Emitted::Batch(batch) => self.note_batch(batch),
            Emitted::Watermark(edge, watermark) => {
                self.output(edge)?;
                if edge == MAIN {
                    self.note_mark(subtask, watermark);
                }
                Ok(())
            }
        })
    }

    fn note_batch(&mut self, batch: Batch) -> Result<()> {
        let (edge, route) = (batch.edge, batch.route);
        let output = self.output(edge)?;
        if route != 0 {
            return Err(wrong(format!("a batch for route {route} of edge {edge}, which has one route")));
        }
        let batch = if self.mode.bytes { through_bytes(output.codec.as_ref(), &batch)? } else { batch };
        let rows = (output.read)(batch)?;
        if edge == MAIN {
            self.current.main.extend(rows.into_iter().map(Entry::Row));
        } else {
            self.current.sides.extend(rows.into_iter().map(|row| (edge, row)));
        }
        Ok(())
    }

    fn output(&self, edge: EdgeId) -> Result<&'a OutputSpec> {
        let output = self.layout.outputs.iter().find(|output| output.edge == edge);
        output.ok_or_else(|| {
            wrong(format!("something was sent to edge {edge}, which this stage does not have"))
        })
    }

    // A watermark that was passed on before, and is said again after a restore, is news to nobody.
    fn note_mark(&mut self, subtask: usize, watermark: WatermarkEvent) {
        for watermark in self.front.merge.on(subtask, watermark).into_iter().flatten() {
            let news = match watermark {
                WatermarkEvent::Watermark(time) => {
                    let before = self.front.watermark;
                    self.front.watermark = before.max(time);
                    time > before
                }
                WatermarkEvent::Idle | WatermarkEvent::Active => {
                    let idle = watermark == WatermarkEvent::Idle;
                    std::mem::replace(&mut self.front.idle, idle) != idle
                }
            };
            if news {
                self.current.main.push(Entry::Watermark(watermark));
            }
        }
    }

    /// Runs a step on the stages as they are and takes what came out, as if it had not happened.
    pub(super) fn rehearse(&mut self, happening: &Happening) -> Result<Segment> {
        let before = (self.front.clone(), self.progress.clone());
        self.happen(happening)?;
        (self.front, self.progress) = before;
        Ok(std::mem::take(&mut self.current))
    }
}

fn through_bytes(codec: &dyn EdgeCodec, batch: &Batch) -> Result<Batch> {
    let mut bytes = Vec::new();
    codec.encode(batch, &mut bytes)?;
    let copy = codec.decode(&bytes, batch.edge, batch.route, batch.ingest)?;
    let mut again = Vec::new();
    codec.encode(&copy, &mut again)?;
    if bytes == again { Ok(copy) } else { Err(wrong("a batch changes on its way through its codec")) }
}
