#![allow(clippy::unwrap_used, reason = "a test's own functions")]
//! State with a time to live.

use std::sync::Arc;
use std::time::Duration;

use millstream_operators::KeySelector;
use millstream_operators::operators::{KeyedProcessFunction, Process};
use millstream_operators::state::{
    KeyedContext, ListState, MapState, States, Timer, TimerKind, Ttl, ValueState,
};
use millstream_record::record::from_bytes;
use millstream_record::{Key, Result};
use millstream_sim::rig::{Feed, Rig, end, event, processing_time, watermark};
use millstream_sim::{Harness, MemoryCold, Simulated};
use millstream_stage::snapshot::{Frozen, MemoryPart, RestoredKeyed, StageSnapshot};
use millstream_stage::time::Time;
use millstream_stage::{Operator, Output, Rows};

/// A key, and whether to add to its count or only to look at it.
type Ask = (String, bool);

struct Count {
    count: ValueState<u64>,
}

impl KeyedProcessFunction for Count {
    type Key = String;
    type In = Ask;
    type Out = (String, u64);

    fn process(&mut self, (key, add): Ask, cx: &mut KeyedContext<'_, String, (String, u64)>) -> Result<()> {
        let count = self.count.get(cx).copied().unwrap_or(0);
        if add {
            self.count.set(cx, count + 1);
        }
        cx.collect((key, count));
        Ok(())
    }
}

type Counting = Process<Count>;

fn counting(ttl: Ttl) -> Counting {
    Process::new(
        move |states| Ok(Count { count: states.with_ttl(ttl).value("count")? }),
        KeySelector::new(|ask: &Ask| ask.0.clone()),
    )
}

fn expect(ttl: Ttl, feed: impl IntoIterator<Item = Feed<Ask>>, counts: &[(&str, u64)]) {
    Rig::new(move || counting(ttl))
        .keyed_by(|ask: &Ask| ask.0.clone())
        .feed(feed)
        .expect_records(counts.iter().map(|(key, count)| ((*key).to_owned(), *count)));
}

fn add(key: &str, time: Time) -> Feed<Ask> {
    event((key.to_owned(), true), time)
}

