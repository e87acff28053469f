//! One attempt to run a job: picks what happens next, until the job ends, crashes or fails.

use std::collections::VecDeque;
use std::sync::Arc;

use millstream_core::drive::job_snapshot::JobSnapshot;
use millstream_core::drive::layout;
use millstream_core::plan::Plan;
use millstream_core::snapshot::{CheckpointId, Frozen};
use millstream_core::stage::End;
use millstream_core::time::Clock;
use millstream_core::{Error, Result};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

use super::lane::Element;
use super::open::Ground;
use super::sources::{Assignments, Sources};
use super::subtask::{Command, Move, Subtask, Told};
use super::{Chance, Chaos};
use crate::driven_stage::DrivenStage;
use crate::driven_writer::wrong;
use crate::world::{Simulated, World};

/// How many of the last things that happened are told with an error.
const REMEMBERED: usize = 30;

/// How an attempt went.
pub(super) enum Went {
    Ended(End),
    Crashed,
}

/// One thing that can happen.
#[derive(Clone, Copy, Debug)]
enum Choice {
    Subtask(usize, Move),
    Future,
    Tick,
    Stored,
}

/// A checkpoint whose parts come in.
struct Collecting {
    id: CheckpointId,
    parts: Vec<Option<Frozen>>,
    enumerators: Vec<Option<Vec<u8>>>,
}

/// What outlives an attempt.
pub(super) struct Job {
    pub(super) world: Arc<Simulated>,
    pub(super) chance: Chance,
    pub(super) chaos: Chaos,
    pub(super) steps: u64,
    pub(super) checkpoints: u64,
    pub(super) next_checkpoint: CheckpointId,
    pub(super) last: Option<JobSnapshot>,
    pub(super) restarts: u64,
    pub(super) first_epoch: u64,
}

pub(super) struct Attempt<'a> {
    job: &'a mut Job,
    plan: &'a Plan,
    epoch: u64,
    subtasks: Vec<Subtask>,
    sources: Sources,
    collecting: Option<Collecting>,
    storing: Option<JobSnapshot>,
    stopping: bool,
    stopped: bool,
    since_checkpoint: u64,
    trace: VecDeque<Choice>,
}

impl<'a> Attempt<'a> {
    /// Opens everything.
    pub(super) fn start(job: &'a mut Job, plan: &'a Plan) -> Result<Self> {
        let places = layout::places(plan);
        let (world, epoch) = (Arc::clone(&job.world), job.first_epoch + job.restarts);
        let (sources, assignments) = Sources::start(plan, &world.clock(), job.last.as_ref())?;
        let ground = Ground { plan, world: &world, epoch, from: job.last.as_ref() };
        let mut subtasks = Vec::new();
        for place in &places {
            subtasks.push(ground.open(&places, *place, budget(&mut job.chance))?);
        }
        let mut attempt = Self {
            job,
            plan,
            epoch,
            subtasks,
            sources,
            collecting: None,
            storing: None,
            stopping: false,
            stopped: false,
            since_checkpoint: 0,
            trace: VecDeque::new(),
        };
        attempt.assign(assignments)?;
        Ok(attempt)
    }

    /// Runs until it ends or crashes.
    pub(super) fn run(mut self) -> Result<Went> {
        loop {
            self.step_counted()?;
            if self.is_over() {
                let end = if self.stopped { End::Stopped } else { End::Finished };
                self.close()?;
                return Ok(Went::Ended(end));
            }
            if self.crashes() {
                return Ok(Went::Crashed);
            }
            let Some(choice) = self.choose() else {
                self.pass_time().map_err(|error| self.explain(error))?;
                continue;
            };
            self.trace.push_back(choice);
            if self.trace.len() > REMEMBERED {
                self.trace.pop_front();
            }
            self.happen(choice).map_err(|error| self.explain(error))?;
        }
    }

    fn step_counted(&mut self) -> Result<()> {
        self.job.steps += 1;
        self.since_checkpoint += 1;
        let chaos = self.job.chaos;
        if self.job.steps > chaos.most_steps {
            let message = format!("the job has not ended after {} steps", chaos.most_steps);
            return Err(self.explain(wrong(message)));
        }
        if chaos.stop_after.is_some_and(|steps| self.job.steps >= steps) && !self.stopping {
            self.stopping = true;
            self.subtasks.iter_mut().for_each(|subtask| subtask.commands.push_back(Command::Stop));
        }
        if chaos.checkpoint_every.is_some_and(|every| self.since_checkpoint >= every) {
            self.trigger();
        }
        if self.collecting.is_some() && self.job.chance.random_bool(chaos.aborts) {
            self.abort();
        }
        // Work takes time.
        if self.job.chance.random_ratio(1, 32) {
            let clock = self.job.world.virtual_clock();
            clock.advance_to(clock.nanos() + self.job.chance.random_range(0..3_000_000));
            self.job.world.executor().wake_sleepers();
        }
        Ok(())
    }

