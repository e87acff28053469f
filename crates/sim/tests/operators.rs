//! Every operator of the core through the rig. Where a rule is Flink's, the test names the class that it follows.

use std::sync::Arc;
use std::time::Duration;

use millstream_core::operator::SideTag;
use millstream_core::operators::{
    AssignWatermarks, Either, Filter, FlatMap, FoldBatch, Inspect, KeyedCoProcess, KeyedProcess, Map,
    Process, ProcessTwo, WatermarkStrategy,
};
use millstream_core::state::{
    AggregatingState, KeyedContext, ListState, MapState, ReducingState, States, Timer, TimerKind, ValueState,
};
use millstream_core::time::Time;
use millstream_core::window::operator::WindowSpec;
use millstream_core::window::{
    Count, CountTrigger, EventTimeTrigger, Global, ProcessingTimeTrigger, Purging, Session, SessionOperator,
    Sliding, Trigger, Tumbling, WindowOperator,
};
use millstream_core::{Operator, Result};
use millstream_sim::rig::{Rig, end, event, mark, processing_time, row, second, watermark};

/// User and number.
type Click = (String, i64);
/// User, start of the window, count.
type Counted = (String, i64, u64);

fn click(user: &str, number: i64) -> Click {
    (user.to_owned(), number)
}

fn counted(user: &str, start: i64, count: u64) -> Counted {
    (user.to_owned(), start, count)
}

fn user(click: &Click) -> String {
    click.0.clone()
}

#[test]
fn filter_keeps_order_and_times() {
    Rig::new(|| Filter::new(Arc::new(|click: &Click| click.1 % 2 == 0)))
        .feed([
            event(click("a", 1), 1),
            event(click("a", 2), 5),
            watermark(3),
            event(click("b", 4), 4),
            end(),
        ])
        .expect([row(click("a", 2), 5), mark(3), row(click("b", 4), 4), mark(i64::MAX)]);
}

#[test]
fn map_and_flat_map_keep_times() {
    Rig::new(|| Map::new(Arc::new(|click: Click| click.1 * 10)))
        .feed([event(click("a", 1), 7), end()])
        .expect([row(10, 7), mark(i64::MAX)]);
    Rig::new(|| FlatMap::new(Arc::new(|click: Click| vec![click.1; click.1 as usize])))
        .feed([event(click("a", 0), 1), event(click("a", 2), 7), end()])
        .expect([row(2, 7), row(2, 7), mark(i64::MAX)]);
}

#[test]
fn inspect_changes_nothing() {
    Rig::new(|| Inspect::new(Arc::new(|_: &Click, _: Time| {})))
        .feed([event(click("a", 1), 7), watermark(7), end()])
        .expect([row(click("a", 1), 7), mark(7), mark(i64::MAX)]);
}

#[test]
fn folding_leaves_the_sum_as_it_is() {
    let fold =
        || FoldBatch::new(Arc::new(user), Arc::new(|sum: &mut Click, click: Click| sum.1 += click.1), 1000);
    let rig = Rig::new(fold).single_records();
    let feed = [event(click("a", 1), 1), event(click("b", 2), 2), event(click("a", 3), 3), end()];
    rig.feed(feed).expect([
        row(click("a", 1), 1),
        row(click("b", 2), 2),
        row(click("a", 3), 3),
        mark(i64::MAX),
    ]);
}

#[test]
fn bounded_disorder_as_flinks_bounded_out_of_orderness_watermarks() {
    let strategy = || {
        WatermarkStrategy::bounded_out_of_orderness(Duration::from_millis(10))
            .with_timestamps(|click: &Click| click.1)
            .without_idleness()
            .with_tolerance(Duration::from_secs(3600))
    };
    // The watermark is the highest time seen, less the bound, less one; an older record moves nothing.
    Rig::new(move || AssignWatermarks::new(strategy()))
        .single_records()
        .feed([event(click("a", 100), 0), event(click("a", 90), 0), event(click("a", 120), 0), end()])
        .expect([
            row(click("a", 100), 100),
            mark(89),
            row(click("a", 90), 90),
            row(click("a", 120), 120),
            mark(109),
            mark(i64::MAX),
        ]);
}

fn spec<W, G: Trigger>(
    assigner: W,
    trigger: G,
    lateness: Time,
) -> WindowSpec<
    Click,
    fn(&Click) -> String,
    W,
    G,
    Count,
    impl millstream_core::window::WindowFunction<String, u64, Counted>,
> {
    WindowSpec {
        key: Arc::new(user as fn(&Click) -> String),
        assigner,
        trigger,
        aggregate: Count,
        function: Arc::new(
            |user: &String, window: &millstream_core::window::Window, count, out: &mut Vec<Counted>| {
                out.push((user.clone(), window.start, count));
            },
        ),
        allowed_lateness: lateness,
        late: SideTag::new("late"),
    }
}

