//! `cargo xtask bench`: runs the benchmarks, which write their results themselves.

use anyhow::Result;
use clap::Args;

use crate::libclang;
use crate::shell::{cargo, succeed};

/// Which benchmarks to run.
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Names and options of the benchmarks; all benchmarks if none is given. `-- --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    names: Vec<String>,
}

/// Builds with all optimisations, then runs.
pub(crate) fn run(arguments: &BenchArguments) -> Result<()> {
    libclang::install()?;
    // The `demo` benchmark runs the program that stands beside its own.
    succeed(&mut cargo(&["build", "--release", "--package", "clickstream"]))?;
    let mut command = cargo(&["run", "--release", "--package", "millstream-bench", "--"]);
    succeed(command.args(&arguments.names))
}
