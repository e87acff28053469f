//! A job is stopped, the structs in its state are changed, and the new version goes on where the old one was.

mod support;

use std::collections::BTreeMap;

use millstream::core::drive::job_snapshot::JobSnapshot;
use millstream::core::drive::restore_check::{RestoreReport, check};
use millstream::core::plan::Plan;
use millstream::core::state::{ListState, ValueState};
use millstream::prelude::*;
use millstream::runtime::{RuntimeOptions, start, start_from};
use support::paused::Paused;

#[derive(Clone, Debug, PartialEq, Record)]
struct Purchase {
    user: String,
    cents: i32,
    at: i64,
}

/// A user, purchases so far, cents so far.
type Row = (String, i64, i64);

const SPLITS: usize = 3;

fn purchases() -> Vec<Purchase> {
    (0..3_000)
        .map(|n| Purchase { user: format!("u{}", n * n % 40), cents: n as i32 % 97, at: n * 10 })
        .collect()
}

fn input() -> Collection<Purchase> {
    Collection::of(purchases()).in_splits(SPLITS)
}

/// What is kept, as it first was.
mod first {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Record)]
    pub(crate) struct Totals {
        pub(crate) count: i32,
        pub(crate) latest: i64,
        pub(crate) cents: i64,
    }

    #[derive(Clone, Default)]
    pub(crate) struct Count {
        totals: Option<ValueState<Totals>>,
        recent: Option<ListState<i32>>,
    }

    impl KeyedProcess for Count {
        type Key = String;
        type In = Purchase;
        type Out = Row;

        fn open(&mut self, states: &mut States) -> Result<()> {
            self.totals = Some(states.value("totals")?);
            self.recent = Some(states.list("recent")?);
            Ok(())
        }

        fn process(&mut self, purchase: Purchase, cx: &mut KeyedContext<'_, String, Row>) -> Result<()> {
            let (Some(totals), Some(recent)) = (&self.totals, &self.recent) else { return Ok(()) };
            let mut sums = totals.get(cx).cloned().unwrap_or_default();
            sums.count += 1;
            sums.latest = purchase.at;
            sums.cents += i64::from(purchase.cents);
            cx.collect((purchase.user, i64::from(sums.count), sums.cents));
            totals.set(cx, sums);
            recent.get(cx).push(purchase.cents);
            Ok(())
        }
    }

    #[derive(Clone)]
    pub(crate) struct PerHour;

    impl Aggregate<Purchase> for PerHour {
        type Acc = Totals;
        type Out = (i64, i64);
        fn create(&self) -> Totals {
            Totals::default()
        }
        fn add(&self, acc: &mut Totals, purchase: &Purchase) {
            acc.count += 1;
            acc.cents += i64::from(purchase.cents);
        }
        fn merge(&self, acc: &mut Totals, other: Totals) {
            acc.count += other.count;
            acc.cents += other.cents;
        }
        fn result(&self, acc: &Totals) -> (i64, i64) {
            (i64::from(acc.count), acc.cents)
        }
    }
}

/// The same, a version later: a field added, one removed, two widened, all in another order; a state added.
mod second {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Record)]
    pub(crate) struct Totals {
        pub(crate) cents: f64,
        #[record(default = "EUR")]
        pub(crate) currency: String,
        pub(crate) count: i64,
    }

    #[derive(Clone, Default)]
    pub(crate) struct Count {
        totals: Option<ValueState<Totals>>,
        recent: Option<ListState<i64>>,
        last: Option<ValueState<i64>>,
    }

    impl KeyedProcess for Count {
        type Key = String;
        type In = Purchase;
        type Out = Row;

        fn open(&mut self, states: &mut States) -> Result<()> {
            self.last = Some(states.value("last")?);
            self.totals = Some(states.value("totals")?);
            self.recent = Some(states.list("recent")?);
            Ok(())
        }

        fn process(&mut self, purchase: Purchase, cx: &mut KeyedContext<'_, String, Row>) -> Result<()> {
            let (Some(totals), Some(recent), Some(last)) = (&self.totals, &self.recent, &self.last) else {
                return Ok(());
            };
            let mut sums =
                totals.get(cx).cloned().unwrap_or(Totals { currency: "EUR".into(), ..Totals::default() });
            if sums.currency != "EUR" {
                return Err(Error::bug(format!("the default is not there: {sums:?}")));
            }
            sums.count += 1;
            sums.cents += f64::from(purchase.cents);
            recent.get(cx).push(i64::from(purchase.cents));
            let listed: i64 = recent.get(cx).iter().sum();
            cx.collect((purchase.user, sums.count, listed));
            totals.set(cx, sums);
            last.set(cx, purchase.at);
            Ok(())
        }
    }

    #[derive(Clone)]
    pub(crate) struct PerHour;

    impl Aggregate<Purchase> for PerHour {
        type Acc = Totals;
        type Out = (i64, i64);
        fn create(&self) -> Totals {
            Totals { currency: "EUR".into(), ..Totals::default() }
        }
        fn add(&self, acc: &mut Totals, purchase: &Purchase) {
            acc.count += 1;
            acc.cents += f64::from(purchase.cents);
        }
        fn merge(&self, acc: &mut Totals, other: Totals) {
            acc.count += other.count;
            acc.cents += other.cents;
        }
        fn result(&self, acc: &Totals) -> (i64, i64) {
            (acc.count, acc.cents as i64)
        }
    }
}

