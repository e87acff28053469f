//! `cargo xtask test`: everything there is to test, in order, with what it needs.
//!
//! One build of the whole workspace; then its test programs run part by part, the cheap ones first. A part
//! that cannot start fails, an ignored test fails: nothing is skipped in silence.

mod build;
mod part;
mod program;
mod progress;
mod servers;
mod tally;

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use millstream_testkit::wait::Stopwatch;

use self::build::{Program, programs};
use self::part::Part;
use self::program::{ProgramNumber, Runner};
use self::progress::Progress;
use self::servers::Servers;
use self::tally::Tally;
use crate::{check, console, libclang};

/// Which tests to run.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask test                               everything
  cargo xtask test --only unit,doctests          quick: no servers
  cargo xtask test --only connectors -- kafka    tests of the connectors whose name contains kafka")]
pub(crate) struct TestArguments {
    /// Run these parts alone
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS")]
    only: Vec<Part>,
    /// Show the output of tests that pass, too
    #[arg(long, short)]
    verbose: bool,
    /// Arguments for the test programs, such as a part of a test's name
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// One run over the chosen parts.
struct Run<'a> {
    runner: Runner<'a>,
    programs: Vec<Program>,
    servers: Option<Servers>,
    tally: Tally,
}

/// Runs the chosen parts and ends with the sum; whether all passed.
pub(crate) fn run(arguments: &TestArguments) -> Result<bool> {
    let parts: Vec<Part> = Part::chosen(&arguments.only).collect();
    if parts != [Part::Format] {
        libclang::install()?;
    }
    let runner = Runner::new(arguments)?;
    let mut progress = Progress::start(&parts, runner.logs());
    let mut run = Run { runner, programs: Vec::new(), servers: None, tally: Tally::default() };
    for (step, part) in parts.into_iter().enumerate() {
        let (mut outcome, watch) = (Tally::default(), Stopwatch::start());
        let succeeded = check::timed(&progress.heading(step), &mut || run.part(part, &mut outcome));
        if succeeded && arguments.arguments.is_empty() {
            progress.took(part, watch.elapsed());
        }
        if !succeeded && outcome.failed == 0 {
            outcome.fail(part.title()); // it could not even start
        }
        run.tally += outcome;
    }
    drop(run.servers);
    report(&run.tally, progress.elapsed());
    Ok(run.tally.failed == 0)
}

impl Run<'_> {
    fn part(&mut self, part: Part, outcome: &mut Tally) -> Result<()> {
        match part {
            Part::Format => return check::format(),
            Part::Clippy => return check::clippy(),
            Part::Doctests => *outcome = self.runner.doctests()?,
            _ => self.programs_of(part, outcome)?,
        }
        ensure!(outcome.failed == 0, "{} failed", outcome.failed);
        Ok(())
    }

    fn programs_of(&mut self, part: Part, outcome: &mut Tally) -> Result<()> {
        if self.programs.is_empty() {
            self.programs = programs()?;
        }
        if part.needs_servers() && self.servers.is_none() {
            self.servers = Some(Servers::start()?);
        }
        part.prepare()?;
        let environment = self.servers.as_ref().map(Servers::environment).unwrap_or_default();
        let programs: Vec<_> = self.programs.iter().filter(|program| program.part() == part).collect();
        for (index, program) in programs.iter().enumerate() {
            let place = ProgramNumber { number: index + 1, of: programs.len() };
            *outcome += self.runner.run(program, place, &environment)?;
        }
        Ok(())
    }
}

fn report(tally: &Tally, time: Duration) {
    console::line("");
    for failure in &tally.failures {
        console::line(&format!("FAILED: {failure}"));
    }
    console::line(&format!("in {}", console::time(time)));
    // Plain, and last: machines read it.
    console::line(&format!("{} passed, {} failed", tally.passed, tally.failed));
}
