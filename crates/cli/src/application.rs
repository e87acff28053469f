//! What a program around a pipeline is.

use std::path::PathBuf;

use clap::Args;
use millstream_api::Environment;
use millstream_record::Result;
use schemars::Schema;
use serde::de::DeserializeOwned;

use crate::config::{Config, DEFAULT_JOB_NAME, load_named};

/// A program around a pipeline.
pub trait Application {
    /// The application's part of the configuration file.
    type Options: DeserializeOwned;

    /// The program's name, for `--help`, `--version` and `plan`.
    fn name(&self) -> &str;

    /// What the program does, in a few words, for `--help` and `plan`.
    fn about(&self) -> &str;

    /// The program's own version, for `--version`.
    fn version(&self) -> Option<&str> {
        None
    }

    /// The job's name where the configuration has no `pipeline.name`. State is found by this name.
    fn job_name(&self) -> &str {
        DEFAULT_JOB_NAME
    }

    /// Describes the pipeline.
    ///
    /// # Errors
    /// Options that cannot work.
    fn build(&self, options: &Self::Options, env: &Environment) -> Result<()>;

    /// The part of the configuration file that an operator comes from, such as `sinks.1`: errors of the
    /// operator name its line.
    fn part_of(&self, _: &Self::Options, _operator: &str) -> Option<String> {
        None
    }

    /// The JSON schema of [`Options`](Self::Options), which is [`schema_of::<Options>()`](crate::schema_of)
    /// where they derive `JsonSchema`. Without it, `config-schema` lets the configuration have any keys
    /// besides those of every pipeline.
    fn options_schema(&self) -> Option<Schema> {
        None
    }

    /// The systems that the job reads from and writes to, for the command `check`. None by default: then it
    /// tries the configuration, the pipeline and the storage of checkpoints.
    fn systems(&self, _: &Config<Self::Options>) -> Vec<System> {
        Vec::new()
    }

    /// Refuses what [`started`](Self::started) could not do, before the job has touched anything. With `plan`
    /// (`runs` is false) it must not depend on what runs on this machine.
    ///
    /// # Errors
    /// What cannot work.
    fn check(&self, _: &Config<Self::Options>, _runs: bool) -> Result<()> {
        Ok(())
    }

    /// Called when the job runs, or has been starting for a while: for a page that shows it.
    ///
    /// # Errors
    /// Returns the errors of what it starts; the job is stopped then.
    fn started(
        &self,
        _: &Config<Self::Options>,
        _: &millstream_runtime::JobHandle,
    ) -> Result<Option<Running>> {
        Ok(None)
    }
}

/// Something that lives as long as the job, such as a server.
pub type Running = Box<dyn std::any::Any + Send>;

/// A system that a job reads from or writes to: what [`Application::systems`] names for `check`.
pub struct System {
    pub(crate) part: String,
    pub(crate) try_it: Box<dyn FnOnce() -> Result<String>>,
}

impl System {
    /// A system of a part of the configuration such as `sinks.1`. `try_it` connects to it, changes nothing,
    /// and answers what it found.
    pub fn new(part: impl Into<String>, try_it: impl FnOnce() -> Result<String> + 'static) -> Self {
        Self { part: part.into(), try_it: Box::new(try_it) }
    }
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// The job's configuration, a YAML file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Override a key of the file, such as parallelism.default=4, or one within a map or list, such as
    /// sinks.0.url=redis://other (may be repeated)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Reads the configuration of an application.
///
/// # Errors
/// Returns the same errors as [`load`](crate::load).
pub fn load_for<A: Application>(app: &A, args: &ConfigArgs) -> Result<Config<A::Options>> {
    load_named(app.job_name(), &args.config, &args.set)
}
