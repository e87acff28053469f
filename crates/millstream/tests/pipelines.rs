//! Whole pipelines on the thread driver, against references written here.

use std::collections::{BTreeMap, BTreeSet};

use millstream::prelude::*;
use millstream::runtime::{JobReport, RuntimeOptions, run};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
struct Click {
    user: String,
    at: i64,
}

/// Clicks of 50 users, at most 3 s out of order.
fn clicks(count: i64) -> Vec<Click> {
    (0..count).map(|n| Click { user: format!("u{}", n * n % 50), at: n * 97 - (n * 7919) % 3000 }).collect()
}

fn source(env: &Environment, clicks: Vec<Click>) -> DataStream<Click> {
    env.source("clicks", Collection::of(clicks).in_splits(3)).assign_timestamps_and_watermarks(
        "times",
        WatermarkStrategy::bounded_out_of_orderness(Duration::from_secs(400))
            .with_timestamps(|click: &Click| click.at),
    )
}

fn run_to_end(env: &Environment) -> JobReport {
    run(env.plan().expect("the plan is right"), RuntimeOptions::default()).expect("the job runs to its end")
}

/// Compares without printing thousands of rows.
fn assert_same<T: Ord + std::fmt::Debug>(rows: Vec<T>, expected: Vec<T>) {
    let (rows, expected) = (sorted(rows), sorted(expected));
    let different = rows.iter().zip(&expected).position(|(row, wanted)| row != wanted);
    let place = different.unwrap_or(rows.len().min(expected.len()));
    let (got, wanted) = (rows.get(place), expected.get(place));
    assert!(
        rows == expected,
        "{} rows, {} expected; at {place}: {got:?}, expected {wanted:?}",
        rows.len(),
        expected.len()
    );
}

fn sorted<T: Ord>(mut rows: Vec<T>) -> Vec<T> {
    rows.sort();
    rows
}

fn brute_force(
    clicks: &[Click],
    windows_of: impl Fn(i64) -> Vec<(i64, i64)>,
) -> Vec<(String, i64, i64, u64)> {
    let mut counts = BTreeMap::new();
    for click in clicks {
        for (start, end) in windows_of(click.at) {
            *counts.entry((click.user.clone(), start, end)).or_insert(0) += 1;
        }
    }
    counts.into_iter().map(|((user, start, end), count)| (user, start, end, count)).collect()
}

#[test]
fn tumbling_counts_equal_brute_force_at_every_parallelism() {
    let input = clicks(20_000);
    let expected = brute_force(&input, |at| {
        vec![(at.div_euclid(60_000) * 60_000, at.div_euclid(60_000) * 60_000 + 60_000)]
    });
    for parallelism in [1, 2, 3] {
        let env = Environment::new("test").with_parallelism(parallelism);
        let results = Collected::default();
        source(&env, input.clone())
            .key_by(|click| click.user.clone())
            .window(Tumbling::of(Duration::from_secs(60)))
            .aggregate("count", Count, |user, window, count| (user.clone(), window.start, window.end, count))
            .sink_to("results", results.clone());
        run_to_end(&env);
        assert_same(results.take(), expected.clone());
    }
}

#[test]
fn sliding_counts_equal_brute_force() {
    let input = clicks(5_000);
    let expected = brute_force(&input, |at| {
        let last = at.div_euclid(20_000) * 20_000;
        (0..3).map(|back| (last - back * 20_000, last - back * 20_000 + 60_000)).collect()
    });
    let env = Environment::new("test").with_parallelism(2);
    let results = Collected::default();
    source(&env, input)
        .key_by(|click| click.user.clone())
        .window(Sliding::of(Duration::from_secs(60), Duration::from_secs(20)))
        .aggregate("count", Count, |user, window, count| (user.clone(), window.start, window.end, count))
        .sink_to("results", results.clone());
    run_to_end(&env);
    assert_same(results.take(), expected);
}

#[test]
fn sessions_equal_brute_force() {
    let input = clicks(5_000);
    let gap = 4_000;
    let mut by_user: BTreeMap<String, BTreeSet<(i64, usize)>> = BTreeMap::new();
    for (n, click) in input.iter().enumerate() {
        by_user.entry(click.user.clone()).or_default().insert((click.at, n));
    }
    let mut expected = Vec::new();
    for (user, times) in by_user {
        let mut open: Option<(i64, i64, u64)> = None;
        for (at, _) in times {
            open = match open {
                Some((start, end, count)) if at <= end => Some((start, at + gap, count + 1)),
                Some((start, end, count)) => {
                    expected.push((user.clone(), start, end, count));
                    Some((at, at + gap, 1))
                }
                None => Some((at, at + gap, 1)),
            };
        }
        let (start, end, count) = open.unwrap();
        expected.push((user, start, end, count));
    }
    let env = Environment::new("test").with_parallelism(2);
    let results = Collected::default();
    source(&env, input)
        .key_by(|click| click.user.clone())
        .window(Session::with_gap(Duration::from_millis(4_000)))
        .aggregate("sessions", Count, |user, window, count| (user.clone(), window.start, window.end, count))
        .sink_to("results", results.clone());
    run_to_end(&env);
    assert_same(results.take(), expected);
}

