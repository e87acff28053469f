//! Rates and speeds, by the simulation's clock.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;
use std::time::Duration;

use millstream_generator::replay::{JsonLines, Speed};
use millstream_generator::{GeneratorOptions, GeneratorSource, Replay, ReplayOptions};
use millstream_sim::{DrivenReader, Harness, Reading, Simulated, World};
use millstream_stage::raw::RawBatch;
use millstream_stage::source::{EnumeratorContext, EnumeratorEvent, Source};
use millstream_stage::time::Time;

const NOW: Time = 1_700_000_000_000;

// (processing time since the start, event time) of every event that comes within `at_most` of the start.
fn arrivals(source: &impl Source<Out = RawBatch>, at_most: Duration) -> Vec<(Time, Time)> {
    let world: Arc<dyn World> = Arc::new(Simulated::new(1, NOW));
    let clock = world.clock();
    let context = EnumeratorContext {
        job: "test".to_owned(),
        parallelism: 1,
        clock: world.clock(),
        troubles: Arc::default(),
    };
    let start = EnumeratorEvent::Start { restored: None };
    let splits = source.enumerator().on(&context, start).unwrap().remove(0).splits;
    let mut open = splits.len();
    let mut reader = DrivenReader::open(source, Harness::new(world)).unwrap();
    reader.add_splits(splits).unwrap();
    let mut seen = Vec::new();
    while open > 0 && clock.now() - NOW <= at_most.as_millis() as Time {
        match reader.next(1000).unwrap() {
            Reading::Finished(_) => open -= 1,
            Reading::Pending => unreachable!("next waits"),
            Reading::Rows(_, rows) => {
                let arrived = clock.now() - NOW;
                let time = |bytes: &[u8]| {
                    serde_json::from_slice::<serde_json::Value>(bytes).unwrap()["timestamp"].as_i64().unwrap()
                };
                seen.extend(rows.rec.iter().flat_map(RawBatch::iter).map(|line| (arrived, time(line.bytes))));
            }
        }
    }
    seen
}

#[test]
fn a_rate_is_kept_over_all_splits_and_event_time_follows_the_clock() {
    let options = GeneratorOptions { rate: Some(1000.0), splits: 4, ..GeneratorOptions::default() };
    let seen = arrivals(&GeneratorSource::new(options), Duration::from_secs(5));
    let count = seen.iter().filter(|(arrived, _)| *arrived < 5000).count();
    assert!((4950..=5050).contains(&count), "{count} in 5 s");
    assert!(
        seen.iter().all(|(arrived, time)| (time - NOW - arrived).abs() <= 10),
        "event time is the clock's"
    );
}

#[test]
fn a_duration_bounds_it() {
    let options = GeneratorOptions {
        rate: Some(100.0),
        duration: Some(Duration::from_secs(3)),
        ..GeneratorOptions::default()
    };
    let seen = arrivals(&GeneratorSource::new(options), Duration::from_hours(1));
    assert_eq!(seen.len(), 300);
    assert!((2900..=3100).contains(&seen.last().unwrap().0));
}

#[test]
fn flat_out_takes_no_time_and_starts_at_the_recorded_day() {
    let options = GeneratorOptions { count: Some(5000), ..GeneratorOptions::default() };
    let seen = arrivals(&GeneratorSource::new(options), Duration::ZERO);
    assert_eq!((seen.len(), seen[0].1.min(seen[1].1)), (5000, 1_511_658_000_000));
}

fn replayed(speed: Speed) -> Vec<(Time, Time)> {
    let recorded = GeneratorOptions {
        count: Some(600),
        event_rate: Some(10.0),
        splits: 2,
        start: Some(0),
        ..GeneratorOptions::default()
    };
    let options = ReplayOptions { speed, ..ReplayOptions::default() };
    arrivals(&Replay::new(GeneratorSource::new(recorded), JsonLines, options), Duration::from_hours(1))
}

#[test]
fn a_minute_of_recording_takes_a_second_at_sixty_times_its_speed() {
    for (arrived, time) in replayed(Speed::Times(60.0)) {
        assert!((arrived - time / 60).abs() <= 5, "{time} came at {arrived}");
    }
    assert_eq!(replayed(Speed::Times(60.0)).len(), 600);
}

#[test]
fn at_its_own_speed_a_minute_is_a_minute() {
    let seen = replayed(Speed::Times(1.0));
    assert!((59_000..=60_100).contains(&seen.last().unwrap().0), "{:?}", seen.last());
}

#[test]
fn as_fast_as_it_is_taken() {
    let seen = replayed(Speed::Max);
    assert_eq!((seen.len(), seen.last().unwrap().0), (600, 0));
}
