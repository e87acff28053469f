//! One attempt to run a job: picks what happens next, until the job ends or fails.

use std::collections::BTreeSet;
use std::sync::Arc;

use millstream_protocol::checkpointing::{CheckpointCoordinator, CoordinatorEvent, Request, Wanted};
use millstream_protocol::enumerators::{Assignments, Enumerators, unguarded};
use millstream_protocol::job_snapshot::JobSnapshot;
use millstream_protocol::layout;
use millstream_protocol::log::{Append, JobLog};
use millstream_protocol::subtask::SubtaskCommand;
use millstream_record::{Error, Result};
use millstream_stage::plan::Plan;
use millstream_stage::stage::End;
use millstream_stage::time::{Clock, Nanos};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

use super::broken::Broken;
use super::channel::{Channel, Element};
use super::checkpoints::{Collecting, Logging, Writing};
use super::open::Ground;
use super::shared_world::SharedWorld;
use super::subtask::{Move, Subtask, SubtaskReport};
use crate::driven_stage::DrivenStage;
use crate::world::{Simulated, World};

/// What came of a step.
pub(super) enum Went {
    Did,
    Idle,
    Over(End),
}

/// One thing that can happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Choice {
    Subtask(usize, Move),
    Future,
    Tick,
    Wake,
    Write(usize),
    Log,
    LogFinish,
    Delete,
}

pub(super) struct Attempt {
    pub(super) plan: Plan,
    pub(super) world: Arc<Simulated>,
    pub(super) epoch: u64,
    pub(super) log: JobLog,
    pub(super) coordinator: CheckpointCoordinator,
    pub(super) subtasks: Vec<Subtask>,
    pub(super) enumerators: Enumerators,
    pub(super) collecting: Option<Collecting>,
    /// Snapshots whose files are being written, also those that were given up meanwhile.
    pub(super) writing: Vec<Writing>,
    pub(super) logging: Option<Logging>,
    pub(super) finishing: Option<Append>,
    /// Files that were found to be of no more use, and are deleted some time later.
    pub(super) deleting: Vec<String>,
    pub(super) dropped: BTreeSet<String>,
    pub(super) stopping: bool,
    pub(super) released: bool,
    stopped: bool,
    slow: Option<(usize, Nanos)>,
    since_checkpoint: u64,
    requests: u64,
    asked_to_stop: bool,
}

impl Attempt {
    /// Opens everything.
    pub(super) fn start(
        shared: &mut SharedWorld,
        world: &Arc<Simulated>,
        plan: &Plan,
        log: JobLog,
        from: Option<&JobSnapshot>,
    ) -> Result<Self> {
        let places = layout::subtasks(plan);
        let epoch = log.last().epoch;
        let broken = shared.chaos.broken.and_then(Broken::protocol);
        let mut enumerators =
            Enumerators::make(plan, &world.clock(), &Arc::default(), unguarded)?.breaking(broken);
        let assignments = enumerators.start(plan, from)?;
        let ground = Ground { plan, world, epoch, from, broken: shared.chaos.broken };
        let mut subtasks = Vec::new();
        for place in &places {
            subtasks.push(ground.open(&places, *place, budget(&mut shared.chance))?);
        }
        let next = log.last().next_checkpoint;
        let mut attempt = Self {
            plan: plan.clone(),
            world: Arc::clone(world),
            epoch,
            log,
            coordinator: CheckpointCoordinator::new(shared.chaos.checkpoints.clone(), subtasks.len(), next),
            subtasks,
            enumerators,
            collecting: None,
            writing: Vec::new(),
            logging: None,
            finishing: None,
            deleting: Vec::new(),
            dropped: BTreeSet::new(),
            stopping: false,
            released: false,
            stopped: false,
            slow: None,
            since_checkpoint: 0,
            requests: 0,
            asked_to_stop: false,
        };
        attempt.tell(shared, CoordinatorEvent::Started)?;
        attempt.assign(assignments);
        Ok(attempt)
    }

