//! Pipelines whose shape, names or sizes have been trouble in other systems on Flink.

use millstream::connectors::generator::{GeneratorOptions, GeneratorSource};
use millstream::json::{JsonDecoder, JsonOptions};
use millstream::prelude::*;

use crate::pipelines::{MINUTE, line};
use crate::{Event, GoldenOptions, Line, by_event_time, files};

/// Each event twice per category, and once per user. No stage between the first and the windows has an operator.
pub(crate) fn unions(options: &GoldenOptions, events: &DataStream<Event>) {
    let twice = events.union(&[events]).key_by(|event| event.category.clone());
    let twice =
        twice.window(Tumbling::of(MINUTE)).aggregate("twice", Count, |category: &String, window, count| {
            line(&format!("category {category}"), window, count)
        });
    let views = events.filter("views", |event| event.behavior == "pv");
    let others = events.filter("others", |event| event.behavior != "pv");
    let once = views.union(&[&others]).rebalance().key_by(|event| event.user.clone());
    let once = once.window(Tumbling::of(MINUTE)).aggregate("once", Count, |user: &String, window, count| {
        line(&format!("user {user}"), window, count)
    });
    files(options, "results", &twice.union(&[&once]));
}

/// A tenth of the events comes from a source of its own, which ends long before the other.
pub(crate) fn two_sources(
    options: &GoldenOptions,
    env: &Environment,
    events: &DataStream<Event>,
) -> Result<()> {
    let traffic = &options.traffic;
    let short = GeneratorOptions {
        count: traffic.count.map(|count| count / 10),
        seed: traffic.seed + 1,
        ..traffic.clone()
    };
    let short = env
        .source("short", GeneratorSource::new(short))
        .decode("decode-short", JsonDecoder::<Event>::new(&JsonOptions::default())?)
        .assign_timestamps_and_watermarks("event-time-short", by_event_time());
    let counts = events
        .union(&[&short])
        .key_by(|event| event.category.clone())
        .window(Tumbling::of(MINUTE))
        .aggregate("per-minute", Count, |category: &String, window, count| line(category, window, count));
    files(options, "results", &counts);
    Ok(())
}

/// Every thousandth event carries a text of `size` bytes over an exchange.
pub(crate) fn large(options: &GoldenOptions, events: &DataStream<Event>) {
    let size = options.size;
    let swollen = events.map("swell", move |event| {
        let is_large = event.id.ends_with("000");
        Event {
            item: if is_large { event.user.repeat(size / event.user.len().max(1)) } else { event.item },
            ..event
        }
    });
    let measured = swollen.key_by(|event| event.user.clone()).process("measure", |_| Ok(Measure));
    files(options, "results", &measured);
}

/// The length of each item, and a sum that a torn one would not have.
struct Measure;

impl KeyedProcessFunction for Measure {
    type Key = String;
    type In = Event;
    type Out = Line;

    fn process(&mut self, event: Event, cx: &mut KeyedContext<'_, String, Line>) -> Result<()> {
        let sum = event.item.bytes().map(u64::from).sum::<u64>();
        cx.collect(Line { key: event.id, from: event.at, to: event.item.len() as Time, count: sum });
        Ok(())
    }
}

/// Views per minute.
pub(crate) fn names(options: &GoldenOptions, events: &DataStream<Event>) {
    let long = format!("very {}long", "very ".repeat(20));
    let views = events.filter("a.b/c {} %s \"views\" <日本>;\n", |event| event.behavior == "pv");
    let per_minute = views.map(&long, |event| event).key_by(|event| event.category.clone());
    let counts = per_minute.window(Tumbling::of(MINUTE)).aggregate(
        "traffic splits: ü.ö",
        Count,
        |category: &String, window, count| line(category, window, count),
    );
    files(options, "results", &counts);
}

/// Fails with the first event.
pub(crate) fn complaint(options: &GoldenOptions, events: &DataStream<Event>) {
    let size = options.size;
    let keyed = events.key_by(|event| event.user.clone());
    let failed = keyed.process("complain", move |_| Ok(Complain { size }));
    files(options, "results", &failed);
}

struct Complain {
    size: usize,
}

impl KeyedProcessFunction for Complain {
    type Key = String;
    type In = Event;
    type Out = Line;

    fn process(&mut self, _: Event, _: &mut KeyedContext<'_, String, Line>) -> Result<()> {
        let text = format!(
            "{{}} {{0}} %s %n ${{env:HOME}} ${{jndi:x}} \u{0} 😀\nsecond line {}",
            "é".repeat(self.size / 2)
        );
        tracing::warn!("it complains: {text}");
        Err(Error::restart(text))
    }
}
