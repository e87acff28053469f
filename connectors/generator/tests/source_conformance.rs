//! The list for sources: the generator, and a replay of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use millstream_generator::replay::{JsonLines, Speed};
use millstream_generator::{GeneratorOptions, GeneratorSource, Replay, ReplayOptions, ShopTraffic};
use millstream_record::Result;
use millstream_sim::conformance::{self, Content, Message, Prepared, SourceFixture, UnboundedFixture};
use millstream_sim::{DrivenReader, Harness, Reading, Simulated};
use millstream_stage::Rows;
use millstream_stage::raw::RawBatch;
use millstream_stage::source::Source;
use std::sync::Arc;

#[derive(Default)]
struct Generated {
    rate: Option<f64>,
}

impl Generated {
    fn options(&self, splits: usize, records: usize) -> GeneratorOptions {
        GeneratorOptions {
            splits: splits.max(1) as u16,
            count: Some((splits * records) as u64),
            rate: self.rate,
            start: Some(1_511_658_000_000),
            disorder: Duration::from_millis(50),
            duplicates: 0.1,
            broken: 0.1,
            broken_kinds: vec![millstream_generator::BrokenKind::WrongType],
            ..GeneratorOptions::default()
        }
    }
}

// What the iterator gives, by split.
fn content(options: &GeneratorOptions) -> Content {
    let texts = |split| {
        let traffic = ShopTraffic::new(options.clone(), split, 1_511_658_000_000);
        let text = |shot: millstream_generator::Shot| {
            let mut bytes = Vec::new();
            shot.write(options, &mut bytes);
            String::from_utf8(bytes).unwrap()
        };
        (format!("generator/{split}"), traffic.map(text).collect())
    };
    (0..options.splits).map(texts).collect()
}

impl SourceFixture for Generated {
    type Source = GeneratorSource;

    fn prepare(&self, _: &str, splits: usize, records: usize) -> Result<Prepared<GeneratorSource>> {
        let options = self.options(splits, records);
        Ok(Prepared { content: content(&options), source: GeneratorSource::new(options) })
    }

    fn messages(&self, rows: &Rows<RawBatch>) -> Vec<Message> {
        conformance::messages(rows)
    }
}

struct Replayed {
    options: ReplayOptions,
}

impl SourceFixture for Replayed {
    type Source = Replay<GeneratorSource>;

    fn prepare(&self, _: &str, splits: usize, records: usize) -> Result<Prepared<Self::Source>> {
        let generated = GeneratorSource::new(Generated::default().options(splits, records));
        // What it gives when it is read through once, at any speed.
        let at_once = ReplayOptions { speed: Speed::Max, ..self.options.clone() };
        let content = read_through(&Replay::new(generated.clone(), JsonLines, at_once));
        Ok(Prepared { content, source: Replay::new(generated, JsonLines, self.options.clone()) })
    }

    fn messages(&self, rows: &Rows<RawBatch>) -> Vec<Message> {
        conformance::messages(rows)
    }
}

fn read_through(source: &impl Source<Out = RawBatch>) -> Content {
    use millstream_sim::World;
    use millstream_stage::source::{EnumeratorContext, EnumeratorEvent};
    let world: Arc<dyn World> = Arc::new(Simulated::default());
    let context = EnumeratorContext {
        job: "test".to_owned(),
        parallelism: 1,
        clock: world.clock(),
        troubles: Arc::default(),
    };
    let start = EnumeratorEvent::Start { restored: None };
    let mut assignments = source.enumerator().on(&context, start).unwrap();
    let splits = assignments.remove(0).splits;
    let mut content: Content = splits.iter().map(|split| (split.id.to_string(), Vec::new())).collect();
    let mut open = splits.len();
    let mut reader = DrivenReader::open(source, Harness::new(world)).unwrap();
    reader.add_splits(splits).unwrap();
    while open > 0 {
        match reader.next(1000).unwrap() {
            Reading::Rows(split, rows) => {
                let texts = conformance::messages(&rows).into_iter().map(|message| message.text);
                content.get_mut(&*split).unwrap().extend(texts);
            }
            Reading::Finished(_) => open -= 1,
            Reading::Pending => unreachable!("next waits"),
        }
    }
    content
}

impl UnboundedFixture for Generated {
    fn unbounded(&self, _: &str, splits: usize, records: usize) -> Result<GeneratorSource> {
        Ok(GeneratorSource::new(GeneratorOptions { count: None, ..self.options(splits, records) }))
    }
}

#[test]
fn generated_without_an_end() {
    conformance::unbounded_source(&Generated { rate: Some(5000.0) }).unwrap();
}

#[test]
fn generated_flat_out() {
    conformance::source(&Generated { rate: None }).unwrap();
}

#[test]
fn generated_at_a_rate() {
    conformance::source(&Generated { rate: Some(5000.0) }).unwrap();
}

#[test]
fn replayed_as_it_is() {
    conformance::source(&Replayed { options: ReplayOptions::default() }).unwrap();
}

#[test]
fn replayed_shuffled_and_with_broken_records() {
    let options =
        ReplayOptions { shuffle: Duration::from_millis(40), broken: 0.1, ..ReplayOptions::default() };
    let broken_kinds = vec![millstream_generator::BrokenKind::Truncated];
    conformance::source(&Replayed { options: ReplayOptions { broken_kinds, ..options } }).unwrap();
}

#[test]
fn replayed_at_a_speed() {
    let speed = Speed::Times(3.0);
    let options = ReplayOptions { speed, shuffle: Duration::from_millis(40), ..ReplayOptions::default() };
    conformance::source(&Replayed { options }).unwrap();
}