fn windows<O: Operator<In = Click, Out = Counted>>(
    make: impl Fn() -> O + 'static,
) -> Rig<Click, (), Counted> {
    Rig::new(make).keyed_by(user).side(&SideTag::<Click>::new("late")).unordered()
}

#[test]
fn a_window_fires_when_the_watermark_reaches_its_last_millisecond_as_flinks_event_time_trigger() {
    let make = || WindowOperator::new(spec(Tumbling::of(Duration::from_millis(10)), EventTimeTrigger, 0));
    windows(make)
        .feed([
            event(click("a", 0), 1),
            event(click("b", 0), 9),
            event(click("a", 0), 10),
            watermark(8),
            event(click("a", 0), 2),
            watermark(9),
            end(),
        ])
        .expect([
            mark(8),
            row(counted("a", 0, 2), 9),
            row(counted("b", 0, 1), 9),
            mark(9),
            row(counted("a", 10, 1), 19),
            mark(i64::MAX),
        ]);
}

#[test]
fn lateness_as_flinks_window_operator() {
    let make = || WindowOperator::new(spec(Tumbling::of(Duration::from_millis(10)), EventTimeTrigger, 5));
    let outcome = windows(make)
        .feed([
            event(click("a", 0), 1),
            watermark(9),
            // Late but allowed: fires again at once, one firing per record.
            event(click("a", 1), 2),
            event(click("a", 2), 3),
            // maxTimestamp + allowedLateness <= watermark: too late.
            watermark(14),
            event(click("a", 3), 4),
            end(),
        ])
        .expect([
            row(counted("a", 0, 1), 9),
            mark(9),
            row(counted("a", 0, 2), 9),
            row(counted("a", 0, 3), 9),
            mark(14),
            mark(i64::MAX),
        ]);
    assert_eq!(outcome.side(&SideTag::<Click>::new("late")), [click("a", 3)]);
}

#[test]
fn sliding_windows_with_negative_times() {
    let sliding = Sliding::of(Duration::from_millis(10), Duration::from_millis(5));
    windows(move || WindowOperator::new(spec(sliding, EventTimeTrigger, 0)))
        .feed([event(click("a", 0), -1), event(click("a", 0), 1), watermark(4), end()])
        .expect([
            row(counted("a", -10, 1), -1),
            row(counted("a", -5, 2), 4),
            mark(4),
            row(counted("a", 0, 1), 9),
            mark(i64::MAX),
        ]);
}

#[test]
fn count_trigger_on_a_global_window_as_flinks_count_trigger() {
    let make = || WindowOperator::new(spec(Global, Purging(CountTrigger::of(2)), 0));
    windows(make)
        .feed([
            event(click("a", 0), 1),
            event(click("b", 0), 1),
            event(click("a", 0), 2),
            event(click("a", 0), 3),
            end(),
        ])
        .expect([row(counted("a", i64::MIN, 2), i64::MAX), mark(i64::MAX)]);
}

#[test]
fn processing_time_windows_fire_by_the_clock() {
    let size = Duration::from_millis(10);
    let make =
        move || WindowOperator::new(spec(Tumbling::of_processing_time(size), ProcessingTimeTrigger, 0));
    windows(make)
        .feed([
            processing_time(1000),
            event(click("a", 0), 1),
            event(click("a", 0), 1),
            processing_time(1009),
            end(),
        ])
        .expect([row(counted("a", 1000, 2), 1009), mark(i64::MAX)]);
}

#[test]
fn touching_sessions_merge_as_flinks_time_window_intersects() {
    let make =
        || SessionOperator::new(spec(Session::with_gap(Duration::from_millis(10)), EventTimeTrigger, 0));
    windows(make)
        .feed([
            event(click("a", 0), 0),
            event(click("a", 0), 20),
            event(click("b", 0), 3),
            // Ends where the second begins, begins where the first ends: all three are one.
            event(click("a", 0), 10),
            watermark(29),
            event(click("a", 0), 31),
            end(),
        ])
        .expect([
            row(counted("a", 0, 3), 29),
            row(counted("b", 3, 1), 12),
            mark(29),
            row(counted("a", 31, 1), 40),
            mark(i64::MAX),
        ]);
}

#[test]
fn late_sessions_go_to_the_side_output() {
    let make =
        || SessionOperator::new(spec(Session::with_gap(Duration::from_millis(10)), EventTimeTrigger, 0));
    let outcome = windows(make)
        .feed([event(click("a", 0), 0), watermark(50), event(click("a", 1), 5), end()])
        .expect([row(counted("a", 0, 1), 9), mark(50), mark(i64::MAX)]);
    assert_eq!(outcome.side(&SideTag::<Click>::new("late")), [click("a", 1)]);
}

/// One of each kind of state, and both kinds of timers.
#[derive(Clone, Default)]
struct Everything {
    states: Option<Handles>,
}

