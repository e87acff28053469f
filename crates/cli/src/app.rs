//! The commands that a program around a pipeline has.

use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Subcommand};
use millstream_record::Result;

use crate::application::{Application, ConfigArgs, load_for};
use crate::check::{CheckArgs, check};
use crate::control::{Control, control};
use crate::reference::reference;
use crate::restore::RestoreArgs;
use crate::schema::config_schema;
use crate::{completions, examples, exit, logs, man, restore, run, show_plan};

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

/// The options of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Start from the savepoint or checkpoint at this URL or path, which may be one that the same pipeline
    /// wrote in Flink. When the same command is repeated after a crash, the job goes on from its own latest
    /// checkpoint
    #[arg(short = 's', long, value_name = "URL")]
    pub(crate) from_savepoint: Option<String>,
    /// Give up state in the savepoint or checkpoint that the job has no operator or state for any more;
    /// without this option, such state keeps the job from starting
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
