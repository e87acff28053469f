//! The command `drill`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use millstream::cli::logs;
use millstream::runtime::SystemClock;
use millstream::stage::options::parse_typed_duration;
use millstream::stage::time::Clock;
use millstream::{Error, Result};

use crate::drill::{Blow, DrillPlan, Hook, drill};

/// What `drill` can be told.
#[derive(Clone, Debug, Args)]
pub struct DrillArgs {
    /// The job's configuration: Kafka as its source; Elasticsearch, Redis, SQLite and Kafka as sinks are audited
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Change a key of the file (may be repeated)
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// How many blows
    #[arg(long, default_value_t = 10)]
    blows: u32,
    /// Which kinds; all by default
    #[arg(long, value_enum, value_delimiter = ',')]
    kinds: Vec<Blow>,
    /// Events per second
    #[arg(long, default_value_t = 2000)]
    rate: u32,
    /// The shortest time between two blows
    #[arg(long, default_value = "1s", value_parser = parse_typed_duration)]
    shortest: Duration,
    /// The longest time between two blows
    #[arg(long, default_value = "5s", value_parser = parse_typed_duration)]
    longest: Duration,
    /// Chooses times, parallelisms and events; the time of day without it
    #[arg(long)]
    seed: Option<u64>,
    /// A shell command that harms a server, run once in the middle, such as "systemctl restart minio" (may be repeated)
    #[arg(long, value_name = "COMMAND")]
    hook: Vec<String>,
    /// How long the results may come no nearer to the truth while the job catches up in the end
    #[arg(long, default_value = "2m", value_parser = parse_typed_duration)]
    patience: Duration,
    /// Where the drill keeps its files
    #[arg(long, default_value = "drill", value_name = "DIR")]
    dir: PathBuf,
}

/// Drills, and fails where the audit does.
///
/// # Errors
/// Settings that cannot work; a result that is missing, wrong or doubled.
pub(super) fn run(args: &DrillArgs) -> Result<()> {
    let failed = |what: &str, error: std::io::Error| Error::configuration(what.to_owned()).caused_by(error);
    let program = std::env::current_exe().map_err(|error| failed("this program is not found", error))?;
    let dir = std::path::absolute(&args.dir).map_err(|error| failed("--dir is no directory", error))?;
    let all = vec![Blow::Kill, Blow::Stop, Blow::Pause, Blow::Rescale];
    let report = drill(DrillPlan {
        program,
        config: args.config.clone(),
        set: args.set.clone(),
        dir,
        blows: args.blows,
        kinds: if args.kinds.is_empty() { all } else { args.kinds.clone() },
        rate: args.rate,
        between: (args.shortest, args.longest.max(args.shortest)),
        seed: args.seed.unwrap_or_else(|| SystemClock::new().now().unsigned_abs()),
        hooks: args.hook.iter().map(|command| Hook::command(command)).collect(),
        patience: args.patience,
    })?;
    logs::out(&report.to_string())?;
    if report.is_clean() { Ok(()) } else { Err(Error::data("the drill found results that are not exact")) }
}