#[derive(Clone)]
struct Handles {
    last: ValueState<i64>,
    all: ListState<i64>,
    seen: MapState<i64, u64>,
    sum: ReducingState<i64>,
    count: AggregatingState<i64, Count>,
}

impl Everything {
    fn handles(&self) -> Handles {
        self.states.clone().expect("opened first")
    }
}

impl KeyedProcess for Everything {
    type Key = String;
    type In = Click;
    type Out = (String, Vec<i64>);

    fn open(&mut self, states: &mut States) -> Result<()> {
        self.states = Some(Handles {
            last: states.value("last")?,
            all: states.list("all")?,
            seen: states.map("seen")?,
            sum: states.reducing("sum", |a: i64, b| a + b)?,
            count: states.aggregating("count", Count)?,
        });
        Ok(())
    }

    fn process(&mut self, (_, number): Click, cx: &mut KeyedContext<'_, String, Self::Out>) -> Result<()> {
        let Handles { last, all, seen, sum, count } = self.handles();
        if let Some(last) = last.get(cx).copied() {
            cx.delete_timer(TimerKind::EventTime, last + 100);
        }
        last.set(cx, number);
        all.get(cx).push(number);
        *seen.get(cx).entry(number).or_default() += 1;
        sum.add(cx, number);
        count.add(cx, &number);
        cx.register_timer(TimerKind::EventTime, number + 100);
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer, cx: &mut KeyedContext<'_, String, Self::Out>) -> Result<()> {
        let Handles { last, all, seen, sum, count } = self.handles();
        let mut told = vec![timer.time, last.take(cx).unwrap_or(-1), seen.get(cx).len() as i64];
        told.extend([sum.get(cx).copied().unwrap_or(-1), count.get(cx).map_or(-1, |count| count as i64)]);
        told.extend(all.get(cx).iter());
        let key = cx.key().clone();
        cx.collect((key, told));
        all.get(cx).clear();
        seen.get(cx).clear();
        sum.clear(cx);
        count.clear(cx);
        Ok(())
    }
}

#[test]
fn every_kind_of_state_and_timers_that_are_moved() {
    Rig::new(|| Process::new(Everything::default(), Arc::new(user)))
        .keyed_by(user)
        .unordered()
        .feed([
            event(click("a", 1), 1),
            event(click("b", 5), 5),
            event(click("a", 2), 2),
            event(click("a", 2), 2),
            watermark(101),
            watermark(110),
            end(),
        ])
        .expect([
            mark(101),
            row(("a".to_owned(), vec![102, 2, 2, 5, 3, 1, 2, 2]), 102),
            row(("b".to_owned(), vec![105, 5, 1, 5, 1, 5]), 105),
            mark(110),
            mark(i64::MAX),
        ]);
}

/// Pairs an order with its payment; an unpaid order is told after a minute by the clock.
#[derive(Clone, Default)]
struct Pay(Option<ValueState<i64>>);

impl KeyedCoProcess for Pay {
    type Key = String;
    type First = Click;
    type Second = Click;
    type Out = Click;

    fn open(&mut self, states: &mut States) -> Result<()> {
        self.0 = Some(states.value("order")?);
        Ok(())
    }

    fn first(&mut self, order: Click, cx: &mut KeyedContext<'_, String, Click>) -> Result<()> {
        let due = cx.processing_time() + 60_000;
        cx.register_timer(TimerKind::ProcessingTime, due);
        self.0.as_ref().expect("opened first").set(cx, order.1);
        Ok(())
    }

    fn second(&mut self, paid: Click, cx: &mut KeyedContext<'_, String, Click>) -> Result<()> {
        if let Some(order) = self.0.as_ref().expect("opened first").take(cx) {
            cx.collect((paid.0, paid.1 - order));
        }
        Ok(())
    }

    fn on_timer(&mut self, _: Timer, cx: &mut KeyedContext<'_, String, Click>) -> Result<()> {
        if self.0.as_ref().expect("opened first").take(cx).is_some() {
            let unpaid = (cx.key().clone(), -1);
            cx.collect(unpaid);
        }
        Ok(())
    }
}

#[test]
fn two_inputs_share_state_and_processing_time_timers() {
    let key = |click: &Either<Click, Click>| match click {
        Either::First(click) | Either::Second(click) => click.0.clone(),
    };
    Rig::with_two_inputs(move || Process::new(ProcessTwo(Pay::default()), Arc::new(key)))
        .keyed_by(user)
        .second_keyed_by(user)
        .unordered()
        .feed([
            processing_time(1000),
            event(click("a", 5), 1),
            event(click("b", 6), 2),
            second(click("a", 9), 3),
            processing_time(61_000),
            end(),
        ])
        .expect_records([click("a", 4), click("b", -1)]);
}
