//! From the start of a process to its first result: anew, and after SIGKILL.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use millstream::prelude::*;
use millstream::runtime::{RuntimeOptions, start};

use crate::Arguments;
use crate::count_each::CountEach;
use crate::discard::Discard;
use crate::measure::{time, wait};
use crate::numbers::Numbers;
use crate::report::Report;

const KEYS: u64 = 10_000;

/// Measures.
pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    report.line(format!("a job with {KEYS} keys, a checkpoint every 100 ms; longest of {}", arguments.runs));
    let (mut anew, mut again) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..arguments.runs {
        let dir = tempfile::tempdir()?;
        let (mut first, took) = time(|| until_first_result(dir.path()))?;
        anew = anew.max(took.wall);
        wait(Duration::from_secs(1));
        // SIGKILL.
        first.kill()?;
        first.wait()?;
        let (mut second, took) = time(|| until_first_result(dir.path()))?;
        again = again.max(took.wall);
        second.kill()?;
        second.wait()?;
    }
    report.line(format!("start to first result, anew            {:>6.0} ms", anew.as_secs_f64() * 1e3));
    report.line(format!("start to first result, after SIGKILL   {:>6.0} ms", again.as_secs_f64() * 1e3));
    Ok(())
}

fn until_first_result(dir: &Path) -> Result<Child> {
    let mut child =
        Command::new(std::env::current_exe()?).arg("--restart-in").arg(dir).stdout(Stdio::piped()).spawn()?;
    let mut said = String::new();
    BufReader::new(child.stdout.take().context("it is piped")?).read_line(&mut said)?;
    anyhow::ensure!(said.starts_with("first result"), "it said {said:?}");
    Ok(child)
}

/// The job, in a process of its own, until that is killed.
#[allow(clippy::print_stdout, reason = "the parent reads it")]
pub(crate) fn job(dir: &Path) -> Result<()> {
    let env = Environment::new("restart");
    let discard = Discard::new(|count: &u64| *count);
    env.source("numbers", Numbers { keys: KEYS, passes: 1 << 30, ..Numbers::default() })
        .key_by(|number| *number)
        .process("count", |states| CountEach::declare(states, false))
        .sink_to("discard", discard.clone());
    let mut options = RuntimeOptions {
        checkpoints_dir: Some(format!("file://{}", dir.display())),
        ..RuntimeOptions::default()
    };
    options.checkpointing.interval = Some(Duration::from_millis(100));
    let job = start(env.plan()?, options)?;
    while discard.totals().0 == 0 {
        wait(Duration::from_micros(200));
    }
    println!("first result");
    job.wait()?;
    Ok(())
}