    /// Lets one thing happen.
    pub(super) fn step(&mut self, shared: &mut SharedWorld) -> Result<Went> {
        self.disturb(shared)?;
        if self.is_over() {
            return Ok(Went::Over(if self.stopped { End::Stopped } else { End::Finished }));
        }
        let Some(choice) = self.choose(shared) else { return Ok(Went::Idle) };
        let epoch = self.epoch;
        shared.note(|| match choice {
            Choice::Subtask(index, made) => format!("epoch {epoch}: {}: {made:?}", self.subtasks[index].name),
            other => format!("epoch {epoch}: {other:?}"),
        });
        self.happen(shared, choice)?;
        Ok(Went::Did)
    }

    /// When it wants to go on, where time alone helps.
    pub(super) fn next_wake(&self) -> Option<Nanos> {
        let clock = self.world.virtual_clock();
        let slow = self.slow.map(|(index, _)| index);
        let subtasks = self.subtasks.iter().enumerate().filter(|(index, _)| Some(*index) != slow);
        let stages = subtasks.filter_map(|(_, subtask)| subtask.wake_at()).map(|at| clock.nanos_at(at));
        let tick = self.enumerators.next_tick().filter(|_| !self.stopping);
        let writing = self.writing.iter().map(|writing| writing.ready_at);
        let until = self.slow.map(|(_, until)| until).filter(|until| *until < Nanos::MAX);
        let logging =
            self.logging.as_ref().filter(|logging| logging.is_asked).map(|logging| logging.ready_at);
        stages
            .chain(self.world.executor().next_wake())
            .chain(tick)
            .chain(writing)
            .chain(until)
            .chain(logging)
            .chain(self.coordinator.wake_at())
            .min()
    }

    // What the world does to it, unasked.
    fn disturb(&mut self, shared: &mut SharedWorld) -> Result<()> {
        self.since_checkpoint += 1;
        if shared.is_to_stop() && !self.asked_to_stop {
            self.asked_to_stop = true;
            self.tell(shared, CoordinatorEvent::Stop)?;
        }
        if shared.chaos.checkpoint_every.is_some_and(|every| self.since_checkpoint >= every)
            && self.coordinator.in_flight().is_none()
        {
            self.since_checkpoint = 0;
            self.request(shared, Wanted::Checkpoint)?;
        }
        if !shared.is_calm() {
            self.trouble(shared)?;
        }
        let calm = shared.is_calm();
        self.slow.take_if(|(_, until)| calm || *until <= shared.now());
        Ok(())
    }

    fn trouble(&mut self, shared: &mut SharedWorld) -> Result<()> {
        if let Some(id) =
            self.coordinator.in_flight().filter(|_| shared.chance.random_bool(shared.chaos.aborts))
        {
            self.tell(shared, CoordinatorEvent::Declined { id, why: "chance".into() })?;
        }
        if shared.chaos.requests > 0.0 && shared.chance.random_bool(shared.chaos.requests) {
            self.bother(shared)?;
        }
        if shared.chaos.slow > 0.0 && shared.chance.random_bool(shared.chaos.slow) {
            self.slow_down(shared);
        }
        Ok(())
    }

    fn bother(&mut self, shared: &mut SharedWorld) -> Result<()> {
        match shared.chance.random_range(0..4) {
            0 | 1 => self.request(shared, Wanted::Savepoint),
            2 => self.request(shared, Wanted::Stop { drain: false }),
            _ => self.tell(shared, CoordinatorEvent::Stop),
        }
    }

    fn request(&mut self, shared: &mut SharedWorld, wanted: Wanted) -> Result<()> {
        self.requests += 1;
        self.tell(shared, CoordinatorEvent::Requested(Request { token: self.requests, wanted }))
    }

