//! Runs a whole pipeline in one thread, in an order that a seed chooses, with checkpoints, crashes and
//! restarts at any step.
//!
//! A run is the same for the same plan and seed: which subtask moves next, how much it does, how batches are
//! cut, when a future is polled, when the clock goes on, when a checkpoint is taken or given up, when the
//! process dies. Channels are two elements long, so that back-pressure is the rule. After a crash the job
//! goes on from its last checkpoint, at another parallelism if asked to.
//!
//! What decides is what decides in the thread driver: the coordinator, the log, the restarts and the clean-up
//! of [`millstream_protocol`]. What is a model here is the storage of log and checkpoints: it errs, delays,
//! tears, loses acknowledgements and answers twice. And a process that is taken for dead may live on beside
//! the one that has taken its place.
//!
//! ```
//! # use millstream_stage::plan::Plan;
//! # fn sums(_: &Plan) -> Vec<u64> { Vec::new() }
//! # fn check(plan: Plan, expected: Vec<u64>) -> millstream_record::Result<()> {
//! use millstream_sim::SeededDriver;
//!
//! for seed in 0..100 {
//!     SeededDriver::new(seed).checkpoint_every(50).crashes(0.01, 5).rescale_up_to(3).run(&plan)?;
//!     assert_eq!(sums(&plan), expected, "seed {seed}");
//! }
//! # Ok(())
//! # }
//! ```

mod attempt;
mod broken;
mod channel;
mod checkpoints;
mod held_source;
mod open;
mod process;
mod shared_world;
mod storage;
mod subtask;

use std::sync::Arc;

use millstream_protocol::checkpoint_options::{CheckpointOptions, RestartStrategy};
use millstream_protocol::job_snapshot::JobSnapshot;
use millstream_protocol::layout;
use millstream_record::{ErrorKind, Result};
use millstream_stage::plan::Plan;
use millstream_stage::stage::End;
use millstream_stage::time::Time;
use process::{Process, Progress};
use rand::{RngExt, SeedableRng};
use shared_world::{Chaos, SharedWorld};

use crate::clock::VirtualClock;
use crate::driven_writer::wrong;
use crate::world::Simulated;

pub use broken::Broken;

type Chance = rand_chacha::ChaCha8Rng;

/// Where the clock stands at the beginning: in November 2017.
const START: Time = 1_511_500_000_000;

/// Runs a plan under a seed.
#[derive(Clone, Debug)]
pub struct SeededDriver {
    seed: u64,
    chaos: Chaos,
    from: Option<JobSnapshot>,
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct SimOutcome {
    /// Whether everything was read, or it was stopped.
    pub end: End,
    /// How often the job was started.
    pub attempts: u64,
    /// How many checkpoints were completed.
    pub checkpoints: u64,
    /// How many checkpoints and savepoints were given up.
    pub failed_checkpoints: u64,
    /// How many savepoints were completed.
    pub savepoints: u64,
    /// How many older processes found out that a newer one had taken over.
    pub fenced: u64,
    /// How often a damaged checkpoint made it go back to an older one.
    pub fallbacks: u64,
    /// How often the job was stopped in order and started again.
    pub stops: u64,
    /// How many things happened.
    pub steps: u64,
    /// The last checkpoint that was completed.
    pub snapshot: Option<JobSnapshot>,
}

impl SeededDriver {
    /// A run without checkpoints but the final one, and without faults.
    pub fn new(seed: u64) -> Self {
        let chaos = Chaos {
            checkpoint_every: None,
            checkpoints: CheckpointOptions { tolerable_failed: u32::MAX, ..CheckpointOptions::default() },
            restarts: None,
            aborts: 0.0,
            crashes: 0.0,
            most_restarts: 0,
            late_writes: false,
            rescale: None,
            stop_after: None,
            calm_after: None,
            most_steps: 2_000_000,
            storage_faults: 0.0,
            zombies: 0.0,
            slow: 0.0,
            requests: 0.0,
            damage: 0.0,
            broken: None,
            trace: None,
        };
        Self { seed, chaos, from: None }
    }