    fn choose(&mut self) -> Option<Choice> {
        let now = self.job.world.clock().now();
        let room: Vec<Vec<bool>> = self
            .subtasks
            .iter()
            .map(|subtask| subtask.lanes.iter().map(super::lane::Lane::has_room).collect())
            .collect();
        let mut choices = Vec::new();
        for (index, subtask) in self.subtasks.iter_mut().enumerate() {
            let moves = subtask.moves(now, |target| room[target.subtask][target.lane]);
            choices.extend(moves.into_iter().map(|made| Choice::Subtask(index, made)));
            let may_resume = subtask.out.is_empty() && !subtask.ended;
            if may_resume && self.job.chance.random_ratio(1, 64) {
                choices.push(Choice::Subtask(index, Move::Resume));
            }
        }
        if self.job.world.executor().has_work() {
            choices.push(Choice::Future);
        }
        if !self.stopping && self.sources.next_tick().is_some_and(|at| at <= self.job.world.clock().nanos()) {
            choices.push(Choice::Tick);
        }
        if self.storing.is_some() {
            choices.push(Choice::Stored);
        }
        choices.choose(&mut self.job.chance).copied()
    }

    // Nobody can do anything now: on to the next time at which somebody wants to be woken.
    fn pass_time(&mut self) -> Result<()> {
        let clock = self.job.world.virtual_clock();
        let stages = self.subtasks.iter().filter_map(Subtask::wake_at).map(|at| clock.nanos_at(at));
        let tick = self.sources.next_tick().filter(|_| !self.stopping);
        let next = stages.chain(self.job.world.executor().next_wake()).chain(tick).min();
        let next = next.ok_or_else(|| wrong("nothing can happen any more, and the job has not ended"))?;
        clock.advance_to(next);
        self.job.world.executor().wake_sleepers();
        Ok(())
    }

    fn happen(&mut self, choice: Choice) -> Result<()> {
        match choice {
            Choice::Future => {
                self.job.world.executor().step();
                Ok(())
            }
            Choice::Tick => {
                let assignments = self.sources.tick(self.job.world.clock().nanos())?;
                self.assign(assignments)
            }
            Choice::Stored => {
                self.stored();
                Ok(())
            }
            Choice::Subtask(index, made) => {
                let moved = self.make(index, made);
                moved.map_err(|error| error.in_context(&self.subtasks[index].name))?;
                self.listen(index)
            }
        }
    }

    fn make(&mut self, index: usize, made: Move) -> Result<()> {
        match made {
            Move::Send => {
                if let Some((target, element)) = self.subtasks[index].out.pop_front() {
                    self.subtasks[target.subtask].lanes[target.lane].push(element);
                }
                Ok(())
            }
            Move::Take(lane) => {
                let Some(element) = self.subtasks[index].lanes[lane].pop() else { return Ok(()) };
                let element = self.transport(index, lane, element)?;
                self.subtasks[index].take(lane, element)
            }
            other => {
                let records = budget(&mut self.job.chance);
                self.subtasks[index].make(other, records)
            }
        }
    }

    // A batch may be cut anew on its way, or go through bytes.
    fn transport(&mut self, index: usize, lane: usize, element: Element) -> Result<Element> {
        let Element::Batch(mut batch) = element else { return Ok(element) };
        let codec = Arc::clone(&self.plan.edges[batch.edge as usize].codec);
        let lane = &mut self.subtasks[index].lanes[lane];
        if self.job.chance.random_ratio(1, 3) {
            let mut batches = vec![batch];
            batches.extend(lane.pop_batch());
            let records: u32 = batches.iter().map(|batch| batch.records).sum();
            let at_most = self.job.chance.random_range(1..=records.max(1)) as usize;
            let mut cut = codec.recut(batches, at_most)?;
            batch = cut.remove(0);
            lane.put_back(cut);
        }
        if self.job.chance.random_ratio(1, 4) {
            let mut bytes = Vec::new();
            codec.encode(&batch, &mut bytes)?;
            batch = codec.decode(&bytes, batch.edge, batch.route, batch.ingest)?;
        }
        Ok(Element::Batch(batch))
    }

