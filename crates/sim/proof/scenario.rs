//! What a seed means: the job, what goes wrong, and whether the results are right all the same.

use std::time::Duration;

use millstream_protocol::checkpoint_options::{CheckpointOptions, RestartStrategy};
use millstream_sim::{Broken, SeededDriver, SimOutcome};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::job::{Outside, Shape, audit, plan};

/// How many steps a job whose input has no end is left in peace before it is stopped: by then it must have
/// read and fired what it can.
const SETTLING: u64 = 4_000;

/// Runs a seed.
///
/// # Errors
/// What is wrong, in words.
pub(crate) fn run(seed: u64, broken: Option<Broken>, trace: Option<fn(&str)>) -> Result<SimOutcome, String> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
    let shape = Shape::of(&mut chance, broken == Some(Broken::FiringNumberAsVersion));
    let faults = *pick(&mut chance, &[0.0, 0.02, 0.1]);
    let outside = Outside::new(chance.random(), faults);
    let job = plan(&shape, &outside).map_err(|error| error.chain())?;
    // What was committed after a checkpoint that is damaged later is committed again: only what is idempotent
    // stays right.
    let damaged = broken.is_none() && chance.random_ratio(1, 10);
    let mut driver = driver(seed, &mut chance, damaged);
    if shape.live.is_some() {
        let calm_after = chance.random_range(200..2_500);
        driver = driver.calm_after(calm_after).stop_after(calm_after + SETTLING);
        let requests = *pick(&mut chance, &[0.0, 0.005, 0.03]);
        driver = driver.requests(requests).declines(*pick(&mut chance, &[0.0, 0.05]));
    }
    if let Some(rule) = broken {
        driver = driver.broken(rule);
    }
    if let Some(trace) = trace {
        driver = driver.trace(trace);
    }
    let outcome = driver.run(&job).map_err(|error| error.chain())?;
    audit(&shape, &outside, !damaged)
        .map_err(|wrong| format!("seed {seed}, {} attempts: {wrong}", outcome.attempts))?;
    Ok(outcome)
}

fn driver(seed: u64, chance: &mut impl Rng, damaged: bool) -> SeededDriver {
    let millis = Duration::from_millis;
    let options = CheckpointOptions {
        interval: Some(millis(chance.random_range(1..15))),
        min_pause: millis(chance.random_range(0..5)),
        timeout: millis(chance.random_range(50..1_000)),
        tolerable_failed: chance.random_range(0..4),
        num_retained: if damaged { 3 } else { chance.random_range(1..4) },
        savepoint_interval: chance.random_bool(0.2).then(|| millis(50)),
        ..CheckpointOptions::default()
    };
    let strategy = RestartStrategy::ExponentialDelay {
        initial: millis(2),
        max: millis(50),
        multiplier: 2.0,
        reset_after: millis(1_000),
        jitter: 0.3,
        attempts: None,
    };
    SeededDriver::new(seed)
        .checkpoints(options)
        .restarts(strategy)
        .crashes(*pick(chance, &[0.001, 0.003, 0.01]), chance.random_range(0..9))
        .damaged_checkpoints(if damaged { 0.7 } else { 0.0 })
        .late_writes()
        .zombies(*pick(chance, &[0.0, 0.5, 0.9]))
        .rescale_up_to(chance.random_range(1..5))
        .storage_faults(*pick(chance, &[0.0, 0.02, 0.1]))
        .slow_subtasks(*pick(chance, &[0.0, 0.0005]))
        .requests(*pick(chance, &[0.0, 0.0007]))
        .most_steps(400_000)
}

fn pick<'a, T>(chance: &mut impl Rng, from: &'a [T]) -> &'a T {
    &from[chance.random_range(0..from.len())]
}
