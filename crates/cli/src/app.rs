//! What a program around a pipeline is, and the commands that it has.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Subcommand};
use millstream_api::Environment;
use millstream_record::Result;
use schemars::Schema;
use serde::de::DeserializeOwned;

use crate::check::{CheckArgs, System, check};
use crate::config::{Config, DEFAULT_JOB_NAME, load_named};
use crate::control::{Control, control};
use crate::reference::reference;
use crate::schema::config_schema;
use crate::{completions, examples, exit, logs, man, restore, run, show_plan};

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
    /// Try the configuration and every system that it names, without starting the job
    Check(CheckArgs),
    /// Print the JSON schema of the configuration, with which editors complete and check its keys
    ConfigSchema,
    /// Print the configuration reference, in Markdown
    #[command(hide = true)]
    ConfigReference,
    /// Show what would become of each state if the job went on from a savepoint or checkpoint; nothing is
    /// started or stopped
    Restore(RestoreArgs),
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

/// The options of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Start from the savepoint or checkpoint at this URL or path. When the same command is repeated after a
    /// crash, the job goes on from its own latest checkpoint
    #[arg(short = 's', long, value_name = "URL")]
    pub(crate) from_savepoint: Option<String>,
    /// Give up state in the savepoint or checkpoint that the job has no operator or state for any more;
    /// without this option, such state keeps the job from starting
    #[arg(short = 'n', long)]
    pub(crate) allow_non_restored_state: bool,
}

/// The options of `restore`.
#[derive(Clone, Debug, Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Only look. This is all that `restore` does: to start the job from a savepoint, use `run
    /// --from-savepoint`
    #[arg(long, required = true)]
    dry_run: bool,
    /// The savepoint or checkpoint, as a URL or path; without it, the one that the next run would go on from
    #[arg(long, value_name = "URL")]
    pub(crate) from: Option<String>,
    /// Accept that state is given up which the job has no operator or state for any more
    #[arg(short = 'n', long)]
    pub(crate) allow_non_restored_state: bool,
}

/// The options of `plan`.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print a graph for Graphviz
    #[arg(long)]
    dot: bool,
}

/// A program with the commands that every pipeline has: what the `main` of a pipeline returns.
pub fn main<A: Application>(app: &A) -> ExitCode {
    finish(execute(app, &parsed(program(app))))
}

/// Reads the command line of a program that has commands of its own, with the exit codes below its help and
/// the commands and options that every program has, and starts the logs. Ends the program where the command
/// line is wrong or asks for help, completions, or the manual.
pub fn command_line<C: CommandFactory + FromArgMatches>() -> C {
    parsed(C::command())
}

fn program<A: Application>(app: &A) -> clap::Command {
    // The commands bring a text of their own, which the program's replaces.
    let program = Command::augment_subcommands(clap::Command::new(app.name().to_owned()));
    let program = program.about(app.about().to_owned()).version(version(app.version()));
    program.subcommand_required(true).arg_required_else_help(true)
}

// The program's version, and that of the library that it was built with.
fn version(own: Option<&str>) -> String {
    let library = concat!("(Millstream ", env!("CARGO_PKG_VERSION"), ")");
    own.map_or_else(|| library.to_owned(), |own| format!("{own} {library}"))
}

/// Adds what every program has.
fn complete(program: clap::Command) -> clap::Command {
    let program = logs::with_log_format(program.after_help(exit::EXIT_CODES));
    examples::add(program).subcommand(completions::command()).subcommand(man::command())
}

fn parsed<C: FromArgMatches>(program: clap::Command) -> C {
    let program = complete(program);
    let matches = program.clone().get_matches();
    logs::start_as_told(&matches);
    match matches.subcommand() {
        Some((completions::NAME, matches)) => end(&completions::print(program, matches)),
        Some((man::NAME, _)) => end(&man::print(program)),
        _ => C::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()),
    }
}

fn end(printed: &Result<()>) -> ! {
    if let Err(error) = printed {
        logs::error(error);
    }
    std::process::exit(i32::from(printed.is_err()))
}

/// Runs one of the common commands: for a program that has more of its own.
///
/// # Errors
/// Returns the errors of the configuration, the pipeline and the job.
pub fn execute<A: Application>(app: &A, command: &Command) -> Result<()> {
    logs::start();
    match command {
        Command::Run(args) => {
            let config = load_for(app, &args.config)?;
            let from = args.from_savepoint.as_deref().map(restore::as_url).transpose()?;
            run::run_from(app, &config, from.as_deref(), args.allow_non_restored_state)
        }
        Command::Restore(args) => restore::restore(app, args),
        Command::Control(command) => control(command),
        Command::Check(args) => check(app, args),
        Command::ConfigSchema => logs::out(&format!("{:#}\n", config_schema(app))),
        Command::ConfigReference => logs::out(&reference(&config_schema(app))),
        Command::Plan(args) => {
            let config = load_for(app, &args.config)?;
            let plan = run::plan(app, &config).map_err(|error| run::placed(app, &config, error))?;
            logs::out(&if args.dot {
                show_plan::as_dot(&plan)
            } else {
                format!("{}: {}\n\n{}", app.name(), app.about(), show_plan::as_text(&plan))
            })
        }
    }
}

/// Reads the configuration of an application.
///
/// # Errors
/// Returns the same errors as [`load`](crate::load).
pub fn load_for<A: Application>(app: &A, args: &ConfigArgs) -> Result<Config<A::Options>> {
    load_named(app.job_name(), &args.config, &args.set)
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

#[cfg(test)]
#[path = "app_tests.rs"]
mod tests;
