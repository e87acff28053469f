//! Runs the proof of exactly-once under many seeds: `cargo xtask sim --seeds N [--from S] [--broken RULE]
//! [--trace]`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod feed;
mod job;
mod scenario;
mod stores;
mod transactions;
mod upserts;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use millstream_sim::Broken;

/// What was asked for.
struct Wanted {
    from: u64,
    seeds: u64,
    broken: Option<Broken>,
    trace: Option<fn(&str)>,
}

fn main() -> ExitCode {
    match arguments() {
        Ok(wanted) => prove(&wanted),
        Err(wrong) => {
            eprintln!("error: {wrong}");
            ExitCode::from(2)
        }
    }
}

fn arguments() -> Result<Wanted, String> {
    let mut wanted = Wanted { from: 0, seeds: 300, broken: None, trace: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--trace" {
            wanted.trace = Some(|line| println!("{line}"));
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
        let number = || value.parse().map_err(|_| format!("{name} {value}: a number is wanted"));
        match name.as_str() {
            "--seeds" => wanted.seeds = number()?,
            "--from" => wanted.from = number()?,
            "--broken" => wanted.broken = Some(rule(&value)?),
            _ => return Err(format!("{name}: only --seeds, --from, --broken and --trace are known")),
        }
    }
    Ok(wanted)
}

fn rule(name: &str) -> Result<Broken, String> {
    let names: Vec<_> = Broken::ALL.iter().map(|(name, _)| *name).collect();
    let found = Broken::ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, rule)| *rule).ok_or_else(|| format!("--broken {name}: one of {}", names.join(", ")))
}

/// What all runs together went through.
#[derive(Default)]
struct Sum {
    attempts: u64,
    checkpoints: u64,
    failed: u64,
    savepoints: u64,
    fenced: u64,
    stops: u64,
    fallbacks: u64,
    steps: u64,
}

#[allow(clippy::disallowed_methods, reason = "how long it takes, for people")]
fn prove(wanted: &Wanted) -> ExitCode {
    let Wanted { from, seeds, broken, trace } = *wanted;
    let (began, mut reported, mut sum) = (Instant::now(), Instant::now(), Sum::default());
    for seed in from..from + seeds {
        match scenario::run(seed, broken, trace) {
            Ok(outcome) => {
                sum.attempts += outcome.attempts;
                sum.checkpoints += outcome.checkpoints;
                sum.failed += outcome.failed_checkpoints;
                sum.savepoints += outcome.savepoints;
                sum.fenced += outcome.fenced;
                sum.stops += outcome.stops;
                sum.fallbacks += outcome.fallbacks;
                sum.steps += outcome.steps;
            }
            Err(wrong) => return fail(seed, broken, &wrong),
        }
        if reported.elapsed() > Duration::from_secs(10) {
            reported = Instant::now();
            println!("{} of {seeds} seeds are clean", seed - from + 1);
        }
    }
    println!(
        "{seeds} seeds are clean in {:.1} s: {} steps, {} attempts, {} checkpoints and {} savepoints complete, {} given up, {} older \
         processes fenced, {} stops in order, {} times back to an older checkpoint",
        began.elapsed().as_secs_f64(),
        sum.steps,
        sum.attempts,
        sum.checkpoints,
        sum.savepoints,
        sum.failed,
        sum.fenced,
        sum.stops,
        sum.fallbacks
    );
    ExitCode::SUCCESS
}

fn fail(seed: u64, broken: Option<Broken>, wrong: &str) -> ExitCode {
    let rule = Broken::ALL.iter().find(|(_, rule)| Some(*rule) == broken);
    let rule = rule.map(|(name, _)| format!(" --broken {name}")).unwrap_or_default();
    eprintln!("{wrong}\nseed {seed} fails. Once more:\n    cargo xtask sim --from {seed} --seeds 1{rule}");
    ExitCode::FAILURE
}
