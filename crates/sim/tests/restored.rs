#![allow(clippy::unwrap_used, reason = "a test's own functions")]
//! What must be known again right after a restore, and what is done before anything new.

use std::sync::Arc;
use std::time::Duration;

use millstream_operators::KeySelector;
use millstream_operators::operators::{AssignWatermarks, KeyedProcessFunction, Process, WatermarkStrategy};
use millstream_operators::state::{KeyedContext, Timer, TimerKind};
use millstream_operators::window::WindowSpec;
use millstream_operators::window::{Count, ProcessingTimeTrigger, Session, SessionOperator, Window};
use millstream_record::{Key, Result};
use millstream_sim::rig::{Rig, end, event, out_watermark, row, watermark};
use millstream_sim::{Harness, MemoryCold, Simulated};
use millstream_stage::operator::SplitChange;
use millstream_stage::snapshot::{Frozen, Restored, StageSnapshot};
use millstream_stage::step::Step;
use millstream_stage::time::Time;
use millstream_stage::{Budget, Context, Operator, Output, Rows, WatermarkEvent};

/// Says where the watermark stands; its timers in processing time are asked for by the record.
struct Tell;

impl KeyedProcessFunction for Tell {
    type Key = String;
    type In = (String, Time);
    type Out = (String, Time);

    fn process(&mut self, (key, at): Self::In, cx: &mut KeyedContext<'_, String, Self::Out>) -> Result<()> {
        cx.register_timer(TimerKind::ProcessingTime, at);
        let watermark = cx.watermark();
        cx.collect((key, watermark));
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer, cx: &mut KeyedContext<'_, String, Self::Out>) -> Result<()> {
        let key = cx.key().clone();
        cx.collect((key, timer.time));
        Ok(())
    }
}

fn telling() -> Process<Tell> {
    Process::new(|_| Ok(Tell), KeySelector::new(|record: &(String, Time)| record.0.clone()))
}

// In the modes in which watermarks come late after a restore, only the state can know it.
#[test]
fn a_keyed_function_knows_the_watermark_of_its_key_group() {
    let ask = |key: &str| (key.to_owned(), Time::MAX);
    Rig::new(telling)
        .keyed_by(|record: &(String, Time)| record.0.clone())
        .feed([
            event(ask("a"), 1),
            watermark(10),
            event(ask("a"), 11),
            event(ask("b"), 12),
            watermark(20),
            event(ask("b"), 21),
            end(),
        ])
        .expect([
            row(("a".to_owned(), Time::MIN), 1),
            out_watermark(10),
            row(("a".to_owned(), 10), 11),
            row(("b".to_owned(), 10), 12),
            out_watermark(20),
            row(("b".to_owned(), 20), 21),
            out_watermark(Time::MAX),
        ]);
}

