#![allow(clippy::unwrap_used, reason = "a test's own functions")]
//! The library's operators through the rig, with the rules of the Flink classes that they follow.

use std::sync::Arc;
use std::time::Duration;

use millstream_operators::KeySelector;
use millstream_operators::operators::{
    AssignWatermarks, DEAD_LETTERS, DeadLetters, Decode, FlatMap, FoldBatch, Inspect, KeyedProcessFunction,
    Process, WatermarkStrategy,
};
use millstream_operators::state::{
    AggregatingState, KeyedContext, ListState, MapState, ReducingState, States, Timer, TimerKind, ValueState,
};
use millstream_operators::window::WindowSpec;
use millstream_operators::window::{
    Collect, Count, CountTrigger, Cumulative, EventTimeTrigger, Global, ProcessingTimeTrigger, Purging,
    Session, SessionOperator, Sliding, Trigger, Tumbling, Window, WindowAssigner, WindowOperator,
};
use millstream_record::Result;
use millstream_record::record::from_bytes;
use millstream_sim::rig::{
    Feed, Rig, end, event, idle, out_watermark, processing_time, row, stop, watermark,
};
use millstream_stage::decode::{Decoder, Refused};
use millstream_stage::operator::SideTag;
use millstream_stage::raw::RawBatch;
use millstream_stage::time::{MAX_TIME, Time};
use millstream_stage::{Rows, WatermarkEvent};

type Word = (String, i64);
type Fired = (String, Time, Time, u64);

fn word(text: &str) -> Word {
    (text.to_owned(), 1)
}

fn fired(text: &str, start: Time, end: Time, count: u64) -> Fired {
    (text.to_owned(), start, end, count)
}

fn key(word: &Word) -> String {
    word.0.clone()
}

fn late() -> SideTag<Word> {
    SideTag::new("late")
}

type Spec<W, G, F> = WindowSpec<String, Word, W, G, Count, F>;

#[expect(clippy::type_complexity, reason = "the function's type cannot be named")]
fn spec<W, G: Trigger>(
    assigner: W,
    trigger: G,
    allowed_lateness: u64,
) -> Spec<W, G, impl Fn(&String, &Window, u64, &mut Vec<Fired>)> {
    let function = |key: &String, window: &Window, count, out: &mut Vec<Fired>| {
        out.push((key.clone(), window.start, window.end, count));
    };
    WindowSpec::new(KeySelector::new(key), assigner, trigger, Count, Arc::new(function))
        .with_allowed_lateness(ms(allowed_lateness))
        .with_late_output(late())
}

