//! Builds the jar that Flink runs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use millstream_testkit::FlinkVersion;

use crate::console;
use crate::shell::{cargo, succeed};
use crate::workspace::Metadata;

/// What is shown behind the options.
const EXAMPLES: &str = "\
Examples:
  cargo xtask flink
  cargo xtask flink --flink-version 1.20.3
  cargo xtask flink --package flink-golden --out golden.jar

Then, with Flink's own command line:
  flink run JAR --config job.yaml --set parallelism.default=4

The last line that this prints is the path of the jar.";

/// The options of `flink`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct FlinkArguments {
    /// The package whose library is packed: a `cdylib` with a line `millstream::flink::pipeline!(..)`
    #[arg(long, default_value = "clickstream-flink", value_name = "NAME")]
    package: String,
    /// Features of the package besides its defaults, as cargo takes them
    #[arg(long, value_name = "FEATURES")]
    features: Option<String>,
    /// Leave the package's default features out: without RocksDB the first build takes minutes less
    #[arg(long)]
    no_default_features: bool,
    /// The Flink to compile the harness against; it runs on later minor versions of the same major version too
    #[arg(long, default_value = FlinkVersion::default().number(), value_name = "VERSION")]
    flink_version: String,
    /// Where the jar goes; `target/PACKAGE.jar` by default
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(arguments: &FlinkArguments) -> Result<()> {
    let version = FlinkVersion::by_number(&arguments.flink_version);
    let version = version
        .with_context(|| format!("Flink {} is none of the known versions", arguments.flink_version))?;
    let mut build = cargo(&["build", "--release", "--package", &arguments.package]);
    if arguments.no_default_features {
        build.arg("--no-default-features");
    }
    if let Some(features) = &arguments.features {
        build.arg("--features").arg(features);
    }
    succeed(&mut build)?;
    let target = Metadata::read()?.target_directory;
    let library = target.join("release").join(format!("lib{}.so", arguments.package.replace('-', "_")));
    let jar = arguments.out.clone().unwrap_or_else(|| target.join(format!("{}.jar", arguments.package)));
    version.pipeline_jar(&library, &jar)?;
    console::line(&absolute(&jar)?.display().to_string());
    Ok(())
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot tell where {} is", path.display()))
}