    /// Takes a checkpoint so many steps after the last one began. One in twenty is given up on its way.
    #[must_use]
    pub fn checkpoint_every(mut self, steps: u64) -> Self {
        self.chaos.checkpoint_every = Some(steps);
        self.chaos.aborts = 0.0005;
        self
    }

    /// Lets the process die with this probability at each step, at most so often, and starts the job again
    /// from its last checkpoint.
    #[must_use]
    pub fn crashes(mut self, probability: f64, at_most: u64) -> Self {
        self.chaos.crashes = probability.clamp(0.0, 1.0);
        self.chaos.most_restarts = at_most;
        self
    }

    /// After a crash, what was on its way to the outside may still arrive: for sinks that are fenced.
    #[must_use]
    pub fn late_writes(mut self) -> Self {
        self.chaos.late_writes = true;
        self
    }

    /// Starts again with another parallelism of each stage, from 1 to this.
    #[must_use]
    pub fn rescale_up_to(mut self, parallelism: u16) -> Self {
        self.chaos.rescale = Some(parallelism.max(1));
        self
    }

    /// Stops the sources after so many steps: for inputs without an end.
    #[must_use]
    pub fn stop_after(mut self, steps: u64) -> Self {
        self.chaos.stop_after = Some(steps);
        self
    }

    /// Lets somebody decline the snapshot under way, with this probability at each step.
    #[must_use]
    pub fn declines(mut self, probability: f64) -> Self {
        self.chaos.aborts = probability.clamp(0.0, 1.0);
        self
    }

    /// Lets nothing go wrong any more after so many steps: no crash, no request, no subtask that stands
    /// still, and until the sources are stopped no fault of the storage. Whoever stops them must know that a
    /// checkpoint has everything that can be read: what is read after the last complete one is not read
    /// again.
    #[must_use]
    pub fn calm_after(mut self, steps: u64) -> Self {
        self.chaos.calm_after = Some(steps);
        self
    }

    /// Fails a run that takes more steps; two million by default.
    #[must_use]
    pub fn most_steps(mut self, steps: u64) -> Self {
        self.chaos.most_steps = steps;
        self
    }

    /// Takes checkpoints by time, and gives them up, as the job's options say.
    #[must_use]
    pub fn checkpoints(mut self, options: CheckpointOptions) -> Self {
        self.chaos.checkpoints = options;
        self
    }

    /// Starts a failed job again in the same process, as a strategy says. Without it a failure counts as a
    /// crash.
    #[must_use]
    pub fn restarts(mut self, strategy: RestartStrategy) -> Self {
        self.chaos.restarts = Some(strategy);
        self
    }

    /// Lets calls of the checkpoint storage err, with this probability: they are late, torn, without an
    /// answer, or answered twice.
    #[must_use]
    pub fn storage_faults(mut self, probability: f64) -> Self {
        self.chaos.storage_faults = probability.clamp(0.0, 0.9);
        self
    }

    /// Lets a process that is taken for dead live on beside the new one, with this probability.
    #[must_use]
    pub fn zombies(mut self, probability: f64) -> Self {
        self.chaos.zombies = probability.clamp(0.0, 1.0);
        self
    }

    /// Lets a subtask stand still for a while with this probability at each step; with checkpoints by time,
    /// some never move again.
    #[must_use]
    pub fn slow_subtasks(mut self, probability: f64) -> Self {
        self.chaos.slow = probability.clamp(0.0, 1.0);
        self
    }

    /// Asks for savepoints, or stops the job (with a savepoint or without) and starts it again, with this
    /// probability at each step.
    #[must_use]
    pub fn requests(mut self, probability: f64) -> Self {
        self.chaos.requests = probability.clamp(0.0, 1.0);
        self
    }

    /// Lets the newest checkpoint be damaged after a crash, with this probability, where an older one is
    /// retained. The job then goes back to that one: sinks that are idempotent are right in the end, those
    /// that have committed what came after it are not.
    #[must_use]
    pub fn damaged_checkpoints(mut self, probability: f64) -> Self {
        self.chaos.damage = probability.clamp(0.0, 1.0);
        self
    }

    /// Breaks a rule, to see whether it is found.
    #[must_use]
    pub fn broken(mut self, rule: Broken) -> Self {
        self.chaos.broken = Some(rule);
        self
    }

