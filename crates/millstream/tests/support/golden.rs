//! The jobs of the golden savepoints: one for each kind of operator, with every type of field in its state.
//!
//! What is here is a promise: a job of this form, written by any version from 0.1 on, is restored by all
//! later ones. So names and types of states stay; whatever else a later version wants to show gets a job of
//! its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use millstream::plan::Plan;
use millstream::prelude::*;
use millstream::source::Source;
use millstream::state::{AggregatingState, ListState, MapState, ReducingState, ValueState};

/// The jobs by name.
pub(crate) const JOBS: [&str; 5] = ["tumbling", "sliding", "session", "triggered", "process"];

/// Splits of the input.
pub(crate) const SPLITS: usize = 3;

/// Of each split, what was read before the savepoint.
pub(crate) const BEFORE: usize = 70;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
enum Kind {
    View,
    Cart,
    Buy,
}

#[derive(Clone, Debug, PartialEq, Record)]
pub(crate) struct Event {
    user: String,
    kind: Kind,
    cents: i32,
    at: i64,
}

/// A key with parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Record, Key)]
struct Visitor {
    shop: u16,
    user: String,
}

/// Results as text: all that a version has to say again.
pub(crate) type Results = Collected<String>;

/// The whole input: 600 events of 12 users in 30 seconds.
pub(crate) fn input() -> Collection<Event> {
    let kinds = [Kind::View, Kind::View, Kind::Cart, Kind::Buy];
    let event = |n: usize| Event {
        user: format!("u{}", n * n % 12),
        kind: kinds[n % 7 % 4],
        cents: (n * 37 % 101) as i32 - 20,
        at: n as i64 * 50,
    };
    Collection::of((0..600).map(event)).in_splits(SPLITS)
}

/// A job, of a source that gives the input or a part of it.
pub(crate) fn plan(job: &str, source: impl Source<Out = Event>, parallelism: u16, results: &Results) -> Plan {
    let env = Environment::new(&format!("golden-{job}")).with_parallelism(parallelism);
    let times = WatermarkStrategy::bounded_out_of_orderness(Duration::from_secs(1));
    let events = env
        .source("events", source)
        .assign_timestamps_and_watermarks("times", times.with_timestamps(|event: &Event| event.at));
    let keyed = events
        .key_by(|event| Visitor { shop: event.cents.unsigned_abs() as u16 % 3, user: event.user.clone() });
    let show = |visitor: &Visitor, window: &Window, text: String| {
        format!("{}/{} {}..{}: {text}", visitor.shop, visitor.user, window.start, window.end)
    };
    let second = Duration::from_secs;
    let shown = match job {
        "tumbling" => keyed.window(Tumbling::of(second(5))).aggregate("summary", Summary, show),
        "sliding" => keyed.window(Sliding::of(second(10), second(5))).aggregate("summary", Summary, show),
        "session" => keyed.window(Session::with_gap(second(1))).aggregate("summary", Summary, show),
        "triggered" => {
            let every = Purging(CountTrigger::of(5));
            keyed.window(Global).trigger(every).aggregate("counts", Count, |visitor, _, count| {
                format!("{}/{}: {count}", visitor.shop, visitor.user)
            })
        }
        _ => keyed.process("states", AllStates::declare),
    };
    shown.sink_to("results", results.clone());
    env.plan().expect("the plan is right")
}

#[derive(Clone, Debug, Default, PartialEq, Record)]
struct Best {
    cents: i32,
    kind: Option<Kind>,
}

/// Every type that a field can have.
#[derive(Clone, Debug, Default, PartialEq, Record)]
struct Seen {
    count: i64,
    unsigned: u64,
    small: u8,
    total: f64,
    bought: bool,
    last: Option<Best>,
    kinds: BTreeMap<String, u32>,
    cents: Vec<i32>,
    span: (i64, i64),
    #[record(bytes)]
    marks: Vec<u8>,
}

impl Seen {
    fn add(&mut self, event: &Event) {
        self.count += 1;
        self.unsigned = self.unsigned.wrapping_sub(1);
        self.small = self.small.wrapping_add(event.cents as u8);
        self.total += f64::from(event.cents) / 4.0;
        self.bought |= event.kind == Kind::Buy;
        let best = Best { cents: event.cents, kind: Some(event.kind) };
        let better = self.last.as_ref().is_none_or(|last| (last.cents, last.kind) < (best.cents, best.kind));
        self.last = if better { Some(best) } else { self.last.take() };
        *self.kinds.entry(format!("{:?}", event.kind)).or_default() += 1;
        self.cents.push(event.cents);
        self.span = (self.span.0.min(event.at), self.span.1.max(event.at));
        self.marks.push(event.at as u8);
    }

