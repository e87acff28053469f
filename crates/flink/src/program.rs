//! The user's program as the driver sees it: arguments in, plan and settings out. Each TaskManager and the
//! JobManager build the same plan again from the same [`Job`].

use std::path::Path;

use clap::Parser;
use clap::error::ErrorKind;
use millstream_checkpoint::wire::{WireReader, WireWriter};
use millstream_cli::{Application, ConfigArgs, parse_named};
use millstream_protocol::job_settings::JobSettings;
use millstream_record::{Error, Result};
use millstream_stage::plan::Plan;
use millstream_storage::StorageOptions;

/// What a machine needs to build the plan: it travels within Flink's job graph. Variables such as
/// `${PASSWORD}` stay as they are, so that secrets come from the environment of each machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    /// The text of the configuration file.
    config: String,
    /// The changes of `--set`.
    set: Vec<String>,
    /// A savepoint of the thread driver to start from.
    pub(crate) from_savepoint: Option<String>,
    /// State that the job has no place for is left behind.
    pub(crate) allow_non_restored: bool,
}

/// The arguments of a job's jar.
#[derive(Debug, Parser)]
#[command(name = "flink run JAR", no_binary_name = true)]
struct JobArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Start from a savepoint of Millstream's own at this URL, which a job in one process has left. A savepoint
    /// of Flink is given to Flink itself: flink run -s URL
    #[arg(long, value_name = "URL")]
    from_savepoint: Option<String>,
    /// Give up state in that savepoint that the job has no operator or state for any more
    #[arg(long)]
    allow_non_restored_state: bool,
}

/// A job as one machine sees it.
#[doc(hidden)]
pub struct Loaded {
    pub(crate) plan: Plan,
    pub(crate) settings: JobSettings,
    pub(crate) storage: StorageOptions,
    /// Keys of the file that mean something in one process alone.
    pub(crate) ignored: Vec<&'static str>,
}

/// A program whose pipeline can run in Flink.
pub trait Program: Sync {
    /// The pipeline of a configuration, with its settings.
    #[doc(hidden)]
    fn load(&self, config: &str, set: &[String]) -> Result<Loaded>;
}

impl<A: Application + Sync> Program for A {
    fn load(&self, config: &str, set: &[String]) -> Result<Loaded> {
        let config = parse_named::<A::Options>(self.job_name(), config, set)?;
        let env = millstream_cli::environment(self, &config)?;
        let settings = config.engine.state.over(&env.settings())?;
        millstream_state::is_built_in(&settings.backend)?;
        self.check(&config, false)?;
        let keys = [("rest.port", config.engine.port.is_some()), ("job.dir", config.engine.dir.is_some())];
        Ok(Loaded {
            plan: env.plan()?,
            settings,
            storage: config.engine.state.storage().clone(),
            ignored: keys.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key).collect(),
        })
    }
}

/// The text that the arguments ask for instead of a job: that of `--help`.
pub(crate) fn help(args: &[String]) -> Option<String> {
    let error = JobArgs::try_parse_from(args).err()?;
    (error.kind() == ErrorKind::DisplayHelp).then(|| error.to_string())
}

/// The program runs on different machines, depending on how it is submitted: the message says where.
fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).map_err(|error| {
        let dir = std::env::current_dir().unwrap_or_default();
        let message = format!(
            "{} cannot be read in {}. The file must be where the program's main method runs: on the machine of \
             `flink run` for a session, on the JobManager for an application, the web UI and REST",
            file.display(),
            dir.display()
        );
        Error::configuration(message).caused_by(error)
    })
}

impl Job {
    /// Reads the arguments and the file that they name.
    pub(crate) fn of_args(args: Vec<String>) -> Result<Self> {
        let args = JobArgs::try_parse_from(args).map_err(|error| Error::configuration(error.to_string()))?;
        let config = read(&args.config.config)?;
        Ok(Self {
            config,
            set: args.config.set,
            from_savepoint: args.from_savepoint,
            allow_non_restored: args.allow_non_restored_state,
        })
    }

    /// A job whose configuration is this text.
    #[cfg(test)]
    pub(crate) fn of_text(config: &str) -> Self {
        Self { config: config.to_owned(), set: Vec::new(), from_savepoint: None, allow_non_restored: false }
    }

    /// The job's plan and settings on this machine.
    pub(crate) fn load(&self, program: &dyn Program) -> Result<Loaded> {
        program.load(&self.config, &self.set)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = WireWriter::default();
        out.text(&self.config);
        out.list(&self.set, |out, change| out.text(change));
        out.list(&self.from_savepoint, |out, url| out.text(url));
        out.bool(self.allow_non_restored);
        out.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut bytes = WireReader(bytes);
        Ok(Self {
            config: bytes.text()?,
            set: bytes.list(WireReader::text)?,
            from_savepoint: bytes.list(WireReader::text)?.pop(),
            allow_non_restored: bytes.bool()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_no_error() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(help(&words("--help")).is_some_and(|text| text.contains("--from-savepoint")));
        assert_eq!(help(&words("--config job.yaml")), None);
        assert_eq!(help(&words("--confg job.yaml")), None);
    }

    #[test]
    fn a_missing_file_says_where_it_must_be() {
        let args = ["--config", "no/such.yaml"].map(str::to_owned).to_vec();
        let error = Job::of_args(args).unwrap_err().chain();
        assert!(error.contains("no/such.yaml") && error.contains("on the JobManager"), "{error}");
    }
}
