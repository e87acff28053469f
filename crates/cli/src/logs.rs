//! The one home of printing: results on standard output, everything else on standard error.

mod json;

use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};
use std::sync::OnceLock;

use clap::{Arg, ArgMatches, Command, ValueEnum};
use millstream_record::{Error, Result};
use serde_json::json;
use tracing_subscriber::EnvFilter;

/// How lines on standard error are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line, for log collectors
    Json,
}

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

const ARGUMENT: &str = "log-format";

/// The option `--log-format`, for every command of a program.
pub(crate) fn with_log_format(command: Command) -> Command {
    command.arg(
        Arg::new(ARGUMENT)
            .long(ARGUMENT)
            .global(true)
            .value_name("FORMAT")
            .value_parser(clap::value_parser!(LogFormat))
            .default_value("text")
            .help("How standard error is written: text, or one JSON object per line"),
    )
}

/// Starts the logs as the command line says.
pub(crate) fn start_as_told(matches: &ArgMatches) {
    let format = matches.get_one::<LogFormat>(ARGUMENT);
    start_as(format.copied().unwrap_or_default());
}

/// Sends log lines to standard error in this format, `warn` and above and Millstream's `info` unless
/// `RUST_LOG` says otherwise. Does nothing the second time.
pub fn start_as(format: LogFormat) {
    if FORMAT.set(format).is_err() {
        return;
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,millstream=info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    // They would go to standard error as well, and end the thread where that is closed.
    let logs = logs.log_internal_errors(false);
    // Set already: by a program that collects logs by itself.
    let _ = match format {
        LogFormat::Text => logs.with_ansi(stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => logs.event_format(json::Lines).try_init(),
    };
}

/// The same in the format for people, unless another one was chosen before.
pub fn start() {
    start_as(LogFormat::Text);
}

/// Prints a result.
///
/// # Errors
/// [`ErrorKind::Restart`](millstream_record::ErrorKind::Restart) when it cannot be written. Somebody who
/// reads only its beginning, such as `head`, is no error.
pub fn out(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::restart("the result cannot be written to standard output").caused_by(error))
        }
        _ => Ok(()),
    }
}

/// Tells the user something.
pub fn err(text: &str) {
    match format() {
        LogFormat::Text => line(text),
        LogFormat::Json => json::line("INFO", text, &[]),
    }
}

/// Prints an error, its causes and where it happened.
pub fn error(error: &Error) {
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    let places = error.places();
    match format() {
        LogFormat::Text => {
            line(&format!("error: {error}"));
            causes.iter().for_each(|cause| line(&format!("  because: {cause}")));
            places.iter().for_each(|place| line(&format!("  at: {place}")));
        }
        LogFormat::Json => {
            let lists = [("causes", json!(causes)), ("at", json!(places))];
            let lists: Vec<_> = lists.into_iter().filter(|(_, list)| *list != json!([])).collect();
            json::line("ERROR", &error.to_string(), &lists);
        }
    }
}

/// Whether standard error is for people.
pub(crate) fn is_text() -> bool {
    format() == LogFormat::Text
}

fn format() -> LogFormat {
    FORMAT.get().copied().unwrap_or_default()
}

// Nobody can be told that standard error is closed.
fn line(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}