/// A version that nobody can restore the first one's state into.
mod broken {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Record)]
    pub(crate) struct Totals {
        pub(crate) count: bool,
        pub(crate) cents: i32,
        pub(crate) discount: i64,
    }

    #[derive(Clone, Default)]
    pub(crate) struct Count;

    impl KeyedProcess for Count {
        type Key = String;
        type In = Purchase;
        type Out = Row;

        fn open(&mut self, states: &mut States) -> Result<()> {
            states.value::<Totals>("totals").map(drop)
        }

        fn process(&mut self, _: Purchase, _: &mut KeyedContext<'_, String, Row>) -> Result<()> {
            Ok(())
        }
    }
}

#[derive(Clone, Default)]
struct Results {
    running: Collected<Row>,
    hourly: Collected<(String, Time, (i64, i64))>,
}

fn job<P, A>(
    source: impl millstream::core::source::Source<Out = Purchase>,
    (function, aggregate): (P, A),
    parallelism: u16,
    results: &Results,
) -> Plan
where
    P: KeyedProcess<Key = String, In = Purchase, Out = Row>,
    A: Aggregate<Purchase, Out = (i64, i64)>,
{
    let env = Environment::new("evolving").with_parallelism(parallelism);
    let times = WatermarkStrategy::bounded_out_of_orderness(Duration::from_secs(60));
    let purchases = env
        .source("purchases", source)
        .assign_timestamps_and_watermarks("times", times.with_timestamps(|purchase: &Purchase| purchase.at));
    let by_user = purchases.key_by(|purchase| purchase.user.clone());
    by_user.process("count", function).sink_to("running", results.running.clone());
    by_user
        .window(Tumbling::of(Duration::from_secs(5)))
        .aggregate("hourly", aggregate, |user, window, sums| (user.clone(), window.start, sums))
        .sink_to("windows", results.hourly.clone());
    env.plan().expect("the plan is right")
}

/// Runs the first version until a third of the input is read.
fn state_of_the_first_version(results: &Results) -> JobSnapshot {
    let (source, reached) = Paused::after(333, input());
    let plan = job(source, (first::Count::default(), first::PerHour), 2, results);
    let job = start(plan, RuntimeOptions::default()).expect("it starts");
    reached.wait(SPLITS);
    let snapshot = job.checkpoint().expect("a checkpoint");
    job.cancel();
    drop(job);
    snapshot
}

/// The last row of each user: what was counted of all purchases.
fn totals(rows: Vec<Row>) -> BTreeMap<String, (i64, i64)> {
    let mut last = BTreeMap::new();
    for (user, count, cents) in rows {
        let known = last.entry(user).or_insert((0, 0));
        *known = (count, cents).max(*known);
    }
    last
}

fn expected<K: Ord>(key: impl Fn(&Purchase) -> K) -> BTreeMap<K, (i64, i64)> {
    let mut sums = BTreeMap::new();
    for purchase in purchases() {
        let (count, cents) = sums.entry(key(&purchase)).or_insert((0, 0));
        *count += 1;
        *cents += i64::from(purchase.cents);
    }
    sums
}

