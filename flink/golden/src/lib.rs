//! Pipelines whose results must be the same in Flink and in one process, on the same input.
//!
//! Each is chosen by `pipeline` in the configuration, reads generated shop traffic, and writes its results and
//! the records that it could not use to files, exactly once.

mod function;
mod pipelines;
mod quiet;
mod tripwire;
mod unusual;

use millstream::connectors::files::{RollingFilesSink, RollingOptions};
use millstream::connectors::generator::{GeneratorOptions, GeneratorSource};
use millstream::json::{FromJson, JsonDecoder, JsonOptions};
use millstream::prelude::*;
use millstream::{App, RawBatch, Record, cli};
use serde::{Deserialize, Serialize};

use crate::quiet::TrafficAndQuiet;
use crate::tripwire::Tripwire;

/// The part of the configuration that is the pipelines' own.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GoldenOptions {
    /// Which one runs.
    pub pipeline: Pipeline,
    /// The traffic.
    pub traffic: GeneratorOptions,
    /// The directory that results are written to.
    pub results: String,
    /// The bytes of a large record, or of a long error text.
    #[serde(default)]
    pub size: usize,
    /// The directory in which a file `source` or `interest` makes an operator fail.
    pub tripwires: Option<String>,
    /// How many seconds a split beside the traffic has nothing to read; without it there is no such split.
    pub quiet: Option<u64>,
}

/// A pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pipeline {
    /// Clicks per category and minute, with late records to a side output.
    Windows,
    /// Sessions per user.
    Sessions,
    /// Users who put something into the cart and did not buy within the hour: state and timers.
    Timers,
    /// Views and purchases of an item, from two streams with state in common.
    TwoInputs,
    /// Events as they are: one stage, no exchange.
    Straight,
    /// Streams that are united with themselves and with others of their own stage, and stages without operators.
    Unions,
    /// Clicks per category and minute, from two sources of which one ends early.
    TwoSources,
    /// Some records of `size` bytes.
    Large,
    /// Views per minute, by operators with names that Flink could stumble over.
    Names,
    /// Fails with a text of `size` bytes that no formatter may touch, and logs it.
    Complaint,
}

/// An event of the traffic, as far as it is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Record, FromJson, Serialize)]
pub struct Event {
    /// Unique, but for events that come twice.
    #[json(name = "eventId")]
    pub id: String,
    /// The user.
    #[json(name = "userId")]
    pub user: String,
    /// The item.
    #[json(name = "itemId")]
    pub item: String,
    /// Its category.
    #[json(name = "categoryId")]
    pub category: String,
    /// `pv`, `cart`, `fav` or `buy`.
    #[json(name = "behavior")]
    pub behavior: String,
    /// Event time.
    #[json(name = "timestamp", time)]
    pub at: Time,
}

/// One line of results.
#[derive(Clone, Debug, PartialEq, Eq, Record, Serialize)]
pub struct Line {
    /// Whose.
    pub key: String,
    /// From when.
    pub from: Time,
    /// Until when.
    pub to: Time,
    /// How many or how much.
    pub count: u64,
}

/// The program, for the command line and for Flink.
pub fn program() -> impl cli::Application<Options = GoldenOptions> + Sync {
    App::new("golden").about("Pipelines that must give the same in Flink and in one process").program(build)
}

fn build(options: &GoldenOptions, env: &Environment) -> Result<()> {
    let traffic = traffic(options, env);
    let decoded = traffic.decode("decode", JsonDecoder::<Event>::new(&JsonOptions::default())?);
    files(
        options,
        "broken",
        &decoded.dead_letters().map("reasons", |letter| Reason { reason: letter.reason }),
    );
    let idle_after = options.quiet.map(|_| Duration::from_millis(500));
    let strategy = idle_after.into_iter().fold(by_event_time(), WatermarkStrategy::with_idleness);
    let events = decoded.assign_timestamps_and_watermarks("event-time", strategy);
    let events = if options.tripwires.is_some() { tripped(options, &events) } else { events };
    match options.pipeline {
        Pipeline::Windows => pipelines::windows(options, &events),
        Pipeline::Sessions => pipelines::sessions(options, &events),
        Pipeline::Timers => pipelines::timers(options, &events),
        Pipeline::TwoInputs => pipelines::two_inputs(options, &events),
        Pipeline::Straight => files(options, "events", &events),
        Pipeline::Unions => unusual::unions(options, &events),
        Pipeline::TwoSources => unusual::two_sources(options, env, &events)?,
        Pipeline::Large => unusual::large(options, &events),
        Pipeline::Names => unusual::names(options, &events),
        Pipeline::Complaint => unusual::complaint(options, &events),
    }
    Ok(())
}

fn by_event_time() -> WatermarkStrategy<Event> {
    WatermarkStrategy::bounded_out_of_orderness(Duration::from_secs(20))
        .with_timestamps(|event: &Event| event.at)
}

fn traffic(options: &GoldenOptions, env: &Environment) -> DataStream<RawBatch> {
    let traffic = options.traffic.clone();
    match options.quiet.map(Duration::from_secs) {
        Some(quiet) => env.source("traffic", TrafficAndQuiet { traffic, quiet }),
        None => env.source("traffic", GeneratorSource::new(traffic)),
    }
}

/// The same events, which are written, too, and may make an operator fail.
fn tripped(options: &GoldenOptions, events: &DataStream<Event>) -> DataStream<Event> {
    let tripwire = Tripwire::new(options.tripwires.as_deref(), "source");
    #[allow(clippy::expect_used, reason = "an error of this tripwire is a panic")]
    let events =
        events.inspect("tripwire", move |_, _| tripwire.touch().expect("the tripwire of the source"));
    if options.pipeline != Pipeline::Straight {
        files(options, "events", &events);
    }
    events
}

/// Why a record could not be used.
#[derive(Clone, Debug, Record, Serialize)]
struct Reason {
    reason: String,
}

/// Writes a stream to files of its own directory, which appear with their checkpoint.
fn files<T: Record + Serialize>(options: &GoldenOptions, name: &str, stream: &DataStream<T>) {
    let to = RollingOptions::to(format!("{}/{name}", options.results));
    // What such a job writes is looked at while it runs.
    let roll_interval = options.quiet.map_or(to.roll_interval, |_| Duration::from_secs(1));
    let to = RollingOptions { roll_interval, ..to };
    stream.sink_to(&format!("{name}-files"), RollingFilesSink::json_lines(to));
}

millstream::flink::pipeline!(program());
