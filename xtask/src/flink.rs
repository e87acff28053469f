//! Builds the jar that Flink runs.

mod cross;
mod notices;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use millstream_testkit::{FlinkVersion, PipelineLibrary};

use self::cross::CrossTarget;
use crate::console;
use crate::libclang;
use crate::shell::{cargo, succeed};
use crate::workspace::Metadata;

/// What is shown behind the options.
const EXAMPLES: &str = "\
Examples:
  cargo xtask flink
  cargo xtask flink --flink-version 1.20.3
  cargo xtask flink --target x86_64-unknown-linux-gnu.2.28 --target aarch64-unknown-linux-gnu.2.28
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
    /// Build for machines of this kind that have this glibc or a later one, instead of for this machine; more
    /// than once for a jar that runs on several kinds
    #[arg(long = "target", value_name = "TRIPLE.GLIBC")]
    targets: Vec<CrossTarget>,
    /// Where the jar goes; `target/PACKAGE.jar` by default
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(arguments: &FlinkArguments) -> Result<()> {
    let version = FlinkVersion::by_number(&arguments.flink_version);
    let version = version
        .with_context(|| format!("Flink {} is none of the known versions", arguments.flink_version))?;
    libclang::install()?;
    let metadata = Metadata::read()?;
    let libraries = arguments.libraries(&metadata.target_directory)?;
    let notices = notices::of(&arguments.package, &arguments.selection(), &metadata)?;
    let jar = format!("{}.jar", arguments.package);
    let jar = arguments.out.clone().unwrap_or_else(|| metadata.target_directory.join(jar));
    version.pipeline_jar_for(&libraries, &notices, &jar)?;
    for library in &libraries {
        console::line(&library.to_string());
    }
    console::line(&absolute(&jar)?.display().to_string());
    Ok(())
}

impl FlinkArguments {
    /// Builds the library for each kind of machine.
    fn libraries(&self, target_directory: &Path) -> Result<Vec<PipelineLibrary>> {
        if self.targets.is_empty() {
            succeed(cargo(&["build", "--release", "--package", &self.package]).args(self.selection()))?;
            return Ok(vec![PipelineLibrary::read(&self.library(target_directory))?]);
        }
        self.targets.iter().map(|target| self.cross_library(target, target_directory)).collect()
    }

    fn cross_library(&self, target: &CrossTarget, target_directory: &Path) -> Result<PipelineLibrary> {
        succeed(target.build()?.args(["--package", &self.package]).args(self.selection()))?;
        let library = PipelineLibrary::read(&self.library(&target_directory.join(&target.triple)))?;
        ensure!(
            library.glibc() <= target.glibc,
            "{library} It was to run with glibc {}: some package does not follow the target",
            target.glibc
        );
        Ok(library)
    }

    /// The options of cargo that choose features.
    fn selection(&self) -> Vec<String> {
        let mut features: Vec<&str> = self.features.as_deref().into_iter().collect();
        if !self.targets.is_empty() {
            // The C libraries of this machine are of no use there.
            features.push("millstream/portable");
        }
        let mut options = Vec::new();
        if self.no_default_features {
            options.push("--no-default-features".to_owned());
        }
        if !features.is_empty() {
            options.extend(["--features".to_owned(), features.join(",")]);
        }
        options
    }

    fn library(&self, target_directory: &Path) -> PathBuf {
        target_directory.join("release").join(format!("lib{}.so", self.package.replace('-', "_")))
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot tell where {} is", path.display()))
}