#[test]
fn late_records_go_to_the_side_output_and_are_counted() {
    let at = |user: &str, at| Click { user: user.to_owned(), at };
    let input = vec![at("a", 1_000), at("a", 200_000), at("a", 2_000), at("a", 201_000)];
    let env = Environment::new("test");
    let (results, late, tag) = (Collected::default(), Collected::default(), SideTag::new("late"));
    // One record per batch, so that the watermark moves between them.
    let counts = env
        .source("clicks", Collection::of(input))
        .transform("one-by-one", || {
            millstream::operators::Map::new(std::sync::Arc::new(|click: Click| click))
        })
        .assign_timestamps_and_watermarks(
            "times",
            WatermarkStrategy::punctuated(|_: &Click, at| Some(at)).with_timestamps(|click: &Click| click.at),
        )
        .key_by(|click| click.user.clone())
        .window(Tumbling::of(Duration::from_secs(60)))
        .side_output_late_data(&tag)
        .aggregate("count", Count, |user, window, count| (user.clone(), window.start, count));
    counts.sink_to("results", results.clone());
    counts.side_output(&tag).sink_to("late", late.clone());
    let options = RuntimeOptions { records_per_call: 1, ..RuntimeOptions::default() };
    let report = run(env.plan().unwrap(), options).unwrap();
    assert_eq!(late.take(), [at("a", 2_000)]);
    assert_eq!(report.operator("count").unwrap().late, 1);
    assert_eq!(sorted(results.take()), [("a".to_owned(), 0, 1), ("a".to_owned(), 180_000, 2)]);
}

/// Matches an order with its payment: two inputs, state, timers, a side output.
struct Match {
    order: millstream::state::ValueState<i64>,
    unpaid: SideTag<String>,
}

impl KeyedCoProcessFunction for Match {
    type Key = String;
    type First = (String, i64);
    type Second = (String, i64);
    type Out = (String, i64);

    fn first(
        &mut self,
        order: (String, i64),
        cx: &mut KeyedContext<'_, String, (String, i64)>,
    ) -> Result<()> {
        self.order.set(cx, order.1);
        cx.register_timer(TimerKind::EventTime, order.1 + 900_000);
        Ok(())
    }

    fn second(
        &mut self,
        paid: (String, i64),
        cx: &mut KeyedContext<'_, String, (String, i64)>,
    ) -> Result<()> {
        if let Some(ordered) = self.order.take(cx) {
            cx.delete_timer(TimerKind::EventTime, ordered + 900_000);
            cx.collect((paid.0, paid.1 - ordered));
        }
        Ok(())
    }

    fn on_timer(&mut self, _: Timer, cx: &mut KeyedContext<'_, String, (String, i64)>) -> Result<()> {
        let key = cx.key().clone();
        cx.collect_side(&self.unpaid, key);
        Ok(())
    }
}

#[test]
fn two_keyed_streams_share_state_and_timers() {
    let env = Environment::new("test").with_parallelism(2);
    let times = || {
        WatermarkStrategy::bounded_out_of_orderness(Duration::from_secs(3600))
            .with_timestamps(|event: &(String, i64)| event.1)
    };
    let event = |id: &str, at| (id.to_owned(), at);
    // Payments come a stage later than orders, so that both orders are there when they come.
    let orders = env.source("orders", Collection::of([event("a", 1_000), event("b", 2_000)]));
    let orders = orders.assign_timestamps_and_watermarks("order-times", times());
    let payments = env.source("payments", Collection::of([event("c", 5_000)]));
    let payments = payments.assign_timestamps_and_watermarks("payment-times", times());
    let (paid, unpaid, tag) = (Collected::default(), Collected::default(), SideTag::new("unpaid"));
    let matched = orders
        .key_by(|order| order.0.clone())
        .connect(&payments.key_by(|payment| payment.0.clone()))
        .process("match", {
            let unpaid = tag.clone();
            move |states| Ok(Match { order: states.value("order")?, unpaid: unpaid.clone() })
        });
    matched.sink_to("paid", paid.clone());
    matched.side_output(&tag).sink_to("unpaid", unpaid.clone());
    run_to_end(&env);
    assert_eq!(paid.take(), []);
    assert_eq!(sorted(unpaid.take()), ["a", "b"]);
}

#[test]
fn folding_before_the_exchange_changes_nothing_but_the_traffic() {
    let input: Vec<_> = (0..10_000_i64).map(|n| (n % 3, 1_i64)).collect();
    let mut sent = Vec::new();
    for fold in [false, true] {
        let env = Environment::new("test").with_parallelism(2);
        let results = Collected::default();
        let mut rows =
            env.source("in", Collection::with_times(input.iter().map(|row| (*row, 5))).in_splits(2));
        if fold {
            rows = rows.fold_batches("fold", |row| row.0, Duration::from_secs(60), |sum, row| sum.1 += row.1);
        }
        rows.key_by(|row| row.0)
            .window(Tumbling::of(Duration::from_secs(60)))
            .aggregate("sum", Sum::of(|row: &(i64, i64)| row.1), |key, _, sum| (*key, sum))
            .sink_to("results", results.clone());
        let report = run_to_end(&env);
        sent.push(report.operator("sum").unwrap().records_in);
        assert_eq!(sorted(results.take()), [(0, 3334), (1, 3333), (2, 3333)]);
    }
    assert!(sent[1] < sent[0] / 100, "{sent:?}");
}

#[test]
fn plans_with_mistakes_are_refused_with_all_of_them() {
    let env = Environment::new("test").with_parallelism(500);
    let rows = env.source("in", Collection::of([1_i64]));
    rows.map("same", |row| row).filter("same", |_| true).sink_to("", Collected::default());
    rows.key_by(|row| *row)
        .window(Tumbling::of(Duration::ZERO))
        .aggregate("windows", Count, |key, _, _| *key);
    let message = env.plan().map(|_| ()).unwrap_err().to_string();
    for part in ["\"same\"", "no name", "parallelism 500", "at least 1 ms"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}