fn windows<W: WindowAssigner, G: Trigger>(assigner: W, trigger: G, lateness: u64) -> Rig<Word, (), Fired> {
    let make = move || WindowOperator::new(spec(assigner.clone(), trigger.clone(), lateness));
    Rig::new(make).keyed_by(key).unordered().side(&late())
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

// Flink's WindowOperatorTest.testTumblingEventTimeWindows, testLateness,
// testNotSideOutputDueToLatenessTumbling.
#[test]
fn tumbling_windows_fire_at_their_end_again_for_allowed_records_and_then_no_more() {
    let outcome = windows(Tumbling::of(ms(10)), EventTimeTrigger, 5)
        .feed([
            event(word("a"), -3),
            event(word("a"), 1),
            event(word("b"), 9),
            watermark(8),
            event(word("a"), 2),
            watermark(9),
            event(word("a"), 3),
            event(word("a"), 4),
            event(word("c"), 12),
            watermark(13),
            event(word("b"), 5),
            watermark(14),
            event(word("a"), 6),
            event(word("c"), 13),
            end(),
        ])
        .expect([
            row(fired("a", -10, 0, 1), -1),
            out_watermark(8),
            row(fired("a", 0, 10, 2), 9),
            row(fired("b", 0, 10, 1), 9),
            out_watermark(9),
            row(fired("a", 0, 10, 3), 9),
            row(fired("a", 0, 10, 4), 9),
            out_watermark(13),
            row(fired("b", 0, 10, 2), 9),
            out_watermark(14),
            row(fired("c", 10, 20, 2), 19),
            out_watermark(MAX_TIME),
        ]);
    assert_eq!(outcome.side(&late()), [word("a")], "maxTimestamp + allowedLateness <= watermark is late");
}

// Flink's WindowOperatorTest.testSlidingEventTimeWindows.
#[test]
fn a_record_is_in_every_sliding_window_that_covers_it() {
    windows(Sliding::of(ms(20), ms(10)), EventTimeTrigger, 0)
        .feed([event(word("a"), 5), event(word("a"), 15), event(word("b"), 25), watermark(19), end()])
        .expect_rows([
            (fired("a", -10, 10, 1), 9),
            (fired("a", 0, 20, 2), 19),
            (fired("a", 10, 30, 1), 29),
            (fired("b", 10, 30, 1), 29),
            (fired("b", 20, 40, 1), 39),
        ]);
}

// Flink SQL's CUMULATE: CumulativeSliceAssigner.
#[test]
fn cumulative_windows_grow() {
    windows(Cumulative::of(ms(30), ms(10)), EventTimeTrigger, 0)
        .feed([event(word("a"), 5), watermark(12), event(word("a"), 14), end()])
        .expect_rows([(fired("a", 0, 10, 1), 9), (fired("a", 0, 20, 2), 19), (fired("a", 0, 30, 2), 29)]);
}

// Flink's WindowOperatorTest.testCountTrigger, and PurgingTrigger.
#[test]
fn a_global_window_fires_by_count() {
    let feed = || {
        [
            event(word("a"), 1),
            event(word("b"), 2),
            event(word("a"), 3),
            watermark(9),
            event(word("a"), 4),
            event(word("a"), 5),
            stop(),
        ]
    };
    let (start, end) = (Window::GLOBAL.start, Window::GLOBAL.end);
    windows(Global, CountTrigger::of(2), 0)
        .feed(feed())
        .expect_records([fired("a", start, end, 2), fired("a", start, end, 4)]);
    windows(Global, Purging(CountTrigger::of(2)), 0)
        .feed(feed())
        .expect_records([fired("a", start, end, 2), fired("a", start, end, 2)]);
}

// Flink's WindowOperatorTest.testProcessingTimeTumblingWindows.
#[test]
fn windows_of_processing_time_fire_by_the_clock() {
    windows(Tumbling::of_processing_time(ms(100)), ProcessingTimeTrigger, 0)
        .feed([
            event(word("a"), 7),
            processing_time(50),
            event(word("a"), 3),
            event(word("b"), 3),
            processing_time(99),
            processing_time(130),
            event(word("a"), 1),
            processing_time(300),
        ])
        .expect_rows([
            (fired("a", 0, 100, 2), 99),
            (fired("b", 0, 100, 1), 99),
            (fired("a", 100, 200, 1), 199),
        ]);
}

// What fires after the stop would go nowhere: it stays in the state, for the job that goes on.
#[test]
fn nothing_fires_after_a_stop() {
    windows(Tumbling::of_processing_time(ms(100)), ProcessingTimeTrigger, 0)
        .feed([event(word("a"), 7), stop(), processing_time(300)])
        .expect_rows([]);
}

fn sessions(gap: u64, lateness: u64) -> Rig<Word, (), Fired> {
    let make = move || SessionOperator::new(spec(Session::with_gap(ms(gap)), EventTimeTrigger, lateness));
    Rig::new(make).keyed_by(key).unordered().side(&late())
}

// Flink's WindowOperatorTest.testSessionWindows, testMergeAndEvictor; TimeWindow.intersects: touching windows
// merge.
#[test]
fn sessions_merge_also_where_they_touch() {
    sessions(10, 0)
        .feed([
            event(word("a"), 0),
            event(word("a"), 20),
            event(word("b"), 5),
            event(word("a"), 10),
            watermark(14),
            event(word("b"), 40),
            end(),
        ])
        .expect([
            row(fired("b", 5, 15, 1), 14),
            out_watermark(14),
            row(fired("a", 0, 30, 3), 29),
            row(fired("b", 40, 50, 1), 49),
            out_watermark(MAX_TIME),
        ]);
}

// Flink's WindowOperatorTest.testDropDueToLatenessSessionZeroLateness and testDropDueToLatenessSession: a
// record is late by the session that it would belong to after merging.
#[test]
fn a_late_record_joins_a_session_that_is_still_open() {
    let outcome = sessions(10, 0)
        .feed([
            event(word("a"), 100),
            watermark(105),
            event(word("a"), 92),
            event(word("a"), 80),
            event(word("b"), 90),
            end(),
        ])
        .expect_rows([(fired("a", 92, 110, 2), 109)]);
    assert_eq!(outcome.side(&late()), [word("a"), word("b")]);
    sessions(10, 50)
        .feed([
            event(word("a"), 100),
            watermark(120),
            event(word("a"), 95),
            watermark(130),
            event(word("a"), 87),
            end(),
        ])
        .expect_rows([
            (fired("a", 100, 110, 1), 109),
            (fired("a", 95, 110, 2), 109),
            (fired("a", 87, 110, 3), 109),
        ]);
}

#[test]
fn windows_may_keep_all_records() {
    let make = || {
        let function = |key: &String, _: &Window, words: Vec<Word>, out: &mut Vec<(String, i64)>| {
            out.push((key.clone(), words.iter().map(|word| word.1).sum()));
        };
        let (key, collect) = (KeySelector::new(key), Collect::default());
        WindowOperator::new(WindowSpec::new(
            key,
            Tumbling::of(ms(10)),
            EventTimeTrigger,
            collect,
            Arc::new(function),
        ))
    };
    Rig::new(make)
        .keyed_by(key)
        .feed([event(("a".to_owned(), 3), 1), event(("a".to_owned(), 4), 2), end()])
        .expect_records([("a".to_owned(), 7)]);
}

/// Uses every kind of state and both kinds of timers.
struct Everything {
    last: ValueState<i64>,
    all: ListState<i64>,
    seen: MapState<i64, u64>,
    sum: ReducingState<i64>,
    count: AggregatingState<i64, Count>,
}

impl Everything {
    fn declare(states: &mut States) -> Result<Self> {
        Ok(Self {
            last: states.value("last")?,
            all: states.list("all")?,
            seen: states.map("seen")?,
            sum: states.reducing("sum", |left, right| left + right)?,
            count: states.aggregating("count", Count)?,
        })
    }
}

impl KeyedProcessFunction for Everything {
    type Key = String;
    type In = Word;
    type Out = String;

    fn process(&mut self, (text, value): Word, cx: &mut KeyedContext<'_, String, String>) -> Result<()> {
        let Self { last, all, seen, sum, count } = self;
        let before = last.get(cx).copied();
        last.set(cx, value);
        all.add(cx, value);
        *seen.get_mut(cx).entry(value).or_default() += 1;
        sum.add(cx, value);
        count.add(cx, &value);
        if value == 1 {
            let (at, now) = (cx.timestamp(), cx.processing_time());
            cx.register_timer(TimerKind::EventTime, at + 10);
            cx.register_timer(TimerKind::EventTime, at + 10);
            cx.register_timer(TimerKind::EventTime, at + 5);
            cx.delete_timer(TimerKind::EventTime, at + 5);
            cx.register_timer(TimerKind::ProcessingTime, now + 100);
        }
        cx.collect(format!("{text} {value} after {before:?}"));
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer, cx: &mut KeyedContext<'_, String, String>) -> Result<()> {
        let Self { all, seen, sum, count, .. } = self;
        let (all, seen) = (all.get(cx).to_vec(), seen.get(cx).clone());
        let (sum, count) = (sum.get(cx).copied(), count.get(cx));
        let key = cx.key().clone();
        cx.collect(format!("{key} {:?} {all:?} {seen:?} {sum:?} {count:?}", timer.kind));
        Ok(())
    }
}

// Flink's KeyedProcessOperatorTest: timers fire once however often they were set, event time before the
// watermark goes on.
#[test]
fn a_keyed_function_keeps_its_states_and_timers() {
    let value = |text: &str, value| (text.to_owned(), value);
    Rig::new(|| Process::new(Everything::declare, KeySelector::new(key)))
        .keyed_by(key)
        .unordered()
        .feed([
            event(value("a", 1), 1),
            event(value("a", 5), 2),
            event(value("b", 1), 3),
            watermark(10),
            event(value("a", 5), 4),
            watermark(12),
            processing_time(60),
            event(value("c", 1), 20),
            processing_time(100),
            watermark(20),
            end(),
        ])
        .expect_rows([
            ("a 1 after None".to_owned(), 1),
            ("a 5 after Some(1)".to_owned(), 2),
            ("b 1 after None".to_owned(), 3),
            ("a 5 after Some(5)".to_owned(), 4),
            ("a EventTime [1, 5, 5] {1: 1, 5: 2} Some(11) Some(3)".to_owned(), 11),
            ("c 1 after None".to_owned(), 20),
            ("a ProcessingTime [1, 5, 5] {1: 1, 5: 2} Some(11) Some(3)".to_owned(), 100),
            ("b ProcessingTime [1] {1: 1} Some(1) Some(1)".to_owned(), 100),
            ("b EventTime [1] {1: 1} Some(1) Some(1)".to_owned(), 13),
            ("c EventTime [1] {1: 1} Some(1) Some(1)".to_owned(), 30),
        ]);
}

#[test]
fn an_idleness_of_zero_is_none() {
    let strategy = || {
        let strategy = WatermarkStrategy::monotonous().with_idleness(Duration::ZERO);
        AssignWatermarks::new(strategy.with_timestamps(|word: &Word| word.1))
    };
    let record = ("a".to_owned(), 10);
    Rig::new(strategy)
        .single_records()
        .feed([event(record.clone(), 0), processing_time(3_600_000), end()])
        .expect([row(record, 10), out_watermark(9), out_watermark(MAX_TIME)]);
}

// Flink's BoundedOutOfOrdernessWatermarksTest, WatermarksWithIdlenessTest; TimestampsAndWatermarksOperator
// hands the record on first.
#[test]
fn watermarks_follow_the_highest_time_and_silence_is_idleness() {
    let strategy = || {
        let strategy = WatermarkStrategy::bounded_out_of_orderness(ms(3)).with_idleness(ms(1000));
        AssignWatermarks::new(strategy.with_timestamps(|word: &Word| word.1))
    };
    let at = |time| ("a".to_owned(), time);
    Rig::new(strategy)
        .single_records()
        .feed([
            event(at(10), 0),
            event(at(8), 0),
            watermark(1000),
            event(at(15), 0),
            processing_time(5000),
            event(at(16), 0),
            end(),
        ])
        .expect([
            row(at(10), 10),
            out_watermark(6),
            row(at(8), 8),
            row(at(15), 15),
            out_watermark(11),
            out_watermark(WatermarkEvent::Idle),
            row(at(16), 16),
            out_watermark(WatermarkEvent::Active),
            out_watermark(12),
            out_watermark(MAX_TIME),
        ]);
}

#[test]
fn stateless_operators_keep_time_and_order() {
    let twice = || FlatMap::new(Arc::new(|number: i64| vec![number; 2]));
    Rig::new(twice)
        .any_subtask()
        .feed([event(1, 10), event(2, 20), watermark(20), idle(), end()])
        .expect_rows([(1, 10), (1, 10), (2, 20), (2, 20)]);
    let look = || Inspect::new(Arc::new(|_: &i64, _: Time| {}));
    Rig::new(look).any_subtask().feed([event(1, 10), event(2, 20), end()]).expect_rows([(1, 10), (2, 20)]);
}

#[test]
fn folding_gives_single_records_as_they_are() {
    let fold =
        || FoldBatch::new(Arc::new(key), Arc::new(|left: &mut Word, right: Word| left.1 += right.1), ms(10));
    let feed = || vec![event(word("a"), 1), event(word("a"), 2), event(word("b"), 2), event(word("a"), 12)];
    Rig::new(fold).single_records().feed(feed()).expect_rows([
        (word("a"), 1),
        (word("a"), 2),
        (word("b"), 2),
        (word("a"), 12),
    ]);
    let failure = Rig::new(fold).feed(feed()).run().unwrap_err().to_string();
    assert!(failure.contains("batches of 2"), "a batch is folded: {failure}");
}

#[derive(Clone, Copy)]
struct Numbers;

impl Decoder<i64> for Numbers {
    fn decode(&mut self, batch: &RawBatch, _: Time, rows: &mut Rows<i64>, refused: &mut Refused<'_>) {
        for message in batch.iter() {
            match std::str::from_utf8(message.bytes).map(str::parse) {
                Ok(Ok(number)) => rows.push(number, message.time),
                _ => refused.push(message, "no number"),
            }
        }
    }

    fn fresh(&self) -> Box<dyn Decoder<i64>> {
        Box::new(*self)
    }
}

#[test]
fn what_cannot_be_decoded_is_a_dead_letter() {
    let mut batch = RawBatch::new("topic-0".into());
    batch.push(b"7", 0, 70);
    batch.push(b"x", 1, 71);
    batch.push(b"8", 2, 72);
    let tag = SideTag::new(DEAD_LETTERS);
    let outcome = Rig::new(|| Decode::new("clicks", Box::new(Numbers)))
        .any_subtask()
        .side(&tag)
        .feed([Feed::<_, ()>::First(batch, 0), end()])
        .expect_rows([(7, 70), (8, 72)]);
    let letters: Vec<millstream_stage::dead_letter::DeadLetter> = outcome.side(&tag);
    assert_eq!((letters[0].raw.as_slice(), letters[0].position, letters.len()), (b"x".as_slice(), 1, 1));
}

#[test]
fn a_dead_letter_of_a_value_holds_its_bytes() {
    let outcome = Rig::new(|| DeadLetters::<Word>::new("late", "too late"))
        .any_subtask()
        .feed([event(word("a"), 5), end()]);
    let letters = outcome.run().unwrap().records();
    assert_eq!(from_bytes::<Word>(&letters[0].raw).unwrap(), word("a"));
    assert!(letters[0].reason.contains("too late"));
}
