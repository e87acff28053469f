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
    // Some benchmarks run what stands beside their own program.
    let mut build = cargo(&["build", "--release", "--package", "clickstream"]);
    if arguments.names.is_empty() || arguments.names.iter().any(|name| name.starts_with("flink")) {
        build.args(["--package", "clickstream-flink"]);
    }
    succeed(&mut build)?;
    let mut command = cargo(&["run", "--release", "--package", "millstream-bench", "--"]);
    succeed(command.args(&arguments.names))
}
