//! From ingest to sink: at half load, and one event through an idle pipeline.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use millstream::RawBatch;
use millstream::prelude::*;
use millstream::runtime::{RuntimeOptions, start};
use millstream::time::MIN_TIME;

use crate::discard::Discard;
use crate::live::{Live, LiveInput};
use crate::measure::{time, wait};
use crate::prebuilt::Prebuilt;
use crate::report::Report;
use crate::{Arguments, input, jobs};

const EVENTS: f64 = 3_000_000.0;
const SMALL: usize = 512;
const SINGLES: usize = 500;

/// Runs it.
pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let events = (EVENTS * arguments.scale) as u64;
    let input = input::batches_of_size(events, 2, SMALL);
    let (flat_out, _) = through(Prebuilt::new(input.clone()))?;
    let capacity = events as f64 / flat_out.as_secs_f64();
    let pause = Duration::from_secs_f64(SMALL as f64 / (capacity / 2.0));
    let (_, quantiles) = through(Prebuilt::new(input).paced(pause))?;
    report.line("from the fetch in the source to the write in the sink, parallelism 1; parse, key by user, running count");
    report.line(format!(
        "half load, {:.0} events per second in fetches of {SMALL}: {quantiles}",
        capacity / 2.0
    ));
    idle(report)
}

// A running count per user: every event goes through the exchange and gives a row at once.
fn running_counts(lines: &DataStream<RawBatch>) -> Result<DataStream<jobs::Row>> {
    Ok(jobs::clicks(lines, "userId")?
        .key_by(|click| click.key.clone())
        .window(Global)
        .trigger(CountTrigger::of(1))
        .aggregate("count", Count, |key, window, count| (key.clone(), window.start, window.end, count)))
}

fn through(source: Prebuilt) -> Result<(Duration, String)> {
    let env = Environment::new("latency");
    running_counts(&env.source("lines", source))?.sink_to("discard", Discard::new(jobs::count_of));
    let plan = env.plan()?;
    let (metrics, took) = time(|| {
        let job = start(plan, RuntimeOptions::default())?;
        let metrics = job.metrics();
        job.wait()?;
        Ok(metrics)
    })?;
    let mut quantiles = String::new();
    for (_, sink) in metrics.operators().filter(|(_, operator)| operator.name == "discard") {
        let histogram = sink.latency.histogram();
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        quantiles = format!("p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms", at(0.5), at(0.99), at(0.999));
    }
    Ok((took.wall, quantiles))
}

#[allow(clippy::disallowed_methods, reason = "a measuring tool is a clock's home")]
fn idle(report: &mut Report) -> Result<()> {
    let (input, source) = Live::new();
    let (sender, written) = channel();
    let env = Environment::new("idle");
    running_counts(&env.source("lines", source))?
        .inspect("written", move |_, _| sender.send(Instant::now()).unwrap_or(()))
        .sink_to("discard", Discard::new(jobs::count_of));
    let job = start(env.plan()?, RuntimeOptions::default())?;
    let mut took = Vec::new();
    for (position, line) in input::lines(SINGLES as u64 * 2, 1, 0).enumerate() {
        wait(Duration::from_millis(5));
        let began = give(&input, &line, position);
        // Lines that the filter drops do not arrive.
        if let Ok(arrived) = written.recv_timeout(Duration::from_millis(500)) {
            took.push(arrived - began);
        }
        if took.len() == SINGLES {
            break;
        }
    }
    input.end();
    job.wait()?;
    took.sort();
    ensure!(!took.is_empty(), "nothing arrived");
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    report.line(format!(
        "one event through the idle pipeline, from the reader's wake to the sink, {} times: p50 {:.3} ms, p99 {:.3} ms, worst {:.3} ms",
        took.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    ));
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "a measuring tool is a clock's home")]
fn give(input: &LiveInput, line: &[u8], position: usize) -> Instant {
    let mut batch = RawBatch::new("live".into());
    batch.push(line, position as i64, MIN_TIME);
    let began = Instant::now();
    input.give(batch);
    began
}
