#![allow(clippy::unwrap_used, reason = "a test's own pipelines")]
//! The seeded driver: sound pipelines give the same under every seed, broken ones are caught under some seed.

#[allow(dead_code, reason = "not every flaw is tried here")]
#[path = "support/memory.rs"]
mod memory;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use memory::{Flaw, Memory, Table};
use millstream_api::Environment;
use millstream_operators::collection::{Collected, Collection};
use millstream_operators::operators::{KeyedProcessFunction, WatermarkStrategy};
use millstream_operators::state::{KeyedContext, ValueState};
use millstream_operators::window::{Count, Session, Tumbling};
use millstream_record::{Record, Result};
use millstream_sim::SeededDriver;
use millstream_stage::batch::Rows;
use millstream_stage::context::{Context, OpenContext};
use millstream_stage::plan::Plan;
use millstream_stage::stage::End;
use millstream_stage::{Operator, Output, Step};
use parking_lot::Mutex;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
struct Click {
    user: String,
    at: i64,
}

/// Clicks of 7 users, at most 3 s out of order.
fn clicks(count: i64) -> Vec<Click> {
    (0..count).map(|n| Click { user: format!("u{}", n * n % 7), at: n * 970 - (n * 7919) % 3000 }).collect()
}

fn strategy() -> WatermarkStrategy<Click> {
    WatermarkStrategy::bounded_out_of_orderness(Duration::from_secs(100))
        .with_timestamps(|click: &Click| click.at)
}

type Counts = BTreeSet<(String, i64, i64, u64)>;

fn by_minute(clicks: &[Click]) -> Counts {
    let mut counts = BTreeMap::new();
    for click in clicks {
        *counts.entry((click.user.clone(), click.at.div_euclid(60_000) * 60_000)).or_insert(0) += 1;
    }
    counts.into_iter().map(|((user, start), count)| (user, start, start + 60_000, count)).collect()
}

fn counting(clicks: Vec<Click>, results: &Collected<(String, i64, i64, u64)>) -> Plan {
    let env = Environment::new("counts").with_parallelism(2);
    env.source("clicks", Collection::of(clicks).in_splits(3))
        .assign_timestamps_and_watermarks("times", strategy())
        .key_by(|click: &Click| click.user.clone())
        .window(Tumbling::of(Duration::from_secs(60)))
        .aggregate("count", Count, |user: &String, window, count| {
            (user.clone(), window.start, window.end, count)
        })
        .sink_to("results", results.clone());
    env.plan().unwrap()
}

#[test]
fn windows_count_the_same_under_every_seed() {
    let input = clicks(200);
    for seed in 0..30 {
        let results = Collected::default();
        let outcome = SeededDriver::new(seed).run(&counting(input.clone(), &results)).unwrap();
        let rows = results.take();
        assert_eq!((outcome.end, outcome.attempts), (End::Finished, 1));
        assert_eq!(rows.len(), by_minute(&input).len(), "seed {seed}: nothing twice");
        assert_eq!(rows.into_iter().collect::<Counts>(), by_minute(&input), "seed {seed}");
    }
}

#[test]
fn windows_count_the_same_through_crashes_at_any_parallelism() {
    let input = clicks(200);
    let (mut restarts, mut checkpoints) = (0, 0);
    for seed in 0..60 {
        let results = Collected::default();
        let driver = SeededDriver::new(seed).checkpoint_every(40).crashes(0.004, 6).rescale_up_to(4);
        let outcome = driver.run(&counting(input.clone(), &results)).unwrap();
        let rows: Counts = results.take().into_iter().collect();
        assert_eq!(rows, by_minute(&input), "seed {seed}, {} attempts", outcome.attempts);
        restarts += outcome.attempts - 1;
        checkpoints += outcome.checkpoints;
    }
    assert!(restarts > 60 && checkpoints > 60, "{restarts} restarts, {checkpoints} checkpoints");
}

#[test]
fn sessions_survive_too() {
    let input: Vec<_> =
        (0..120).map(|n| Click { user: format!("u{}", n % 5), at: n / 20 * 400_000 + n * 100 }).collect();
    let mut expected = None;
    for seed in 0..30 {
        let env = Environment::new("sessions").with_parallelism(2);
        let results = Collected::default();
        env.source("clicks", Collection::of(input.clone()).in_splits(2))
            .assign_timestamps_and_watermarks("times", strategy())
            .key_by(|click: &Click| click.user.clone())
            .window(Session::with_gap(Duration::from_secs(30)))
            .aggregate("count", Count, |user: &String, window, count| {
                (user.clone(), window.start, window.end, count)
            })
            .sink_to("results", results.clone());
        let driver = SeededDriver::new(seed).checkpoint_every(30).crashes(0.004, 4).rescale_up_to(3);
        driver.run(&env.plan().unwrap()).unwrap();
        let rows: Counts = results.take().into_iter().collect();
        assert_eq!(rows.len(), 30, "5 users, 6 sessions each");
        assert_eq!(&rows, expected.get_or_insert(rows.clone()), "seed {seed}");
    }
}