    fn merge(&mut self, other: Self) {
        let first = self.last.take();
        let order = |best: &Best| (best.cents, best.kind);
        self.last = first.into_iter().chain(other.last).max_by_key(order);
        self.count += other.count;
        self.unsigned = self.unsigned.wrapping_add(other.unsigned);
        self.small = self.small.wrapping_add(other.small);
        self.total += other.total;
        self.bought |= other.bought;
        other.kinds.into_iter().for_each(|(kind, count)| *self.kinds.entry(kind).or_default() += count);
        self.cents.extend(other.cents);
        self.span = (self.span.0.min(other.span.0), self.span.1.max(other.span.1));
        self.marks.extend(other.marks);
    }

    // Records of three splits come in any order.
    fn show(&self) -> String {
        let mut sorted = self.clone();
        sorted.cents.sort_unstable();
        sorted.marks.sort_unstable();
        format!("{sorted:?}")
    }
}

/// Folds events into all that was seen.
#[derive(Clone)]
struct Summary;

impl AggregateFunction<Event> for Summary {
    type Acc = Seen;
    type Out = String;
    fn create(&self) -> Seen {
        Seen { span: (i64::MAX, i64::MIN), ..Seen::default() }
    }
    fn add(&self, acc: &mut Seen, event: &Event) {
        acc.add(event);
    }
    fn merge(&self, acc: &mut Seen, other: Seen) {
        acc.merge(other);
    }
    fn result(&self, acc: &Seen) -> String {
        acc.show()
    }
}

/// One state of each kind, two with a time to live, and timers of both kinds.
struct AllStates {
    value: ValueState<Best>,
    list: ListState<i64>,
    map: MapState<Kind, (i64, String)>,
    reducing: ReducingState<i64>,
    aggregating: AggregatingState<Event, Summary>,
    kept_by_event_time: ValueState<i64>,
    kept_by_the_clock: ListState<i64>,
}

/// Later than every event: the final watermark fires it.
const AT_THE_END: Time = 1_000_000;
/// The year 2100, or overdue by then: nothing depends on it.
const SOME_DAY: Time = 4_102_444_800_000;
/// Longer than the input lasts: what is kept so long is there until the final watermark.
const AN_HOUR: Duration = Duration::from_secs(3_600);
/// Longer than anybody will run this test.
const CENTURIES: Duration = Duration::from_secs(500 * 365 * 86_400);

impl AllStates {
    fn declare(states: &mut States) -> Result<Self> {
        Ok(Self {
            value: states.value("value")?,
            list: states.list("list")?,
            map: states.map("map")?,
            reducing: states.reducing("reducing", |sum: i64, cents| sum + cents)?,
            aggregating: states.aggregating("aggregating", Summary)?,
            kept_by_event_time: states.with_ttl(Ttl::event_time(AN_HOUR)).value("kept-by-event-time")?,
            kept_by_the_clock: states.with_ttl(Ttl::processing_time(CENTURIES)).list("kept-by-the-clock")?,
        })
    }
}

impl KeyedProcessFunction for AllStates {
    type Key = Visitor;
    type In = Event;
    type Out = String;

    fn process(&mut self, event: Event, cx: &mut KeyedContext<'_, Visitor, String>) -> Result<()> {
        let best = Best { cents: event.cents, kind: Some(event.kind) };
        if self.value.get(cx).is_none_or(|known| (known.cents, known.kind) < (best.cents, best.kind)) {
            self.value.set(cx, best);
        }
        self.list.add(cx, event.at);
        self.map.get_mut(cx).entry(event.kind).or_insert((0, event.user.clone())).0 += 1;
        self.reducing.add(cx, i64::from(event.cents));
        self.aggregating.add(cx, &event);
        let number = self.kept_by_event_time.get(cx).copied().unwrap_or(0) + 1;
        self.kept_by_event_time.set(cx, number);
        let text = format!("{}/{}: record {number}", cx.key().shop, cx.key().user);
        cx.collect(text);
        self.kept_by_the_clock.add(cx, event.at);
        cx.register_timer(TimerKind::EventTime, AT_THE_END);
        cx.register_timer(TimerKind::ProcessingTime, SOME_DAY);
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer, cx: &mut KeyedContext<'_, Visitor, String>) -> Result<()> {
        if timer.kind != TimerKind::EventTime {
            return Ok(());
        }
        let Visitor { shop, user } = cx.key().clone();
        let mut text = format!("{shop}/{user}: {:?}", self.value.get(cx));
        self.list.get_mut(cx).sort_unstable();
        let _ = write!(text, " {:?}", self.list.get(cx));
        let _ = write!(text, " {:?}", self.map.get(cx));
        let _ = write!(text, " {:?}", self.reducing.get(cx));
        let _ = write!(text, " {:?}", self.aggregating.get(cx));
        self.kept_by_the_clock.get_mut(cx).sort_unstable();
        let _ = write!(text, " {:?}", self.kept_by_the_clock.get(cx));
        cx.collect(text);
        Ok(())
    }
}