    fn slow_down(&mut self, shared: &mut SharedWorld) {
        let index = shared.chance.random_range(0..self.subtasks.len());
        let dead = shared.chaos.checkpoints.interval.is_some() && shared.chance.random_ratio(1, 8);
        let until = if dead { Nanos::MAX } else { shared.now() + shared.chance.random_range(0..100_000_000) };
        self.slow = Some((index, until));
    }

    fn choose(&mut self, shared: &mut SharedWorld) -> Option<Choice> {
        let (now, time) = (shared.now(), shared.clock.now());
        let room: Vec<Vec<bool>> = self
            .subtasks
            .iter()
            .map(|subtask| subtask.channels.iter().map(Channel::has_room).collect())
            .collect();
        let mut choices = Vec::new();
        let slow = self.slow.map(|(index, _)| index);
        for (index, subtask) in self.subtasks.iter_mut().enumerate() {
            if Some(index) == slow {
                continue;
            }
            let moves = subtask.moves(time, |target| room[target.subtask][target.channel]);
            choices.extend(moves.into_iter().map(|made| Choice::Subtask(index, made)));
            if subtask.may_resume() && shared.chance.random_ratio(1, 64) {
                choices.push(Choice::Subtask(index, Move::Resume));
            }
        }
        if self.world.executor().has_work() {
            choices.push(Choice::Future);
        }
        if !self.stopping && self.enumerators.next_tick().is_some_and(|at| at <= now) {
            choices.push(Choice::Tick);
        }
        if self.coordinator.wake_at().is_some_and(|at| at <= now) {
            choices.push(Choice::Wake);
        }
        choices.extend(self.storage_choices(now));
        choices.choose(&mut shared.chance).copied()
    }

    fn storage_choices(&self, now: Nanos) -> Vec<Choice> {
        let written = self.writing.iter().enumerate().filter(|(_, writing)| writing.ready_at <= now);
        let mut choices: Vec<_> = written.map(|(index, _)| Choice::Write(index)).collect();
        let asked = |logging: &&Logging| logging.is_asked && logging.ready_at <= now;
        choices.extend(self.logging.as_ref().filter(asked).map(|_| Choice::Log));
        choices.extend(self.finishing.as_ref().map(|_| Choice::LogFinish));
        choices.extend((!self.deleting.is_empty()).then_some(Choice::Delete));
        choices
    }

    fn happen(&mut self, shared: &mut SharedWorld, choice: Choice) -> Result<()> {
        match choice {
            Choice::Future => {
                self.world.executor().step();
                Ok(())
            }
            Choice::Tick => {
                let assignments = self.enumerators.tick()?;
                self.assign(assignments);
                Ok(())
            }
            Choice::Wake => self.tell(shared, CoordinatorEvent::Tick),
            Choice::Write(index) => self.write(shared, index),
            Choice::Log => self.log(shared),
            Choice::LogFinish => self.log_finish(shared),
            Choice::Delete => {
                self.delete_one(shared);
                Ok(())
            }
            Choice::Subtask(index, made) => {
                let moved = self.make(shared, index, made);
                moved.map_err(|error| error.in_context(&self.subtasks[index].name))?;
                self.listen(shared, index)
            }
        }
    }

    fn make(&mut self, shared: &mut SharedWorld, index: usize, made: Move) -> Result<()> {
        match made {
            Move::Send => {
                if let Some((target, element)) = self.subtasks[index].out.pop_front() {
                    self.subtasks[target.subtask].channels[target.channel].push(element);
                }
                Ok(())
            }
            Move::Take(channel) => {
                let Some(element) = self.subtasks[index].channels[channel].pop() else { return Ok(()) };
                let element = self.transport(shared, index, channel, element)?;
                let records = budget(&mut shared.chance);
                self.subtasks[index].take(channel, element, records)
            }
            other => {
                let records = budget(&mut shared.chance);
                self.subtasks[index].make(other, records)
            }
        }
    }