    /// Hands over everything that happens, a line at a time.
    #[must_use]
    pub fn trace(mut self, log: fn(&str)) -> Self {
        self.chaos.trace = Some(log);
        self
    }

    /// Starts from a snapshot.
    #[must_use]
    pub fn from_snapshot(self, snapshot: JobSnapshot) -> Self {
        Self { from: Some(snapshot), ..self }
    }

    /// Runs a plan until its input ends.
    ///
    /// # Errors
    /// Returns the errors of its stages and sources, and an error when a stage breaks its contract, when
    /// nothing can happen any more, or when too much happened. The message begins with the seed and says what
    /// happened last.
    pub fn run(self, plan: &Plan) -> Result<SimOutcome> {
        let seed = self.seed;
        self.run_plan(plan).map_err(|error| error.in_context(format_args!("seed {seed}")))
    }

    fn run_plan(self, plan: &Plan) -> Result<SimOutcome> {
        layout::validate(plan)?;
        if let Some(from) = &self.from {
            from.validate(plan)?;
        }
        let clock = Arc::new(VirtualClock::at(START));
        let mut shared = SharedWorld::new(clock, Chance::seed_from_u64(self.seed), self.chaos);
        if let Some(from) = self.from {
            shared.begin_from(from);
        }
        let mut simulation = Simulation::new(&mut shared, plan);
        let end = simulation.run(&mut shared)?;
        Ok(outcome(shared, end))
    }
}

fn outcome(shared: SharedWorld, end: End) -> SimOutcome {
    let tally = shared.tally;
    SimOutcome {
        end,
        attempts: tally.attempts,
        checkpoints: tally.checkpoints,
        failed_checkpoints: tally.failed_checkpoints,
        savepoints: tally.savepoints,
        fenced: tally.fenced,
        fallbacks: tally.fallbacks,
        stops: tally.stops,
        steps: shared.steps,
        snapshot: shared.last,
    }
}

/// How long a process that is taken for dead lives on at most, in steps of all.
const AFTERLIFE: u64 = 3_000;

/// The processes of a job: the one that runs it, and those that should not any more.
struct Simulation {
    current: Process,
    /// With the step at which each is gone for good.
    zombies: Vec<(Process, u64)>,
    /// What the dead have sent may still arrive.
    ghosts: Vec<Arc<Simulated>>,
}

impl Simulation {
    fn new(shared: &mut SharedWorld, plan: &Plan) -> Self {
        Self { current: Process::start(shared, plan.clone()), zombies: Vec::new(), ghosts: Vec::new() }
    }

    fn run(&mut self, shared: &mut SharedWorld) -> Result<End> {
        loop {
            self.weather(shared)?;
            if !self.zombies.is_empty() && shared.chance.random_ratio(1, 3) {
                self.haunt(shared)?;
                continue;
            }
            let random = !shared.is_calm() && shared.chance.random_bool(shared.chaos.crashes);
            if random && shared.tally.crashes < shared.chaos.most_restarts {
                self.crash(shared);
                continue;
            }
            match self.current.step(shared)? {
                Progress::Did => {}
                Progress::Idle => self.pass_time(shared)?,
                Progress::Over(End::Finished) if shared.storage.is_finished => {
                    return self.bury(shared).map(|()| End::Finished);
                }
                Progress::Over(_) if !shared.is_to_stop() => self.start_again(shared),
                Progress::Over(end) => return self.bury(shared).map(|()| end),
            }
        }
    }

    fn weather(&mut self, shared: &mut SharedWorld) -> Result<()> {
        shared.steps += 1;
        if shared.steps > shared.chaos.most_steps {
            let message = format!("the job has not ended after {} steps", shared.chaos.most_steps);
            return Err(wrong(message).in_context(self.current.describe(shared)));
        }
        shared.storage.is_calm = shared.is_calm() && !shared.is_to_stop();
        shared.storage.weather(&mut shared.chance);
        // Work takes time.
        if shared.chance.random_ratio(1, 32) {
            let nanos = shared.chance.random_range(0..3_000_000);
            shared.pass(nanos);
            self.wake_sleepers();
        }
        if !self.ghosts.is_empty() && shared.chance.random_ratio(1, 8) {
            let ghost = shared.chance.random_range(0..self.ghosts.len());
            self.ghosts[ghost].executor().step();
        }
        Ok(())
    }

