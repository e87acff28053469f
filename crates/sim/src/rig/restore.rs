//! Snapshots of a run, and going on from them with new stages.

use std::sync::Arc;

use millstream_record::Error;
use millstream_record::Result;
use millstream_record::key_group::owned_groups;
use millstream_stage::WatermarkEvent;
use millstream_stage::snapshot::{Frozen, StageSnapshot};
use millstream_stage::stage::InputId;
use millstream_stage::watermark::WatermarkMerger;

use super::below::Below;
use super::mode::Restore;
use super::run::{MAIN, MOST_TURNS, Run};
use super::script::Happening;
use super::transcript::Segment;
use crate::driven_stage::DrivenStage;
use crate::driven_writer::wrong;
use crate::harness::Harness;
use crate::world::World;

impl Run<'_> {
    /// What the mode does between two steps.
    pub(super) fn after_step(&mut self) -> Result<()> {
        if self.mode.checkpoints {
            return self.unused_checkpoint();
        }
        match self.mode.restore {
            Restore::Never => Ok(()),
            Restore::WrittenLate => {
                self.late = Some(self.freeze()?);
                Ok(())
            }
            Restore::EachStep | Restore::MarksLate | Restore::BetweenSlices => {
                let frozen = self.freeze()?;
                self.replace(frozen)?;
                self.marks_due = true;
                Ok(())
            }
        }
    }

    /// Freezes all subtasks, as a barrier would.
    pub(super) fn freeze(&mut self) -> Result<Vec<Frozen>> {
        self.checkpoint += 1;
        (0..self.subtasks.len()).map(|subtask| self.freeze_one(subtask)).collect()
    }

    fn freeze_one(&mut self, subtask: usize) -> Result<Frozen> {
        for _ in 0..MOST_TURNS {
            let (step, emitted) = self.subtasks[subtask].prepare(self.checkpoint)?;
            self.take(subtask, emitted)?;
            if step.is_complete() {
                return self.subtasks[subtask].snapshot(self.checkpoint);
            }
            self.quiesce().map_err(|error| error.in_context("between prepare and snapshot"))?;
        }
        Err(wrong(format!("prepare was called {MOST_TURNS} times, with resume in between, and wants more")))
    }

    // The odd ones complete, twice; the even ones are given up.
    fn unused_checkpoint(&mut self) -> Result<()> {
        drop(self.freeze()?);
        let id = self.checkpoint;
        for subtask in 0..self.subtasks.len() {
            self.resume(subtask)?;
            if id % 2 == 1 {
                self.make(subtask, |stage| stage.completed(id))?;
                self.make(subtask, |stage| stage.completed(id))?;
            } else {
                self.make(subtask, |stage| stage.aborted(id))?;
            }
        }
        Ok(())
    }

    /// In the middle of a step: new stages, which are told at once where event time stands.
    pub(super) fn restart_from_now(&mut self) -> Result<()> {
        let frozen = self.freeze()?;
        self.replace(frozen)?;
        self.marks_due = true;
        self.tell_marks()
    }

    /// Lets the old stages do the step too, then writes their snapshot out and goes on with new ones.
    pub(super) fn use_late_snapshot(&mut self, happening: &Happening) -> Result<Option<Segment>> {
        let Some(frozen) = self.late.take() else {
            return Ok(None);
        };
        // Time cannot be made to pass twice.
        let twice = !matches!(happening, Happening::Now(_));
        let shadowed = if twice { Some(self.rehearse(happening)?) } else { None };
        self.replace(frozen)?;
        self.marks_due = true;
        Ok(shadowed)
    }

    /// The stages die and new ones are opened from the snapshot.
    fn replace(&mut self, frozen: Vec<Frozen>) -> Result<()> {
        let snapshot = self.below.stored(frozen)?;
        self.subtasks.drain(..).try_for_each(DrivenStage::close)?;
        self.world.executor().abandon();
        self.restores += 1;
        self.start(&snapshot).map_err(|error: Error| error.in_context("after a restore"))
    }

    // A cold store writes a file per key group at each snapshot: there a few will do.
    pub(super) fn key_groups(&self) -> u16 {
        let most = if self.below == Below::Nothing { u16::MAX } else { 8 };
        self.layout.key_groups.min(most)
    }

    /// Opens all subtasks.
    pub(super) fn start(&mut self, snapshot: &StageSnapshot) -> Result<()> {
        let turns = self.mode.parallelism;
        let parallelism = turns[self.restores % turns.len()];
        self.front.merge = WatermarkMerger::new(usize::from(parallelism));
        let groups = self.key_groups();
        for index in 0..parallelism {
            let world = Arc::<crate::Simulated>::clone(&self.world) as Arc<dyn World>;
            let share = snapshot.share(index, parallelism, &owned_groups(index, groups, parallelism));
            let harness = Harness::new(world).subtask(index, parallelism).key_groups(groups).restored(share);
            let harness = harness.epoch(self.restores as u64 + 1).budget(self.mode.budget);
            let harness = harness.backend(self.below.backend(self.restores));
            let routes = self.layout.outputs.iter().map(|output| (output.edge, 1)).collect();
            debug_assert!(self.layout.outputs.iter().any(|output| output.edge == MAIN));
            self.subtasks.push(DrivenStage::open(self.layout.make.as_ref(), harness.routes(routes))?);
        }
        self.quiesce()
    }

    /// Tells restored stages where event time stands, as the sources would.
    pub(super) fn tell_marks(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.marks_due) {
            return Ok(());
        }
        for (input, progress) in (0..).zip(self.progress.clone()) {
            self.tell(input, progress.time.map(WatermarkEvent::Watermark))?;
            // An input that has ended is idle in any case.
            let idle = progress.idle && progress.ended.is_none();
            self.tell(input, idle.then_some(WatermarkEvent::Idle))?;
        }
        for (input, progress) in (0..).zip(self.progress.clone()) {
            if let Some(end) = progress.ended {
                for subtask in 0..self.subtasks.len() {
                    self.make(subtask, |stage| stage.end_of_input(input, end))?;
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, input: InputId, watermark: Option<WatermarkEvent>) -> Result<()> {
        let Some(watermark) = watermark else { return Ok(()) };
        (0..self.subtasks.len())
            .try_for_each(|subtask| self.make(subtask, |stage| stage.on_watermark(input, watermark)))
    }
}
