//! `cargo xtask sim`: the proof of exactly-once under as many seeds as wanted.

use anyhow::Result;
use clap::Args;

use crate::shell::{cargo, succeed};

/// Which seeds to run.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask sim --seeds 10000                           the proof: about three minutes
  cargo xtask sim --from 4711 --seeds 1 --trace           one seed, and everything that happens in it
  cargo xtask sim --seeds 200 --broken alignment-skipped  does it find a broken rule?")]
pub(crate) struct SimArguments {
    /// How many seeds
    #[arg(long, default_value_t = 300, value_name = "COUNT")]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    from: u64,
    /// Break a rule on purpose, such as alignment-skipped or empty-assignment-dropped; a name that is not
    /// known lists all of them
    #[arg(long, value_name = "RULE")]
    broken: Option<String>,
    /// Tell everything that happens
    #[arg(long)]
    trace: bool,
}

/// Builds with all optimisations, overflow checks and debug assertions, then runs.
pub(crate) fn run(arguments: &SimArguments) -> Result<()> {
    let program = ["--profile", "proof", "--package", "millstream-sim", "--example", "sim"];
    let mut command = cargo(&["run", "--quiet"]);
    command.args(program).arg("--");
    command.args(["--from", &arguments.from.to_string(), "--seeds", &arguments.seeds.to_string()]);
    if let Some(rule) = &arguments.broken {
        command.args(["--broken", rule]);
    }
    if arguments.trace {
        command.arg("--trace");
    }
    succeed(&mut command)
}
