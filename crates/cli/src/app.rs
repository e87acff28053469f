//! The commands of a pipeline of your own, in one line of `main`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Subcommand};
use millstream_api::Environment;
use millstream_record::Result;
use serde::de::DeserializeOwned;

use crate::config::{Config, load};
use crate::control::{Control, control};
use crate::{exit, logs, restore, run, show_plan};

/// A program around a pipeline.
pub trait Application {
    /// The application's part of the configuration file.
    type Options: DeserializeOwned;
    /// The program's name.
    const NAME: &'static str;
    /// What it does, for `--help`.
    const ABOUT: &'static str;

    /// Describes the pipeline.
    ///
    /// # Errors
    /// Options that cannot work.
    fn build(&self, options: &Self::Options, env: &Environment) -> Result<()>;

    /// The part of the configuration file that an operator comes from, such as `sinks.1`: errors of the operator name its line.
    fn part_of(&self, _: &Self::Options, _operator: &str) -> Option<String> {
        None
    }

    /// Refuses what [`started`](Self::started) could not do, before the job has touched anything. With `plan` (`runs` is false) it must not
    /// depend on what runs on this machine.
    ///
    /// # Errors
    /// What cannot work.
    fn check(&self, _: &Config<Self::Options>, _runs: bool) -> Result<()> {
        Ok(())
    }

    /// Called when the job runs, or has been starting for a while: for a page that shows it.
    ///
    /// # Errors
    /// Those of what it starts; the job is stopped then.
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

/// The commands that every pipeline has.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the job until its input ends or it is stopped (SIGTERM or Ctrl-C; a second one aborts)
    Run(RunArgs),
    /// Show the operators of the job and how they are connected, without running it
    Plan(PlanArgs),
    /// What can be asked of a job that runs.
    #[command(flatten)]
    Control(Control),
    /// Show what would become of each state if the job went on from a savepoint or checkpoint, without starting or stopping anything
    Restore(RestoreArgs),
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// The job's configuration, a YAML file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Change a key of the file, such as parallelism.default=4 or source.rate=1000 (may be repeated)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// What `run` can be told.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Begin with the savepoint or checkpoint at this URL or path. When the command is repeated after a crash, the job goes on from its own
    /// latest checkpoint
    #[arg(short = 's', long, value_name = "URL")]
    pub(crate) from_savepoint: Option<String>,
    /// Leave state behind that the job has no place for any more
    #[arg(short = 'n', long)]
    pub(crate) allow_non_restored_state: bool,
}

/// What `restore` can be told.
#[derive(Clone, Debug, Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Only look: to start the job from a savepoint, use `run --from-savepoint`
    #[arg(long, required = true)]
    dry_run: bool,
    /// The savepoint or checkpoint, a URL or path; without it, what the job would go on from by itself
    #[arg(long, value_name = "URL")]
    pub(crate) from: Option<String>,
    /// State that the job has no place for any more is no reason to refuse
    #[arg(short = 'n', long)]
    pub(crate) allow_non_restored_state: bool,
}

/// What `plan` can be told.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print a graph for Graphviz: `... plan --dot | dot -Tsvg > plan.svg`
    #[arg(long)]
    dot: bool,
}

/// A program with just `run` and `plan`: what the `main` of a pipeline returns.
pub fn main<A: Application>(app: &A) -> ExitCode {
    let command = clap::Command::new(A::NAME).about(A::ABOUT).subcommand_required(true);
    finish(execute(app, &parsed(Command::augment_subcommands(command))))
}

/// Reads the command line of a program that has commands of its own, with the exit codes below its help and the options that every program
/// has, and starts the logs. Ends the program where the command line is wrong or asks for help.
pub fn command_line<C: CommandFactory + FromArgMatches>() -> C {
    parsed(C::command())
}

fn parsed<C: FromArgMatches>(command: clap::Command) -> C {
    let matches = logs::with_log_format(command.after_help(exit::EXIT_CODES)).get_matches();
    logs::start_as_told(&matches);
    C::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Runs one of the common commands: for a program that has more of its own.
///
/// # Errors
/// Those of the configuration, the pipeline and the job.
pub fn execute<A: Application>(app: &A, command: &Command) -> Result<()> {
    logs::start();
    match command {
        Command::Run(args) => {
            let config = load(&args.config.config, &args.config.set)?;
            let from = args.from_savepoint.as_deref().map(restore::as_url).transpose()?;
            run::run_from(app, &config, from.as_deref(), args.allow_non_restored_state)
        }
        Command::Restore(args) => restore::restore(app, args),
        Command::Control(command) => control(command),
        Command::Plan(args) => {
            let config = load(&args.config.config, &args.config.set)?;
            let plan = run::plan(app, &config).map_err(|error| run::placed(app, &config, error))?;
            logs::out(&if args.dot { show_plan::as_dot(&plan) } else { show_plan::as_text(&plan) })
        }
    }
}

/// Prints an error, if there is one, and gives the exit code.
pub fn finish(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logs::error(&error);
            exit::code(&error)
        }
    }
}