    fn wake_sleepers(&self) {
        let zombies = self.zombies.iter().map(|(zombie, _)| &zombie.world);
        let worlds = zombies.chain(&self.ghosts).chain([&self.current.world]);
        worlds.for_each(|world| world.executor().wake_sleepers());
    }

    // An older process takes a step. It may err in any way but break a contract.
    fn haunt(&mut self, shared: &mut SharedWorld) -> Result<()> {
        let index = shared.chance.random_range(0..self.zombies.len());
        let (zombie, gone_at) = &mut self.zombies[index];
        let stepped = if *gone_at <= shared.steps {
            Ok(Progress::Over(End::Stopped))
        } else if zombie.frozen_until > shared.now() {
            return Ok(());
        } else {
            zombie.step_once(shared)
        };
        match stepped {
            Ok(Progress::Did | Progress::Idle) => return Ok(()),
            Ok(Progress::Over(_)) => {}
            Err(error) if error.kind() == ErrorKind::Fenced => shared.tally.fenced += 1,
            Err(error) if error.kind() == ErrorKind::Bug => return Err(error),
            Err(_) => {}
        }
        let (zombie, _) = self.zombies.swap_remove(index);
        self.ghosts.push(zombie.world);
        Ok(())
    }

    fn crash(&mut self, shared: &mut SharedWorld) {
        shared.tally.crashes += 1;
        if shared.chaos.damage > 0.0 && shared.chance.random_bool(shared.chaos.damage) {
            shared.storage.damage(&mut shared.chance);
        }
        let plan = self.rescaled(shared);
        let next = Process::start(shared, plan);
        let mut old = std::mem::replace(&mut self.current, next);
        let lives_on = old.is_running() && shared.chance.random_bool(shared.chaos.zombies);
        if lives_on {
            // It may also have been frozen, and come back when much has happened.
            old.frozen_until = shared.now() + shared.chance.random_range(0..30_000_000);
            let gone_at = shared.steps + shared.chance.random_range(0..AFTERLIFE);
            self.zombies.push((old, gone_at));
        } else if shared.chaos.late_writes && shared.chance.random_bool(0.5) {
            self.ghosts.push(old.world);
        } else {
            old.world.executor().abandon();
        }
        shared.note(|| format!("the process {}", if lives_on { "is taken for dead" } else { "dies" }));
    }

    // It was stopped in order; whoever stopped it starts it again.
    fn start_again(&mut self, shared: &mut SharedWorld) {
        shared.tally.stops += 1;
        shared.note(|| "stopped in order, and started again".into());
        let plan = self.rescaled(shared);
        self.current = Process::start(shared, plan);
    }

    fn rescaled(&self, shared: &mut SharedWorld) -> Plan {
        let mut plan = self.current.plan.clone();
        if let Some(most) = shared.chaos.rescale {
            for stage in &mut plan.stages {
                stage.parallelism = shared.chance.random_range(1..=most.min(plan.key_groups));
            }
        }
        plan
    }

    // Nobody can do anything now: on to the next time at which somebody wants to be woken.
    fn pass_time(&mut self, shared: &mut SharedWorld) -> Result<()> {
        let zombies = self.zombies.iter().filter_map(|(zombie, _)| zombie.next_wake());
        let next = zombies.chain(self.current.next_wake()).filter(|at| *at > shared.now()).min();
        let next = next.ok_or_else(|| {
            wrong("nothing can happen any more, and the job has not ended")
                .in_context(self.current.describe(shared))
        })?;
        shared.clock.advance_to(next);
        self.wake_sleepers();
        Ok(())
    }

    // The job has ended. What the others do now must change nothing any more.
    fn bury(&mut self, shared: &mut SharedWorld) -> Result<()> {
        for _ in 0..200 {
            if self.zombies.is_empty() && self.ghosts.is_empty() {
                break;
            }
            self.weather(shared)?;
            if !self.zombies.is_empty() {
                self.haunt(shared)?;
            }
        }
        Ok(())
    }
}