fn keyed<V>(pairs: impl IntoIterator<Item = (&'static str, V)>) -> Rows<(String, V)> {
    let mut rows = Rows::default();
    for (key, value) in pairs {
        rows.hash.push(key.to_owned().key_hash());
        rows.push((key.to_owned(), value), 0);
    }
    rows
}

fn harness(now: Time, restored: Restored, cold: bool) -> Harness {
    let harness = Harness::new(Arc::new(Simulated::new(0, now))).restored(restored);
    if cold { harness.backend(Arc::new(MemoryCold::new(0))) } else { harness }
}

fn snapshot(operator: &mut impl Operator) -> Restored {
    let (mut frozen, mut snapshot) = (Frozen::default(), StageSnapshot::default());
    operator.snapshot(1, &mut frozen).unwrap();
    snapshot.add(frozen).unwrap();
    snapshot.share(0, 1, &(0..128))
}

/// Resumes with a budget of one until nothing more is wanted; what came in each slice.
fn slices<O: Operator>(harness: &Harness, operator: &mut O) -> Vec<Vec<O::Out>> {
    let (mut out, mut slices) = (Output::default(), Vec::new());
    loop {
        let step = harness.call(|cx| operator.resume(cx, Budget { records: 1 }, &mut out)).unwrap();
        slices.push(std::mem::take(&mut out.rows).rec);
        if step.is_complete() {
            return slices;
        }
    }
}

#[test]
fn overdue_timers_fire_at_once_by_time_and_key_in_slices() {
    for cold in [false, true] {
        let mut before = telling();
        let world = harness(0, Restored::default(), cold);
        before.open("tell", &mut world.open_context()).unwrap();
        let mut rows = keyed([("c", 20), ("b", 10), ("z", 5000), ("a", 20), ("d", 10)]);
        world.call(|cx| before.rows(cx, &mut rows, &mut Output::default())).unwrap();
        let world = harness(1000, snapshot(&mut before), !cold);
        let mut after = telling();
        after.open("tell", &mut world.open_context()).unwrap();
        let fired: Vec<_> = slices(&world, &mut after).concat();
        let expected = [("b", 10), ("d", 10), ("a", 20), ("c", 20)];
        assert_eq!(fired, expected.map(|(key, time)| (key.to_owned(), time)));
        let step = world.call(|cx| after.resume(cx, Budget::default(), &mut Output::default())).unwrap();
        assert_eq!(step, Step::wake_at(5000), "the one that is not due yet");
    }
}

#[test]
fn overdue_sessions_fire_at_once_by_time_and_key_in_slices() {
    let session = || {
        let key = KeySelector::new(|record: &(String, u64)| record.0.clone());
        let sessions = Session::with_gap_of_processing_time(Duration::from_millis(10));
        let counted = Arc::new(|key: &String, _: &Window, count: u64, out: &mut Vec<(String, u64)>| {
            out.push((key.clone(), count));
        });
        SessionOperator::new(WindowSpec::new(key, sessions, ProcessingTimeTrigger, Count, counted))
    };
    for cold in [false, true] {
        let mut before = session();
        let world = harness(0, Restored::default(), cold);
        before.open("sessions", &mut world.open_context()).unwrap();
        let mut rows = keyed([("c", 0), ("a", 0), ("b", 0), ("a", 0)]);
        world.call(|cx| before.rows(cx, &mut rows, &mut Output::default())).unwrap();
        let world = harness(1000, snapshot(&mut before), !cold);
        let mut after = session();
        after.open("sessions", &mut world.open_context()).unwrap();
        let slices = slices(&world, &mut after);
        assert!(slices.iter().all(|slice| slice.len() <= 1), "in slices");
        assert_eq!(slices.concat(), [("a", 2), ("b", 1), ("c", 1)].map(|(key, n)| (key.to_owned(), n)));
    }
}

fn times(times: &[Time]) -> Rows<Time> {
    let mut rows = Rows::default();
    times.iter().for_each(|time| rows.push(*time, *time));
    rows
}

#[test]
fn a_split_keeps_its_highest_time_and_its_idleness() {
    let strategy = || {
        let strategy = WatermarkStrategy::bounded_out_of_orderness(Duration::from_millis(5));
        AssignWatermarks::new(strategy.with_idleness(Duration::from_millis(40)))
    };
    let (fast, silent): (Arc<str>, Arc<str>) = ("fast".into(), "silent".into());
    let added = [SplitChange::Added(fast.clone()), SplitChange::Added(silent.clone()), SplitChange::Assigned];
    let world = Arc::new(Simulated::new(0, 0));
    let first = Harness::new(Arc::clone(&world) as Arc<_>);
    let (mut before, mut out) = (strategy(), Output::default());
    before.open("time", &mut first.open_context()).unwrap();
    first.call(|cx| added.iter().try_for_each(|change| before.split(cx, change))).unwrap();
    for now in (0..=60).step_by(10) {
        world.virtual_clock().set(now);
        first
            .call(|cx| {
                before.resume(cx, Budget::default(), &mut out)?;
                cx.split = Some(fast.clone());
                before.rows(cx, &mut times(&[100 + now]), &mut out)
            })
            .unwrap();
    }
    assert_eq!(out.watermarks.back(), Some(&WatermarkEvent::Watermark(154)), "the silent one is idle");

    let second = harness(60, snapshot(&mut before), false);
    let (mut after, mut out) = (strategy(), Output::default());
    after.open("time", &mut second.open_context()).unwrap();
    second.call(|cx| added.iter().try_for_each(|change| after.split(cx, change))).unwrap();
    second.call(|cx| after.resume(cx, Budget::default(), &mut out)).unwrap();
    assert_eq!(
        out.watermarks,
        [WatermarkEvent::Watermark(154)],
        "at once: neither starts anew, and the silent one is idle still"
    );
    second
        .call(|cx| {
            cx.split = Some(fast.clone());
            after.rows(cx, &mut times(&[120]), &mut out)
        })
        .unwrap();
    assert_eq!(out.watermarks.len(), 1, "an older record does not move it");
}

#[test]
fn the_silence_of_a_split_that_lags_behind_does_not_count() {
    let strategy = WatermarkStrategy::bounded_out_of_orderness(Duration::ZERO);
    let mut operator = AssignWatermarks::new(strategy.with_idleness(Duration::from_millis(40)));
    let (fast, slow): (Arc<str>, Arc<str>) = ("fast".into(), "slow".into());
    let world = Arc::new(Simulated::new(0, 0));
    let harness = Harness::new(Arc::clone(&world) as Arc<_>);
    operator.open("time", &mut harness.open_context()).unwrap();
    let tell = |operator: &mut AssignWatermarks<Time>, change| {
        harness.call(|cx| operator.split(cx, &change)).unwrap();
    };
    tell(&mut operator, SplitChange::Added(fast.clone()));
    tell(&mut operator, SplitChange::Added(slow.clone()));
    tell(&mut operator, SplitChange::Behind(slow.clone()));
    let marks_until = |operator: &mut AssignWatermarks<Time>, end: Time| {
        let mut out = Output::default();
        for now in (end - 100..=end).step_by(10) {
            world.virtual_clock().set(now);
            let step = |cx: &mut Context<'_>| {
                operator.resume(cx, Budget::default(), &mut out)?;
                cx.split = Some(fast.clone());
                operator.rows(cx, &mut times(&[now]), &mut out)
            };
            harness.call(step).unwrap();
        }
        out.watermarks
    };
    assert_eq!(marks_until(&mut operator, 200), [], "it is waited for");
    tell(&mut operator, SplitChange::AtEnd(slow));
    assert_eq!(
        marks_until(&mut operator, 300).back(),
        Some(&WatermarkEvent::Watermark(299)),
        "now it is idle"
    );
}

