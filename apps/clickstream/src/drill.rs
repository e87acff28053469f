//! Drills: the real program on real servers is killed, stopped, paused and moved while events keep coming;
//! then every result is audited against a count by brute force.
//!
//! A drill works beside the live job and disturbs nothing: it has topics, an index prefix, a job name and a
//! directory of its own, and its events happen in windows of years ago, so that no key in Redis is shared.

mod audit;
mod blow;
mod config;
mod events;
mod process;
mod report;
mod subject;
mod truth;

pub use audit::{Audit, Results};
pub use blow::Blow;
pub use config::Site;
pub use events::{DrillEvent, Producer};
pub use report::DrillReport;
pub use subject::Subject;
pub use truth::Truth;

use std::path::PathBuf;
use std::time::Duration;

use millstream::cli::logs;
use millstream::runtime::SystemClock;
use millstream::time::Clock;
use millstream::{Error, Result};
use rand::{RngExt, SeedableRng};

/// What a drill is to do.
pub struct DrillPlan {
    /// The program; this one by default.
    pub program: PathBuf,
    /// The configuration file of the job.
    pub config: PathBuf,
    /// Changes of it, `key=value`.
    pub set: Vec<String>,
    /// Where the drill keeps its files: configuration, logs, dead letters.
    pub dir: PathBuf,
    /// How many blows.
    pub blows: u32,
    /// Which kinds of blows, taken in turns.
    pub kinds: Vec<Blow>,
    /// Events per second.
    pub rate: u32,
    /// The shortest and the longest time between two blows.
    pub between: (Duration, Duration),
    /// Chooses times, parallelisms and events.
    pub seed: u64,
    /// What else happens: the servers' bad days. Spread evenly over the blows.
    pub hooks: Vec<Hook>,
    /// How long the results may come no nearer to the truth while the job catches up at the end.
    pub patience: Duration,
}

/// Something that happens once in a drill, beside the blows.
pub struct Hook {
    /// What the report calls it.
    pub name: String,
    /// Makes it happen.
    pub run: Box<dyn FnMut() -> Result<()>>,
}

impl Hook {
    /// A shell command, such as `systemctl restart minio`.
    pub fn command(command: &str) -> Self {
        let line = command.to_owned();
        let run = move || {
            let status = std::process::Command::new("sh").args(["-c", &line]).status();
            let status = status.map_err(|error| Error::configuration("sh cannot be run").caused_by(error))?;
            if status.success() { Ok(()) } else { Err(Error::restart(format!("it ended with {status}"))) }
        };
        Self { name: command.to_owned(), run: Box::new(run) }
    }
}

/// Drills the program as a process of its own, and audits.
///
/// # Errors
/// Settings that cannot work, and servers that are away before the first blow. What the audit finds is in the
/// report.
pub fn drill(plan: DrillPlan) -> Result<DrillReport> {
    drill_subject(plan, blow::OwnProcess::new)
}

/// The same for a job that runs somewhere else; `make` starts it.
///
/// # Errors
/// Returns the same errors as [`drill`].
pub fn drill_subject<S: Subject>(
    mut plan: DrillPlan,
    make: impl FnOnce(&DrillPlan, &Site) -> Result<S>,
) -> Result<DrillReport> {
    let clock = SystemClock::new();
    let mut chance = rand_chacha::ChaCha8Rng::seed_from_u64(plan.seed);
    // Another drill with the same seed uses another place, so that leftovers of the first do no harm.
    let site = Site::prepare(&plan, &mut rand_chacha::ChaCha8Rng::seed_from_u64(clock.now().unsigned_abs()))?;
    let producer = Producer::start(&site, &plan)?;
    let mut report = DrillReport::new(&plan, &site);
    let mut job = make(&plan, &site)?;
    let began = clock.nanos();
    for number in 1..=plan.blows {
        let (shortest, longest) = plan.between;
        let wait = shortest + (longest.saturating_sub(shortest)).mul_f64(chance.random::<f64>());
        job.run_for(wait)?;
        hook(&mut plan, number, &mut report);
        let (kind, outcome) = job.deal(number, chance.random_range(1..=4));
        logs::err(&report.dealt(number, &kind, &outcome));
        if let Err(error) = outcome {
            report.violation(format!("blow {number} ({kind}): {}", error.chain()));
            job.start_anew()?;
        }
    }
    let truth = producer.finish(&site)?;
    report.catching_up(truth.events());
    let audit = Audit::until_right(&site, &truth, plan.patience, |time| job.run_for(time))?;
    if let Err(error) = job.stop() {
        report.violation(format!("the last stop: {}", error.chain()));
    }
    report.finish(&audit, Duration::from_nanos(clock.nanos() - began));
    Ok(report)
}

// Hooks are spread over the blows.
fn hook(plan: &mut DrillPlan, number: u32, report: &mut DrillReport) {
    let (hooks, blows) = (plan.hooks.len() as u32, plan.blows);
    for (index, hook) in (1..).zip(&mut plan.hooks) {
        if index * blows / (hooks + 1) == number {
            let outcome = (hook.run)();
            logs::err(&report.hooked(&hook.name, &outcome));
        }
    }
}
