//! The list that every sink passes, in every weather.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_record::Result;
use millstream_sim::conformance::{self, SinkFixture};
use millstream_sim::{Simulated, World};
use parking_lot::Mutex;

use crate::script::{Row, Script, ScriptedReply, UNFIT};

struct Fixture {
    seed: u64,
    weather: fn(u64, usize) -> ScriptedReply,
    places: Mutex<BTreeMap<String, Script>>,
}

impl SinkFixture for Fixture {
    type Record = Row;
    type Sink = Script;

    fn world(&self) -> Result<Arc<dyn World>> {
        Ok(Arc::new(Simulated::new(self.seed, 0)))
    }
    fn sink(&self, place: &str) -> Result<Script> {
        let (weather, seed) = (self.weather, self.seed);
        let mut places = self.places.lock();
        let script = places.entry(place.to_owned());
        Ok(script.or_insert_with(|| Script::default().weather(move |number| weather(seed, number))).clone())
    }
    fn record(&self, key: u64, value: u64) -> Row {
        (key, value)
    }
    fn visible(&self, place: &str) -> Result<Vec<Row>> {
        Ok(self.sink(place)?.rows())
    }
    fn refused(&self) -> Option<Row> {
        Some((UNFIT, 1))
    }
    fn large(&self) -> u64 {
        3_000
    }
}

fn check(weather: fn(u64, usize) -> ScriptedReply) {
    for seed in 0..5 {
        conformance::sink(&Fixture { seed, weather, places: Mutex::default() }).unwrap();
    }
}

#[test]
fn while_all_is_well() {
    check(|_, _| ScriptedReply::Well);
}

#[test]
fn while_answers_are_slow_and_come_in_any_order() {
    check(|seed, number| ScriptedReply::Slow(Duration::from_millis((seed + number as u64) * 37 % 200)));
}

#[test]
fn while_requests_fail_in_every_way() {
    check(|seed, number| match (seed as usize + number) % 9 {
        0 => ScriptedReply::Lost,
        2 => ScriptedReply::Unheard,
        3 => ScriptedReply::Half,
        5 => ScriptedReply::Busy,
        6 => ScriptedReply::Short,
        7 => ScriptedReply::TooLarge(4),
        _ => ScriptedReply::Well,
    });
}

#[test]
fn while_requests_are_executed_twice() {
    check(|_, number| ScriptedReply::Twice(Duration::from_millis(number as u64 * 13 % 500)));
}

#[test]
fn while_some_are_never_answered() {
    check(|_, number| match number % 4 {
        1 => ScriptedReply::Never { written: true },
        3 => ScriptedReply::Never { written: false },
        _ => ScriptedReply::Well,
    });
}