// However long a silence may last: there is nothing to wait for.
#[test]
fn a_split_that_is_empty_holds_nobody_up() {
    let strategy = WatermarkStrategy::bounded_out_of_orderness(Duration::ZERO);
    let mut operator = AssignWatermarks::new(strategy.with_idleness(Duration::from_secs(3_600)));
    let (full, empty): (Arc<str>, Arc<str>) = ("full".into(), "empty".into());
    let world = Arc::new(Simulated::new(0, 0));
    let harness = Harness::new(Arc::clone(&world) as Arc<_>);
    operator.open("time", &mut harness.open_context()).unwrap();
    let tell = |operator: &mut AssignWatermarks<Time>, change| {
        harness.call(|cx| operator.split(cx, &change)).unwrap();
    };
    for split in [&full, &empty] {
        tell(&mut operator, SplitChange::Added(Arc::clone(split)));
        tell(&mut operator, SplitChange::Behind(Arc::clone(split)));
    }
    let mut out = Output::default();
    let mut read = |operator: &mut AssignWatermarks<Time>, split: &Arc<str>, time| {
        let step = |cx: &mut Context<'_>| {
            cx.split = Some(Arc::clone(split));
            operator.rows(cx, &mut times(&[time]), &mut out)
        };
        harness.call(step).unwrap();
        std::mem::take(&mut out.watermarks)
    };
    assert_eq!(read(&mut operator, &full, 100), [], "nobody has looked into the other one yet");
    tell(&mut operator, SplitChange::AtEnd(Arc::clone(&full)));
    tell(&mut operator, SplitChange::AtEnd(Arc::clone(&empty)));
    assert_eq!(read(&mut operator, &full, 200), [WatermarkEvent::Watermark(199)]);
    assert_eq!(read(&mut operator, &empty, 250), [], "it is waited for again once it has spoken");
    world.virtual_clock().set(999);
    assert_eq!(read(&mut operator, &full, 300), [], "what was written at the same time may be on its way");
    world.virtual_clock().set(1_000);
    assert_eq!(read(&mut operator, &full, 301), [WatermarkEvent::Watermark(249)]);
}

// A recording is sent to a topic that was empty: its splits speak one after the other, far apart in event
// time.
#[test]
fn the_first_records_of_splits_that_were_empty_wait_for_each_other() {
    let strategy = WatermarkStrategy::bounded_out_of_orderness(Duration::ZERO);
    let mut operator = AssignWatermarks::new(strategy);
    let world = Arc::new(Simulated::new(0, 0));
    let harness = Harness::new(Arc::clone(&world) as Arc<_>);
    operator.open("time", &mut harness.open_context()).unwrap();
    let splits: [Arc<str>; 2] = ["a".into(), "b".into()];
    for split in &splits {
        for change in [SplitChange::Added(Arc::clone(split)), SplitChange::AtEnd(Arc::clone(split))] {
            harness.call(|cx| operator.split(cx, &change)).unwrap();
        }
    }
    let at = (&harness, &*world);
    assert_eq!(
        read_at(at, &mut operator, &splits[0], (5_000, 9_000)),
        [WatermarkEvent::Idle, WatermarkEvent::Active]
    );
    assert_eq!(read_at(at, &mut operator, &splits[1], (5_500, 100)), [], "it is not late");
    assert_eq!(read_at(at, &mut operator, &splits[0], (6_200, 9_001)), []);
    assert_eq!(read_at(at, &mut operator, &splits[0], (6_500, 9_002)), [WatermarkEvent::Watermark(99)]);
}