fn look(key: &str, time: Time) -> Feed<Ask> {
    event((key.to_owned(), false), time)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Remembers a number and sends it when a timer, ten milliseconds later, fires.
struct Later {
    number: ValueState<i64>,
}

impl KeyedProcessFunction for Later {
    type Key = i64;
    type In = i64;
    type Out = i64;

    fn process(&mut self, number: i64, cx: &mut KeyedContext<'_, i64, i64>) -> Result<()> {
        self.number.set(cx, number);
        let time = cx.timestamp() + 10;
        cx.register_timer(TimerKind::EventTime, time);
        Ok(())
    }

    fn on_timer(&mut self, _: Timer, cx: &mut KeyedContext<'_, i64, i64>) -> Result<()> {
        let number = self.number.get(cx).copied().unwrap_or(-1);
        cx.collect(number);
        Ok(())
    }
}

// A watermark jumps by whole batches, and to the end of time at the end of the input.
#[test]
fn state_that_a_timer_reads_is_as_old_as_the_timer_however_far_the_watermark_jumps() {
    let later = |ttl: u64| {
        move || {
            let ttl = Ttl::event_time(ms(ttl));
            let make = move |states: &mut States| Ok(Later { number: states.with_ttl(ttl).value("number")? });
            Process::new(make, KeySelector::new(|number: &i64| *number))
        }
    };
    let feed = || [event(1, 0), event(2, 5), watermark(1000), event(3, 1001), event(4, 1002), end()];
    Rig::new(later(20)).keyed_by(|number: &i64| *number).feed(feed()).expect_records([1, 2, 3, 4]);
    // Ten milliseconds after it was written, the state is over when it lives for ten.
    Rig::new(later(10)).keyed_by(|number: &i64| *number).feed(feed()).expect_records([-1, -1, -1, -1]);
}

// As in Flink's TtlStateTestBase: expired when the last update and the time to live are not behind now.
#[test]
fn by_the_wall_clock_since_the_last_write() {
    let feed = [
        add("a", 0),
        processing_time(9),
        add("a", 0),
        look("a", 0),
        processing_time(18),
        look("a", 0),
        processing_time(19),
        look("a", 0),
        add("a", 0),
        end(),
    ];
    expect(Ttl::processing_time(ms(10)), feed, &[("a", 0), ("a", 1), ("a", 2), ("a", 2), ("a", 0), ("a", 0)]);
}

#[test]
fn reading_counts_where_that_is_wanted() {
    let feed = [add("a", 0), processing_time(9), look("a", 0), processing_time(18), look("a", 0), end()];
    let ttl = Ttl::processing_time(ms(10)).updated_on_read();
    expect(ttl, feed, &[("a", 0), ("a", 1), ("a", 1)]);
}

#[test]
fn by_the_watermark_since_the_time_of_the_record() {
    let feed = [
        add("a", 5),
        add("b", 14),
        watermark(14),
        look("a", 20),
        watermark(15),
        look("a", 20),
        look("b", 20),
        add("c", 3),
        watermark(24),
        look("b", 30),
        look("c", 30),
        watermark(25),
        look("c", 30),
        end(),
    ];
    let counts = [("a", 0), ("b", 0), ("a", 1), ("a", 0), ("b", 1), ("c", 0), ("b", 0), ("c", 1), ("c", 0)];
    expect(Ttl::event_time(ms(10)), feed, &counts);
}

fn rows(keys: impl IntoIterator<Item = u32>) -> Rows<Ask> {
    let mut rows = Rows::default();
    for key in keys {
        rows.hash.push(key.to_string().key_hash());
        rows.push((key.to_string(), true), 0);
    }
    rows
}

fn freeze(operator: &mut Counting) -> (Vec<String>, StageSnapshot) {
    let mut frozen = Frozen::default();
    operator.snapshot(1, &mut frozen).unwrap();
    let mut snapshot = StageSnapshot::default();
    let part = MemoryPart::of(frozen.keyed[0].1.as_ref()).unwrap();
    snapshot.keyed.entry("count".to_owned()).or_default().push(Arc::new(part));
    let part = snapshot.keyed["count"].clone();
    let mut keys = Vec::new();
    let all = RestoredKeyed { parts: part, owned: 0..128 };
    let tables = frozen.keyed[0].1.tables();
    all.read(&tables, &mut |_, table, entry| {
        if table == 1 {
            let mut rest = entry;
            keys.push(<String as millstream_record::Record>::decode(&mut rest)?);
            let _: (Vec<Time>, Vec<Time>, Option<u64>, Time) = from_bytes(rest)?;
        }
        Ok(())
    })
    .unwrap();
    keys.sort();
    (keys, snapshot)
}

fn open(harness: &Harness) -> (Counting, Output<(String, u64)>) {
    let mut operator = counting(Ttl::processing_time(ms(10)));
    operator.open("count", &mut harness.open_context()).unwrap();
    (operator, Output::default())
}

#[test]
fn what_has_expired_is_in_no_snapshot_and_is_cleaned_up_bit_by_bit() {
    for cold in [false, true] {
        let world = Arc::new(Simulated::new(0, 0));
        let harness = Harness::new(Arc::clone(&world) as Arc<_>).subtask(0, 1);
        let harness = if cold { harness.backend(Arc::new(MemoryCold::new(1000))) } else { harness };
        let (mut operator, mut out) = open(&harness);
        harness.call(|cx| operator.rows(cx, &mut rows(0..500), &mut out)).unwrap();
        world.virtual_clock().set(5);
        harness.call(|cx| operator.rows(cx, &mut rows([7]), &mut out)).unwrap();
        world.virtual_clock().set(10);
        // Not a key was touched since.
        harness.call(|cx| operator.rows(cx, &mut rows([1000]), &mut out)).unwrap();
        let (keys, snapshot) = freeze(&mut operator);
        assert_eq!(keys, ["1000", "7"], "cold: {cold}");
        for _ in 0..20 {
            harness.call(|cx| operator.rows(cx, &mut rows([1000]), &mut out)).unwrap();
        }
        let metrics = harness.open_context().metrics_of("count").state("count");
        assert!(cold || metrics.expired.get() == 499, "{}", metrics.expired.get());
        world.virtual_clock().set(2000);
        harness.call(|cx| operator.rows(cx, &mut rows([1, 2]), &mut out)).unwrap();
        assert!(cold || metrics.keys.get() <= 4, "{}", metrics.keys.get());

        let restored = snapshot.share(0, 1, &(0..128));
        let later = Arc::new(Simulated::new(0, 14));
        let harness = Harness::new(Arc::clone(&later) as Arc<_>).restored(restored);
        let (mut operator, mut out) = open(&harness);
        harness.call(|cx| operator.rows(cx, &mut rows([7, 1000]), &mut out)).unwrap();
        assert_eq!(out.rows.rec, [("7".to_owned(), 2), ("1000".to_owned(), 1)], "still alive");
        later.virtual_clock().set(15);
        harness.call(|cx| operator.rows(cx, &mut rows([7]), &mut out)).unwrap();
        assert_eq!(out.rows.rec[2], ("7".to_owned(), 3), "written to at 14");
    }
}

/// A list, a map and a value with one time to live each, and one without.
struct Kinds {
    value: ValueState<u64>,
    list: ListState<u64>,
    map: MapState<u64, u64>,
    forever: ValueState<u64>,
}

impl Kinds {
    fn declare(states: &mut States) -> Result<Self> {
        let ttl = Ttl::processing_time(ms(10));
        let mut mortal = states.with_ttl(ttl);
        let (value, list, map) = (mortal.value("value")?, mortal.list("list")?, mortal.map("map")?);
        Ok(Self { value, list, map, forever: states.value("forever")? })
    }
}

impl KeyedProcessFunction for Kinds {
    type Key = String;
    type In = Ask;
    type Out = (u64, u64, u64, u64);

    fn process(&mut self, (_, add): Ask, cx: &mut KeyedContext<'_, String, Self::Out>) -> Result<()> {
        if add {
            self.value.set(cx, 0);
            *self.value.get_mut(cx).unwrap() += 1;
            self.list.add(cx, 1);
            self.map.get_mut(cx).insert(1, 1);
            self.forever.set(cx, 1);
        }
        let value = self.value.get(cx).copied().unwrap_or(0);
        let (list, map) = (self.list.get(cx).iter().sum(), self.map.get(cx).values().sum());
        let forever = self.forever.get(cx).copied().unwrap_or(0);
        cx.collect((value, list, map, forever));
        Ok(())
    }
}

#[test]
fn reading_keeps_no_state_alive_and_a_time_to_live_is_that_of_its_states_alone() {
    let key = |ask: &Ask| ask.0.clone();
    let feed = [add("a", 0), processing_time(9), look("a", 0), processing_time(10), look("a", 0), end()];
    Rig::new(move || Process::new(Kinds::declare, KeySelector::new(key)))
        .keyed_by(key)
        .feed(feed)
        .expect_records([(1, 1, 1, 1), (1, 1, 1, 1), (0, 0, 0, 1)]);
}