    // A batch may be cut anew on its way, or go through bytes.
    fn transport(
        &mut self,
        shared: &mut SharedWorld,
        index: usize,
        channel: usize,
        element: Element,
    ) -> Result<Element> {
        let Element::Batch(mut batch) = element else { return Ok(element) };
        let codec = Arc::clone(&self.plan.edges[batch.edge as usize].codec);
        let channel = &mut self.subtasks[index].channels[channel];
        if shared.chance.random_ratio(1, 3) {
            let mut batches = vec![batch];
            batches.extend(channel.pop_batch());
            let records: u32 = batches.iter().map(|batch| batch.records).sum();
            let at_most = shared.chance.random_range(1..=records.max(1)) as usize;
            let mut cut = codec.recut(batches, at_most)?;
            batch = cut.remove(0);
            channel.put_back(cut);
        }
        if shared.chance.random_ratio(1, 4) {
            let mut bytes = Vec::new();
            codec.encode(&batch, &mut bytes)?;
            batch = codec.decode(&bytes, batch.edge, batch.route, batch.ingest)?;
        }
        Ok(Element::Batch(batch))
    }

    fn listen(&mut self, shared: &mut SharedWorld, index: usize) -> Result<()> {
        for report in std::mem::take(&mut self.subtasks[index].reports) {
            match report {
                SubtaskReport::ReaderReady => {
                    let assignments = self.enumerators.reader_ready(self.subtasks[index].place)?;
                    self.assign(assignments);
                }
                SubtaskReport::Frozen(id, frozen) => {
                    if let Some(collecting) =
                        self.collecting.as_mut().filter(|collecting| collecting.id == id)
                    {
                        collecting.parts[index] = Some(frozen);
                    }
                    self.tell(shared, CoordinatorEvent::Frozen { id, subtask: index })?;
                }
                SubtaskReport::Ended(end) => {
                    self.stopped |= end == End::Stopped;
                    self.tell(shared, CoordinatorEvent::Ended { subtask: index, end })?;
                }
                SubtaskReport::Settled => self.tell(shared, CoordinatorEvent::Settled { subtask: index })?,
            }
        }
        Ok(())
    }

    fn assign(&mut self, assignments: Assignments) {
        for (place, assignment) in assignments {
            if let Some(subtask) = self.subtasks.iter_mut().find(|subtask| subtask.place == place) {
                subtask.commands.push_back(SubtaskCommand::Assign(assignment));
            }
        }
    }

    /// Tells all subtasks.
    pub(super) fn command_all(&mut self, command: impl Fn() -> SubtaskCommand) {
        self.subtasks.iter_mut().for_each(|subtask| subtask.commands.push_back(command()));
    }

    fn is_over(&self) -> bool {
        let done =
            |subtask: &Subtask| subtask.has_ended() && subtask.commands.is_empty() && subtask.out.is_empty();
        self.released && self.subtasks.iter().all(done)
    }

    pub(super) fn close(self) -> Result<()> {
        self.subtasks.into_iter().map(|subtask| subtask.stage).try_for_each(DrivenStage::close)
    }

    /// Says with an error what went before, if it is one of a contract.
    pub(super) fn explain(&self, shared: &SharedWorld, error: Error) -> Error {
        if error.kind() != millstream_record::ErrorKind::Bug {
            return error;
        }
        error.in_context(self.describe(shared))
    }

    /// What happened last, and where everybody stands.
    pub(super) fn describe(&self, shared: &SharedWorld) -> String {
        let now: Vec<_> = self.subtasks.iter().map(Subtask::describe).collect();
        format!(
            "attempt {}, step {}\n  what happened last:\n    {}\n  where everybody stands:\n    {}\n  ",
            self.epoch,
            shared.steps,
            shared.last_events(),
            now.join("\n    ")
        )
    }
}

pub(super) fn budget(chance: &mut impl Rng) -> usize {
    *[1, 3, 17, 4096].choose(chance).expect("there are four")
}
