//! The one home of printing: results on standard output, everything else on standard error.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is where a program speaks to its user")]

use std::io::IsTerminal;

use millstream_core::Error;
use tracing_subscriber::EnvFilter;

/// Sends log lines to standard error, `warn` and above unless `RUST_LOG` says otherwise. Does nothing the second time.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,millstream=info"));
    let ansi = std::io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi);
    // Set already: by an application of more than one job.
    let _ = logs.with_target(false).try_init();
}

/// Prints a result.
pub fn out(text: &str) {
    println!("{}", text.trim_end());
}

/// Tells the user something.
pub fn err(text: &str) {
    eprintln!("{text}");
}

/// Prints an error with its causes, one per line.
pub fn error(error: &Error) {
    eprintln!("error: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
}