#[test]
fn counts_go_on_exact_when_the_structs_in_state_have_changed() {
    let before = Results::default();
    let snapshot = state_of_the_first_version(&before);
    for parallelism in [1, 3] {
        let after = Results::default();
        let plan = job(input(), (second::Count::default(), second::PerHour), parallelism, &after);
        start_from(plan, RuntimeOptions::default(), snapshot.clone())
            .expect("it fits")
            .wait()
            .expect("it ends");
        let running = after.running.take();
        assert_eq!(running.len(), purchases().len() - SPLITS * 333, "what was read before is not read again");
        assert_eq!(totals(running), expected(|purchase| purchase.user.clone()));
        let hourly = after.hourly.take().into_iter().map(|(user, start, sums)| ((user, start), sums));
        let window = |purchase: &Purchase| (purchase.user.clone(), purchase.at.div_euclid(5_000) * 5_000);
        assert_eq!(hourly.collect::<BTreeMap<_, _>>(), expected(window));
    }
}

/// A report without its columns.
fn in_one_line(report: &RestoreReport) -> String {
    report.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn refusal(plan: Plan, snapshot: &JobSnapshot) -> Error {
    start_from(plan, RuntimeOptions::default(), snapshot.clone()).expect_err("it does not fit")
}

#[test]
fn the_dry_run_says_what_becomes_of_each_state() {
    let snapshot = state_of_the_first_version(&Results::default());
    let plan = job(input(), (second::Count::default(), second::PerHour), 2, &Results::default());
    let report = check(&plan, &snapshot).expect("schemas");
    report.refusal(false).expect("it fits");
    let text = in_one_line(&report);
    for line in [
        "purchases (collection source) splits same",
        "count (process) watermark same key same",
        "totals migrates: `totals.cents`: long widened to double",
        "`totals.currency`: added with default \"EUR\"",
        "`totals.count`: int widened to long",
        "`totals.latest`: removed, its values are dropped",
        "recent migrates: `recent[]`: int widened to long",
        "last new: begins empty",
        "windows migrates: `acc.cents`: long widened to double",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
}

#[test]
fn a_version_that_does_not_fit_is_refused_before_anything_starts_and_says_what_to_do() {
    let snapshot = state_of_the_first_version(&Results::default());
    let plan = job(input(), (broken::Count, first::PerHour), 2, &Results::default());
    let report = check(&plan, &snapshot).expect("schemas");
    let text = in_one_line(&report);
    for line in [
        "totals INCOMPATIBLE: `totals.count`: int cannot become boolean: give the new field another name",
        "`totals.cents`: long cannot be narrowed to int: keep long, or give the new field another name",
        "`totals.discount`: added (long) without a default: mark it with #[record(default = 0)]",
        "recent DROPPED: the job has no such state",
        "windows same",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    let error = refusal(plan, &snapshot);
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("mark it with #[record(default = 0)]"), "{error}");
}

/// The first version, but without a state that it had.
#[derive(Clone, Default)]
struct Forgetful(Option<ValueState<first::Totals>>);

impl KeyedProcess for Forgetful {
    type Key = String;
    type In = Purchase;
    type Out = Row;

    fn open(&mut self, states: &mut States) -> Result<()> {
        self.0 = Some(states.value("totals")?);
        Ok(())
    }

    fn process(&mut self, purchase: Purchase, cx: &mut KeyedContext<'_, String, Row>) -> Result<()> {
        let Some(state) = &self.0 else { return Ok(()) };
        let mut totals = state.get(cx).cloned().unwrap_or_default();
        totals.count += 1;
        totals.cents += i64::from(purchase.cents);
        cx.collect((purchase.user, i64::from(totals.count), totals.cents));
        state.set(cx, totals);
        Ok(())
    }
}

#[test]
fn a_state_is_given_up_only_by_whoever_says_so() {
    let snapshot = state_of_the_first_version(&Results::default());
    let after = Results::default();
    let plan = job(input(), (Forgetful::default(), first::PerHour), 2, &after);
    let report = check(&plan, &snapshot).expect("schemas");
    report.refusal(true).expect("that is allowed");
    let error = refusal(plan, &snapshot);
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("`count` (`recent`), the job has none"), "{error}");
}
