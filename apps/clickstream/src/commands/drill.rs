//! The command `drill`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use millstream::cli::logs;
use millstream::options::parse_typed_duration;
use millstream::runtime::SystemClock;
use millstream::time::Clock;
use millstream::{Error, Result};

use crate::drill::{Blow, DrillPlan, Hook, drill};

/// What is shown behind the options.
const EXAMPLES: &str = "\
Examples:
  clickstream drill --config job.yaml
  clickstream drill --config job.yaml --blows 50 --kinds kill,stop --rate 5000
  clickstream drill --config job.yaml --hook 'systemctl restart minio'

A drill runs beside the live job, with topics, an index prefix, a job name and a directory of its own. In \
the end it counts every row in the stores against a count by brute force; it exits with 4 if a result is \
missing, wrong or doubled.";

/// The options of `drill`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DrillArgs {
    /// The job's configuration: Kafka as its source; Elasticsearch, Redis, SQLite and Kafka as sinks are
    /// audited
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Override a key of the file, such as parallelism.default=4 (may be repeated)
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// How often the job is killed, stopped, paused or rescaled
    #[arg(long, default_value_t = 10)]
    blows: u32,
    /// Only blows of these kinds; all kinds by default
    #[arg(long, value_enum, value_delimiter = ',')]
    kinds: Vec<Blow>,
    /// Events per second that the drill sends
    #[arg(long, default_value_t = 2000)]
    rate: u32,
    /// The shortest time between two blows
    #[arg(long, default_value = "1s", value_parser = parse_typed_duration)]
    shortest: Duration,
    /// The longest time between two blows
    #[arg(long, default_value = "5s", value_parser = parse_typed_duration)]
    longest: Duration,
    /// Random seed of times, parallelisms and events; without it, the drill chooses one and prints it
    #[arg(long)]
    seed: Option<u64>,
    /// Shell command that harms a server, run once in the middle of the drill (may be repeated)
    #[arg(long, value_name = "COMMAND")]
    hook: Vec<String>,
    /// How long the drill waits at the end while the results come no nearer to the right ones
    #[arg(long, default_value = "2m", value_parser = parse_typed_duration)]
    patience: Duration,
    /// Directory for the drill's files
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