/// Reads one time of a split, at a time of the wall clock; the watermarks that come out.
fn read_at(
    (harness, world): (&Harness, &Simulated),
    operator: &mut AssignWatermarks<Time>,
    split: &Arc<str>,
    (now, time): (Time, Time),
) -> Vec<WatermarkEvent> {
    world.virtual_clock().set(now);
    let mut out = Output::default();
    let step = |cx: &mut Context<'_>| {
        operator.resume(cx, Budget::default(), &mut out)?;
        cx.split = Some(Arc::clone(split));
        operator.rows(cx, &mut times(&[time]), &mut out)
    };
    harness.call(step).unwrap();
    out.watermarks.into()
}

// One clock that is ahead must neither move event time nor hold up the others, nor may a silence let it in.
#[test]
fn a_split_whose_only_events_are_ahead_of_the_clock_is_as_good_as_silent() {
    const HOUR: Time = 3_600_000;
    let strategy = WatermarkStrategy::bounded_out_of_orderness(Duration::ZERO);
    let mut operator = AssignWatermarks::new(strategy.with_idleness(Duration::from_millis(40)));
    let (honest, phone): (Arc<str>, Arc<str>) = ("honest".into(), "phone".into());
    let world = Arc::new(Simulated::new(0, 0));
    let harness = Harness::new(Arc::clone(&world) as Arc<_>);
    operator.open("time", &mut harness.open_context()).unwrap();
    for split in [&honest, &phone] {
        let added = SplitChange::Added(Arc::clone(split));
        harness.call(|cx| operator.split(cx, &added)).unwrap();
    }
    let mut watermarks = Vec::new();
    for now in (10..=100).step_by(10) {
        watermarks.extend(read_at((&harness, &world), &mut operator, &phone, (now, 8 * HOUR)));
        watermarks.extend(read_at((&harness, &world), &mut operator, &honest, (now, now)));
    }
    assert_eq!(
        watermarks.last(),
        Some(&WatermarkEvent::Watermark(99)),
        "only the honest one moves it: {watermarks:?}"
    );
    assert!(
        !watermarks
            .iter()
            .any(|watermark| matches!(watermark, WatermarkEvent::Watermark(time) if *time >= HOUR)),
        "{watermarks:?}"
    );
    for now in (110..=300).step_by(10) {
        world.virtual_clock().set(now);
        let mut out = Output::default();
        harness.call(|cx| operator.resume(cx, Budget::default(), &mut out)).unwrap();
        assert!(
            !out.watermarks.contains(&WatermarkEvent::Watermark(8 * HOUR - 1)),
            "a silence lets no wrong clock in"
        );
    }
}

#[test]
fn a_restored_time_that_is_ahead_of_the_clock_is_not_believed() {
    const HOUR: Time = 3_600_000;
    let operator = || AssignWatermarks::new(WatermarkStrategy::bounded_out_of_orderness(Duration::ZERO));
    let split: Arc<str> = "clicks-0".into();
    let world = Arc::new(Simulated::new(0, 9 * HOUR));
    let before = Harness::new(Arc::clone(&world) as Arc<_>);
    let mut first = operator();
    first.open("time", &mut before.open_context()).unwrap();
    let watermarks = read_at((&before, &world), &mut first, &split, (9 * HOUR, 9 * HOUR));
    assert_eq!(watermarks, [WatermarkEvent::Watermark(9 * HOUR - 1)]);

    // This host's clock is eight hours behind that of the one before.
    let after = harness(HOUR, snapshot(&mut first), false);
    let mut second = operator();
    second.open("time", &mut after.open_context()).unwrap();
    let mut out = Output::default();
    let step = |cx: &mut Context<'_>| {
        cx.split = Some(Arc::clone(&split));
        second.rows(cx, &mut times(&[HOUR]), &mut out)
    };
    after.call(step).unwrap();
    assert_eq!(out.watermarks, [WatermarkEvent::Watermark(HOUR - 1)], "its own events say what time it is");
}
