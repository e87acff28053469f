#![allow(clippy::unwrap_used, reason = "a test's own operators")]
//! The rig: a sound operator passes every mode, each broken one is caught in the mode that is there for it.

#[path = "support/sums.rs"]
mod sums;

use std::sync::Arc;

use millstream_operators::KeySelector;
use millstream_operators::operators::{Either, Filter, KeyedCoProcessFunction, Map, Process, ProcessTwo};
use millstream_operators::state::{KeyedContext, States, ValueState};
use millstream_record::Result;
use millstream_sim::rig::{
    Feed, Rig, active, end, end_on, event, idle, out_watermark, processing_time, row, second, stop,
    watermark, watermark_on,
};
use millstream_stage::WatermarkEvent;
use sums::{Flaw, In, Out, RunningSums};

fn words(word: &str, count: i64) -> (String, i64) {
    (word.to_owned(), count)
}

fn script() -> Vec<Feed<In>> {
    vec![
        event(words("a", 1), 1),
        event(words("b", 10), 2),
        event(words("c", 100), 3),
        watermark(5),
        event(words("a", 2), 6),
        event(words("b", 99), 4),
        processing_time(150),
        event(words("d", 1000), 8),
        watermark(20),
        idle(),
        active(),
        processing_time(400),
        end(),
    ]
}

fn rig(flaw: Flaw) -> Rig<In, (), Out> {
    Rig::new(move || RunningSums::new(flaw))
        .keyed_by(|(word, _): &In| word.clone())
        .side(&RunningSums::late())
        .feed(script())
}

#[test]
fn a_sound_operator_passes_every_mode() {
    let outcome = rig(Flaw::None).expect([
        row(words("a", 1), 5),
        row(words("b", 10), 5),
        row(words("c", 100), 5),
        out_watermark(5),
        row(words("a ticks", 3), 100),
        row(words("b ticks", 10), 100),
        row(words("c ticks", 100), 100),
        row(words("a", 3), 20),
        row(words("b", 10), 20),
        row(words("c", 100), 20),
        row(words("d", 1000), 20),
        out_watermark(20),
        out_watermark(WatermarkEvent::Idle),
        out_watermark(WatermarkEvent::Active),
        row(words("d ticks", 1000), 250),
        row(words("a", 3), i64::MAX),
        row(words("b", 10), i64::MAX),
        row(words("c", 100), i64::MAX),
        row(words("d", 1000), i64::MAX),
        out_watermark(i64::MAX),
    ]);
    assert_eq!(outcome.side(&RunningSums::late()), [words("b", 99)]);
}

#[test]
fn every_flaw_is_caught_and_named() {
    let flaws = [
        (Flaw::ForgetsState, "restored after every record: in answer to"),
        (Flaw::FrozenIsAlive, "restored from a snapshot written late"),
        (Flaw::ForeignGroups, "has key group 43, this subtask owns 0..43"),
        (Flaw::LateByOwnClock, "restored, watermarks come late"),
        (Flaw::MarkGoesBack, "goes back from 20 to 19"),
        (Flaw::FinalMarkTwice, "comes twice"),
        (Flaw::EmitsInSnapshot, "snapshots that are never used"),
        (
            Flaw::PanicsInBatches,
            "batches of 2: in answer to [(\"a\", 1) at 1, (\"b\", 10) at 2, (\"c\", 100) at 3]: process panicked: two at once",
        ),
        (Flaw::CountsBatches, "batches of 2"),
        (Flaw::ResumeEmits, "woken for nothing"),
        (Flaw::NobodyTakesBack, "the list forgotten of operator operator was restored, but nobody took it"),
        (Flaw::AbortForgets, "snapshots that are never used"),
        (Flaw::TimersAreLost, "restored after every record"),
        (Flaw::BlocksForEver, "the stage is blocked: it waits, but no future is in flight"),
        (Flaw::NeverDone, "resumed 20000 times in one step"),
        (Flaw::PreparesForEver, "prepare was called 20000 times"),
        (Flaw::SliceLosesKeys, "restored between slices"),
        (Flaw::EndFails, "on purpose"),
    ];
    for (flaw, reason) in flaws {
        let failure = rig(flaw).run().expect_err(&format!("{flaw:?} passes")).to_string();
        assert!(failure.contains(reason), "{flaw:?} is not caught by {reason:?}, but so:\n{failure}");
    }
}

#[test]
#[should_panic(expected = "differs from what is expected at number 1")]
fn a_wrong_expectation_is_told() {
    let double = || Map::new(Arc::new(|number: i64| number * 2));
    Rig::new(double).feed([event(1, 1), event(2, 2)]).expect_records([2, 5]);
}

#[test]
fn stateless_operators_run_on_any_subtask() {
    let even = || Filter::new(Arc::new(|number: &i64| number % 2 == 0));
    let feed = (0..20).map(|number| event(number, number)).chain([watermark(30), stop()]);
    Rig::new(even).any_subtask().feed(feed).expect_rows((0..10).map(|half| (half * 2, half * 2)));
}

/// Joins a name with an amount.
struct Join {
    name: ValueState<String>,
}

impl KeyedCoProcessFunction for Join {
    type Key = i64;
    type First = (i64, String);
    type Second = (i64, u64);
    type Out = (String, u64);

    fn first(
        &mut self,
        (_, name): (i64, String),
        cx: &mut KeyedContext<'_, i64, (String, u64)>,
    ) -> Result<()> {
        self.name.set(cx, name);
        Ok(())
    }

    fn second(
        &mut self,
        (_, amount): (i64, u64),
        cx: &mut KeyedContext<'_, i64, (String, u64)>,
    ) -> Result<()> {
        let name = self.name.get(cx).cloned().unwrap_or_else(|| "nobody".to_owned());
        cx.collect((name, amount));
        Ok(())
    }
}

#[test]
fn two_inputs_have_one_watermark() {
    let join = |states: &mut States| Ok(ProcessTwo(Join { name: states.value("name")? }));
    let key = || {
        Either::key_selector(
            KeySelector::new(|first: &(i64, String)| first.0),
            KeySelector::new(|second: &(i64, u64)| second.0),
        )
    };
    Rig::with_two_inputs(move || Process::new(join, key()))
        .keyed_by(|first: &(i64, String)| first.0)
        .second_keyed_by(|second: &(i64, u64)| second.0)
        .feed([
            event((1, "ann".to_owned()), 1),
            second((1, 10), 2),
            second((2, 20), 2),
            watermark_on(0, 10),
            event((2, "bob".to_owned()), 11),
            watermark_on(1, 7),
            second((2, 30), 8),
            end_on(0),
            watermark_on(1, 9),
            end_on(1),
        ])
        .expect([
            row(("ann".to_owned(), 10), 2),
            row(("nobody".to_owned(), 20), 2),
            out_watermark(7),
            row(("bob".to_owned(), 30), 8),
            out_watermark(9),
            out_watermark(i64::MAX),
        ]);
}
