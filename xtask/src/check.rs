//! `cargo xtask check`: everything that needs no server and no running test.

use std::process::Command;

use anyhow::Result;
use millstream_testkit::wait::Stopwatch;

use crate::shell::{cargo, succeed};
use crate::workspace::{Metadata, Package};
use crate::{book, console, libclang, licenses};

/// Runs every check, also after a failed one, and says which failed; whether none did.
pub(crate) fn run() -> Result<bool> {
    libclang::install()?;
    let metadata = Metadata::read()?;
    let mut failed = Vec::new();
    let mut step = |name: &str, outcome: &mut dyn FnMut() -> Result<()>| {
        if !timed(name, outcome) {
            failed.push(name.to_owned());
        }
    };
    step("format", &mut format);
    step("licences", &mut || licenses::check(&metadata));
    step("clippy", &mut clippy);
    step("each feature alone", &mut || features(&metadata));
    step("documentation", &mut || succeed(&mut documentation()));
    step("book", &mut book::run);
    step("doctests", &mut || succeed(&mut cargo(&["test", "--workspace", "--doc"])));
    let failures = if failed.is_empty() { "none".to_owned() } else { failed.join(", ") };
    console::line(&format!("failed checks: {failures}"));
    Ok(failed.is_empty())
}

/// Whether the code is formatted.
pub(crate) fn format() -> Result<()> {
    succeed(&mut cargo(&["fmt", "--all", "--check"]))
}

/// Whether clippy is content with everything.
pub(crate) fn clippy() -> Result<()> {
    let lint = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    succeed(&mut cargo(&lint))
}

/// Runs one step with its name and time; whether it succeeded.
pub(crate) fn timed(name: &str, step: &mut dyn FnMut() -> Result<()>) -> bool {
    console::line(&format!("== {name}"));
    let watch = Stopwatch::start();
    let outcome = step();
    let time = console::time(watch.elapsed());
    match &outcome {
        Ok(()) => console::line(&format!("   ok, {time}")),
        Err(error) => console::line(&format!("   FAILED, {time}: {error:#}")),
    }
    outcome.is_ok()
}

/// Each package by itself, without features and with each one: what only builds thanks to a neighbour's
/// features fails.
fn features(metadata: &Metadata) -> Result<()> {
    for package in metadata.members() {
        succeed(&mut alone(package, None))?;
        for feature in package.features.keys().filter(|name| *name != "default") {
            succeed(&mut alone(package, Some(feature)))?;
        }
    }
    Ok(())
}

fn alone(package: &Package, feature: Option<&str>) -> Command {
    let mut command = cargo(&["check", "--quiet", "--no-default-features", "--package", &package.name]);
    if let Some(feature) = feature {
        command.args(["--features", feature]);
    }
    command
}

fn documentation() -> Command {
    let mut command = cargo(&["doc", "--workspace", "--no-deps", "--quiet"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    command
}
