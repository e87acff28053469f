//! Lines in memory to counts per key and minute, against the hand-written loop over the same buffers.

use anyhow::{Result, ensure};
use millstream::RawBatch;
use millstream::prelude::*;
use millstream::runtime::{RuntimeOptions, run as run_job};

use crate::by_hand::{self, CategoryLine, Line, UserLine};
use crate::discard::Discard;
use crate::measure::{Took, best_of, time};
use crate::prebuilt::Prebuilt;
use crate::report::Report;
use crate::{Arguments, input, jobs};

const EVENTS: f64 = 3_000_000.0;

struct Case<'a> {
    splits: &'a [Vec<RawBatch>],
    events: u64,
    runs: usize,
}

/// Runs it.
pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let events = (EVENTS * arguments.scale) as u64;
    let splits = input::batches(events, 2);
    let bytes: usize = splits.iter().flatten().map(RawBatch::byte_len).sum();
    report.line(format!(
        "{events} lines of {} B in 2 splits; best of {}",
        bytes as u64 / events,
        arguments.runs
    ));
    let case = Case { splits: &splits, events, runs: arguments.runs };
    report.line(heading());
    case.key::<UserLine<'_>>("userId", report)?;
    case.key::<CategoryLine<'_>>("categoryId", report)
}

fn heading() -> String {
    format!(
        "{:<34}{:>9}{:>9}{:>16}{:>14}{:>12}",
        "", "CPU ns", "wall ns", "M/CPU-second", "CPU, of loop", "M/second"
    )
}

impl<'a> Case<'a> {
    fn key<L: Line<'a>>(&self, key: &str, report: &mut Report) -> Result<()> {
        let (expected, by_hand) =
            best_of(self.runs, || time(|| Ok(by_hand::count::<L>(self.interleaved()))))?;
        report.line(self.row(&format!("{key}: loop by hand"), by_hand, by_hand));
        let mut wall = Vec::new();
        for (name, parallelism, folds) in [
            ("parallelism 1", 1, false),
            ("parallelism 1, fold_batches", 1, true),
            ("parallelism 2", 2, false),
            ("parallelism 2, fold_batches", 2, true),
        ] {
            let (totals, took) =
                best_of(self.runs, || run_once(self.splits.to_vec(), key, parallelism, folds))?;
            ensure!(
                totals == (expected.rows, expected.sum),
                "{name} by {key}: {totals:?}, expected {expected:?}"
            );
            report.line(self.row(&format!("{key}: {name}"), took, by_hand));
            wall.push(took.wall.as_secs_f64());
        }
        report.line(format!("{key}: parallelism 2 is {:.2}x of 1 in wall time", wall[0] / wall[2]));
        Ok(())
    }

    // The splits take turns, as they do in the source.
    fn interleaved(&self) -> impl Iterator<Item = &'a RawBatch> {
        let longest = self.splits.iter().map(Vec::len).max().unwrap_or(0);
        let splits = self.splits;
        (0..longest).flat_map(move |index| splits.iter().filter_map(move |split| split.get(index)))
    }

    fn row(&self, name: &str, took: Took, yardstick: Took) -> String {
        let (cpu, wall) = (took.cpu_per(self.events), took.wall_per(self.events));
        let ratio = yardstick.cpu_per(self.events) / cpu;
        format!("{name:<34}{cpu:>9.1}{wall:>9.1}{:>16.2}{ratio:>14.2}{:>12.2}", 1e3 / cpu, 1e3 / wall)
    }
}

fn run_once(
    splits: Vec<Vec<RawBatch>>,
    key: &str,
    parallelism: u16,
    folds: bool,
) -> Result<((u64, u64), Took)> {
    let env = Environment::new("memory").with_parallelism(parallelism);
    let clicks = jobs::clicks(&env.source("lines", Prebuilt::new(splits)), key)?;
    let counts = if folds { jobs::folded_counts(&clicks) } else { jobs::counts(&clicks) };
    let discard = Discard::new(jobs::count_of);
    counts.sink_to("discard", discard.clone());
    let plan = env.plan()?;
    let (_, took) = time(|| Ok(run_job(plan, RuntimeOptions::default())?))?;
    Ok((discard.totals(), took))
}