    fn listen(&mut self, index: usize) -> Result<()> {
        for told in std::mem::take(&mut self.subtasks[index].told) {
            match told {
                Told::ReaderReady => {
                    let assignments = self.sources.reader_ready(self.subtasks[index].place)?;
                    self.assign(assignments)?;
                }
                Told::Frozen(id, frozen) => self.collect(index, id, frozen)?,
                Told::Ended(end) => self.stopped |= end == End::Stopped,
            }
        }
        Ok(())
    }

    fn assign(&mut self, assignments: Assignments) -> Result<()> {
        for (place, assignment) in assignments {
            let subtask = self.subtasks.iter_mut().find(|subtask| subtask.place == place);
            let subtask = subtask.ok_or_else(|| {
                wrong(format!(
                    "an enumerator assigns splits to subtask {}, which does not exist",
                    place.subtask
                ))
            })?;
            subtask.commands.push_back(Command::Assign(assignment));
        }
        Ok(())
    }

    fn trigger(&mut self) {
        let over = self.subtasks.iter().all(|subtask| subtask.ended);
        if self.collecting.is_some() || self.storing.is_some() || over {
            return;
        }
        let id = self.job.next_checkpoint;
        self.job.next_checkpoint += 1;
        self.since_checkpoint = 0;
        let enumerators = self.sources.snapshot(self.plan.stages.len());
        let parts = self.subtasks.iter().map(|_| None).collect();
        self.collecting = Some(Collecting { id, parts, enumerators });
        self.subtasks.iter_mut().for_each(|subtask| subtask.commands.push_back(Command::Trigger(id)));
    }

    fn abort(&mut self) {
        if let Some(collecting) = self.collecting.take() {
            let aborted = || Command::Aborted(collecting.id);
            self.subtasks.iter_mut().for_each(|subtask| subtask.commands.push_back(aborted()));
        }
    }

    fn collect(&mut self, index: usize, id: CheckpointId, frozen: Frozen) -> Result<()> {
        let Some(collecting) = self.collecting.as_mut().filter(|collecting| collecting.id == id) else {
            return Ok(());
        };
        collecting.parts[index] = Some(frozen);
        if collecting.parts.iter().any(Option::is_none) {
            return Ok(());
        }
        let Some(Collecting { id, parts, enumerators }) = self.collecting.take() else { return Ok(()) };
        let places = self.subtasks.iter().map(|subtask| subtask.place);
        let frozen = places.zip(parts).filter_map(|(place, part)| Some((place, part?)));
        self.storing = Some(JobSnapshot::assemble(self.plan, id, self.epoch, frozen, enumerators)?);
        Ok(())
    }

    fn stored(&mut self) {
        let Some(snapshot) = self.storing.take() else { return };
        let id = snapshot.checkpoint;
        self.job.last = Some(snapshot);
        self.job.checkpoints += 1;
        self.subtasks.iter_mut().for_each(|subtask| subtask.commands.push_back(Command::Completed(id)));
    }

    fn is_over(&self) -> bool {
        let done = |subtask: &Subtask| subtask.ended && subtask.commands.is_empty() && subtask.out.is_empty();
        self.collecting.is_none() && self.storing.is_none() && self.subtasks.iter().all(done)
    }

    fn crashes(&mut self) -> bool {
        let chaos = self.job.chaos;
        self.job.restarts < chaos.most_restarts && self.job.chance.random_bool(chaos.crashes)
    }

    fn close(self) -> Result<()> {
        self.subtasks.into_iter().map(|subtask| subtask.stage).try_for_each(DrivenStage::close)
    }

    fn explain(&self, error: Error) -> Error {
        let last = self.trace.iter().map(|choice| match choice {
            Choice::Subtask(index, made) => format!("{}: {made:?}", self.subtasks[*index].name),
            other => format!("{other:?}"),
        });
        let now: Vec<_> = self.subtasks.iter().map(Subtask::describe).collect();
        let context = format!(
            "attempt {}, step {}\n  what happened last:\n    {}\n  where everybody stands:\n    {}\n  ",
            self.epoch,
            self.job.steps,
            last.collect::<Vec<_>>().join("\n    "),
            now.join("\n    ")
        );
        error.in_context(context)
    }
}

fn budget(chance: &mut impl Rng) -> usize {
    *[1, 3, 17, 4096].choose(chance).expect("there are four")
}
