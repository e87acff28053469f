//! Runs a whole pipeline in one thread, in an order that a seed chooses, with checkpoints, crashes and restarts at any step.
//!
//! A run is the same for the same plan and seed: which subtask moves next, how much it does, how batches are cut, when a future is
//! polled, when the clock goes on, when a checkpoint is taken or given up, when the process dies. Channels are two elements long, so
//! that back-pressure is the rule. After a crash the job goes on from its last checkpoint, at another parallelism if asked to.
//!
//! ```
//! # use millstream_core::plan::Plan;
//! # fn sums(_: &Plan) -> Vec<u64> { Vec::new() }
//! # fn check(plan: Plan, expected: Vec<u64>) -> millstream_core::Result<()> {
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
mod lane;
mod open;
mod sources;
mod subtask;

use std::sync::Arc;

use millstream_core::drive::job_snapshot::JobSnapshot;
use millstream_core::drive::layout;
use millstream_core::plan::Plan;
use millstream_core::stage::End;
use millstream_core::time::Time;
use millstream_core::{ErrorKind, Result};
use rand::{RngExt, SeedableRng};

use crate::world::Simulated;
use attempt::{Attempt, Job, Went};

type Chance = rand_chacha::ChaCha8Rng;

/// What may go wrong, and how often.
#[derive(Clone, Copy, Debug)]
struct Chaos {
    checkpoint_every: Option<u64>,
    aborts: f64,
    crashes: f64,
    most_restarts: u64,
    late_writes: bool,
    rescale: Option<u16>,
    stop_after: Option<u64>,
    most_steps: u64,
}

/// Runs a plan under a seed.
#[derive(Clone, Debug)]
pub struct SeededDriver {
    seed: u64,
    start: Time,
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
    /// How many things happened.
    pub steps: u64,
    /// The last checkpoint that was completed.
    pub snapshot: Option<JobSnapshot>,
}

impl SeededDriver {
    /// A run without checkpoints and without faults.
    pub fn new(seed: u64) -> Self {
        let chaos = Chaos {
            checkpoint_every: None,
            aborts: 0.0,
            crashes: 0.0,
            most_restarts: 0,
            late_writes: false,
            rescale: None,
            stop_after: None,
            most_steps: 2_000_000,
        };
        Self { seed, start: 1_511_500_000_000, chaos, from: None }
    }

    /// Where the clock stands at the beginning, in epoch milliseconds; in November 2017 by default.
    #[must_use]
    pub fn start_at(self, start: Time) -> Self {
        Self { start, ..self }
    }

    /// Takes a checkpoint so many steps after the last one began. One in twenty is given up on its way.
    #[must_use]
    pub fn checkpoint_every(mut self, steps: u64) -> Self {
        self.chaos.checkpoint_every = Some(steps);
        self.chaos.aborts = 0.0005;
        self
    }

    /// Lets the process die with this probability at each step, at most so often, and starts the job again from its last checkpoint.
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

    /// Fails a run that takes more steps; two million by default.
    #[must_use]
    pub fn most_steps(mut self, steps: u64) -> Self {
        self.chaos.most_steps = steps;
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
    /// Those of its stages and sources; when a stage breaks its contract; when nothing can happen any more or too much happened. The
    /// message begins with the seed and says what happened last.
    pub fn run(self, plan: &Plan) -> Result<SimOutcome> {
        let seed = self.seed;
        self.run_plan(plan).map_err(|error| error.in_context(format_args!("seed {seed}")))
    }

    fn run_plan(self, plan: &Plan) -> Result<SimOutcome> {
        layout::validate(plan)?;
        if let Some(from) = &self.from {
            from.validate(plan)?;
        }
        let mut job = self.job();
        let mut plan = plan.clone();
        loop {
            let went = match Attempt::start(&mut job, &plan).and_then(Attempt::run) {
                Err(error)
                    if error.kind() == ErrorKind::Restart && job.restarts < job.chaos.most_restarts =>
                {
                    Went::Crashed
                }
                went => went?,
            };
            match went {
                Went::Ended(end) => return Ok(job.outcome(end)),
                Went::Crashed => job.die(&mut plan),
            }
        }
    }

    fn job(self) -> Job {
        let next_checkpoint = self.from.as_ref().map_or(1, |from| from.checkpoint + 1);
        Job {
            world: Arc::new(Simulated::new(self.seed, self.start)),
            chance: Chance::seed_from_u64(self.seed),
            chaos: self.chaos,
            steps: 0,
            checkpoints: 0,
            next_checkpoint,
            restarts: 0,
            first_epoch: self.from.as_ref().map_or(1, |from| from.epoch + 1),
            last: self.from,
        }
    }
}

impl Job {
    fn die(&mut self, plan: &mut Plan) {
        self.restarts += 1;
        if !self.chaos.late_writes || self.chance.random_bool(0.5) {
            self.world.executor().abandon();
        }
        if let Some(most) = self.chaos.rescale {
            for stage in &mut plan.stages {
                stage.parallelism = self.chance.random_range(1..=most.min(plan.key_groups));
            }
        }
    }

    fn outcome(self, end: End) -> SimOutcome {
        SimOutcome {
            end,
            attempts: self.restarts + 1,
            checkpoints: self.checkpoints,
            steps: self.steps,
            snapshot: self.last,
        }
    }
}