#[test]
fn a_seed_is_a_promise() {
    let run = |seed| {
        let results = Collected::default();
        let driver = SeededDriver::new(seed).checkpoint_every(40).crashes(0.01, 3).rescale_up_to(3);
        let outcome = driver.run(&counting(clicks(100), &results)).unwrap();
        (
            outcome.steps,
            outcome.attempts,
            outcome.snapshot.map(|snapshot| format!("{snapshot:?}")),
            results.take_with_times(),
        )
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).0, run(8).0);
}

#[test]
fn a_run_stops_and_goes_on_from_its_snapshot() {
    let input = clicks(15_000);
    let results = Collected::default();
    let plan = counting(input.clone(), &results);
    let first = SeededDriver::new(1).checkpoint_every(10).stop_after(60).run(&plan).unwrap();
    assert_eq!(first.end, End::Stopped);
    let second = SeededDriver::new(2).from_snapshot(first.snapshot.unwrap()).run(&plan).unwrap();
    assert_eq!(second.end, End::Finished);
    assert_eq!(results.take().into_iter().collect::<Counts>(), by_minute(&input));
}

/// Tells each user's count at each click.
struct Running {
    count: ValueState<u64>,
}

impl KeyedProcessFunction for Running {
    type Key = u64;
    type In = (u64, u64);
    type Out = (u64, u64);

    fn process(&mut self, (user, _): (u64, u64), cx: &mut KeyedContext<'_, u64, (u64, u64)>) -> Result<()> {
        let count = self.count.get(cx).copied().unwrap_or(0) + 1;
        self.count.set(cx, count);
        cx.collect((user, count));
        Ok(())
    }
}

fn running_counts(flaw: Flaw, table: &Arc<Mutex<Table>>) -> Plan {
    let env = Environment::new("running").with_parallelism(2);
    let clicks = (0..400).map(|n: u64| (n * n % 11, n));
    env.source("clicks", Collection::of(clicks).in_splits(3))
        .key_by(|click: &(u64, u64)| click.0)
        .process("running", |states| Ok(Running { count: states.value("count")? }))
        .sink_to("sink", Memory { table: Arc::clone(table), flaw });
    env.plan().unwrap()
}

fn wrong_tables(flaw: Flaw) -> usize {
    let mut expected = BTreeMap::new();
    (0..400_u64).for_each(|n| *expected.entry(n * n % 11).or_insert(0) += 1);
    let is_wrong = |seed: &u64| {
        let table = Arc::default();
        let plan = running_counts(flaw, &table);
        let driver =
            SeededDriver::new(*seed).checkpoint_every(60).crashes(0.005, 5).rescale_up_to(3).late_writes();
        driver.run(&plan).unwrap();
        let table = table.lock();
        table
            .iter()
            .map(|(key, (value, _))| (*key, *value))
            .ne(expected.iter().map(|(key, value)| (*key, *value)))
    };
    (0..40).filter(is_wrong).count()
}

#[test]
fn a_fenced_sink_is_right_after_crashes_and_late_writes() {
    assert_eq!(wrong_tables(Flaw::None), 0);
    assert!(wrong_tables(Flaw::NoVersions) > 0, "late writes of the dead overwrite");
    assert!(wrong_tables(Flaw::VersionsWithoutEpoch) > 0, "the new attempt is taken for the older one");
    assert!(wrong_tables(Flaw::FlushDoesNotWait) > 0, "the end does not wait for what is in flight");
}

/// Numbers the records of each subtask, and forgets the number in a crash.
struct Forgetful(u64);

impl Operator for Forgetful {
    type In = Click;
    type Out = (String, u64);

    fn open(&mut self, _: &str, _: &mut OpenContext) -> Result<()> {
        Ok(())
    }

    fn rows(
        &mut self,
        _: &mut Context<'_>,
        rows: &mut Rows<Click>,
        out: &mut Output<(String, u64)>,
    ) -> Result<Step> {
        for (click, ts) in rows.drain() {
            self.0 += 1;
            out.rows.push((click.user, self.0), ts);
        }
        Ok(Step::DONE)
    }
}

#[test]
fn lost_state_shows() {
    let caught = (0..40).filter(|seed| {
        let env = Environment::new("forgetful");
        let results = Collected::default();
        env.source("clicks", Collection::of(clicks(9_000)))
            .transform("number", || Forgetful(0))
            .sink_to("results", results.clone());
        let driver = SeededDriver::new(*seed).checkpoint_every(8).crashes(0.05, 3);
        driver.run(&env.plan().unwrap()).unwrap();
        !results.take().iter().any(|(_, number)| *number == 9_000)
    });
    assert!(caught.count() > 3);
}

#[test]
fn a_job_that_hangs_says_where() {
    let table = Arc::default();
    let error = SeededDriver::new(5).run(&running_counts(Flaw::NeverAnswers, &table)).unwrap_err().chain();
    for part in [
        "seed 5: attempt 1, step ",
        "nothing can happen any more",
        "running -> sink 1/2",
        "what happened last",
    ] {
        assert!(error.contains(part), "{part:?} is missing in {error}");
    }
    let error = SeededDriver::new(5).most_steps(50).run(&running_counts(Flaw::None, &table)).unwrap_err();
    assert!(error.chain().contains("the job has not ended after 50 steps"), "{}", error.chain());
}
