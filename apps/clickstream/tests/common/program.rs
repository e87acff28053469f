//! Runs the program as a user does.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};

use super::schema::mistakes;

/// The program, in a directory.
pub fn clickstream(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clickstream"));
    command.current_dir(dir).stdin(Stdio::null());
    command
}

/// Runs it to its end, which must be a good one; answers what it said on standard error.
pub fn run(dir: &Path, arguments: &[&str]) -> Result<String> {
    let output = finish(dir, arguments)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "clickstream {arguments:?} ended with {}:\n{said}", output.status);
    Ok(said)
}

/// Runs it to its end, good or bad.
pub fn finish(dir: &Path, arguments: &[&str]) -> Result<Output> {
    clickstream(dir).args(arguments).output().context("the program cannot be started")
}

/// Writes a configuration and runs it.
pub fn run_config(dir: &Path, config: &str) -> Result<String> {
    std::fs::write(dir.join("job.yaml"), config)?;
    let mistakes = mistakes(config);
    ensure!(mistakes.is_empty(), "the schema refuses {config}: {mistakes:?}");
    run(dir, &["run", "--config", "job.yaml"])
}
