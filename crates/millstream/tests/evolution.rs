//! A job is stopped, the structs in its state are changed, and the new version goes on where the old one was.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream::checkpoint::RestoreReport;
use millstream::plan::Plan;
use millstream::prelude::*;
use millstream::runtime::{JobHandle, Launch, RuntimeOptions, dry_run};
use millstream::state::ValueState;
use millstream::state_backend::{Heap, StateBackend};
use millstream_sim::MemoryCold;
use support::paused::Paused;
use support::versions::{Purchase, Results, Row, SPLITS, broken, first, input, job, purchases, second};
use tempfile::TempDir;

/// A savepoint on disk, and where checkpoints go.
struct Saved {
    url: String,
    dir: TempDir,
}

impl Saved {
    /// The first version, stopped with a savepoint when a third of the input is read.
    fn of_the_first_version() -> Self {
        Self::by_the_first_version(heap())
    }

    fn by_the_first_version(backend: Arc<dyn StateBackend>) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let job = first_version(&dir, &Results::default(), backend);
        let savepoint = job.stop_with_savepoint(Some(&url(&dir, "savepoints")), false).expect("a savepoint");
        job.wait().expect("it stops in order");
        Self { url: savepoint.url.expect("it is on disk"), dir }
    }

    /// A job of another plan, from the savepoint.
    fn launch(&self, plan: Plan, name: &str) -> Launch {
        Launch::new(plan, stored(&self.dir, name)).from_savepoint(&self.url, false)
    }

    fn report(&self, plan: &Plan) -> RestoreReport {
        dry_run(plan, &stored(&self.dir, "checkpoints"), Some(&self.url)).expect("it can be read").report
    }
}

/// The first version, running, with a third of its input read.
fn first_version(dir: &TempDir, results: &Results, backend: Arc<dyn StateBackend>) -> JobHandle {
    let (source, reached) = Paused::after(333, input());
    let plan = job(source, (first::Count::declare, first::PerHour), 2, results);
    let job = Launch::new(plan, stored(dir, "checkpoints")).with_backend(backend).start().expect("it starts");
    reached.wait(SPLITS);
    job
}

fn url(dir: &TempDir, folder: &str) -> String {
    format!("file://{}/{folder}", dir.path().display())
}

fn stored(dir: &TempDir, folder: &str) -> RuntimeOptions {
    RuntimeOptions { checkpoints_dir: Some(url(dir, folder)), ..RuntimeOptions::default() }
}

#[test]
fn a_changed_struct_is_restored_from_one_backend_into_the_other() {
    for (before, after) in [(cold(), heap()), (heap(), cold()), (cold(), cold())] {
        let saved = Saved::by_the_first_version(before);
        let results = Results::default();
        let plan = job(input(), (second::Count::declare, second::PerHour), 2, &results);
        let job = saved.launch(plan, "checkpoints").with_backend(after).start().expect("it fits");
        job.wait().expect("it ends");
        assert_eq!(totals(results.running.take()), expected(|purchase| purchase.user.clone()));
        assert_eq!(results.hourly.take().iter().map(|(_, _, (count, _))| count).sum::<i64>(), 3_000);
    }
}

fn heap() -> Arc<dyn StateBackend> {
    Arc::new(Heap)
}

fn cold() -> Arc<dyn StateBackend> {
    Arc::new(MemoryCold::new(1_000))
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
    let saved = Saved::of_the_first_version();
    for parallelism in [1, 3] {
        let after = Results::default();
        let plan = job(input(), (second::Count::declare, second::PerHour), parallelism, &after);
        let job = saved.launch(plan, &format!("checkpoints-{parallelism}")).start().expect("it fits");
        job.wait().expect("it ends");
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

#[test]
fn the_dry_run_says_what_becomes_of_each_state() {
    let saved = Saved::of_the_first_version();
    let plan = job(input(), (second::Count::declare, second::PerHour), 2, &Results::default());
    let report = saved.report(&plan);
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
    let saved = Saved::of_the_first_version();
    let plan = job(input(), (broken::Count::declare, first::PerHour), 2, &Results::default());
    let report = saved.report(&plan);
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
    let error = saved.launch(plan, "checkpoints").start().expect_err("it does not fit");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("mark it with #[record(default = 0)]"), "{error}");
}

/// The first version, but without a state that it had.
struct Forgetful {
    totals: ValueState<first::Totals>,
}

impl Forgetful {
    fn declare(states: &mut States) -> Result<Self> {
        Ok(Self { totals: states.value("totals")? })
    }
}

impl KeyedProcessFunction for Forgetful {
    type Key = String;
    type In = Purchase;
    type Out = Row;

    fn process(&mut self, purchase: Purchase, cx: &mut KeyedContext<'_, String, Row>) -> Result<()> {
        let mut totals = self.totals.get(cx).cloned().unwrap_or_default();
        totals.count += 1;
        totals.cents += i64::from(purchase.cents);
        cx.collect((purchase.user, i64::from(totals.count), totals.cents));
        self.totals.set(cx, totals);
        Ok(())
    }
}

#[test]
fn a_state_is_given_up_only_by_whoever_says_so() {
    let saved = Saved::of_the_first_version();
    let plan = || job(input(), (Forgetful::declare, first::PerHour), 2, &Results::default());
    let error = saved.launch(plan(), "checkpoints").start().expect_err("it would be lost");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("`count` (`recent`), the job has none"), "{error}");
    let after = Results::default();
    let plan = job(input(), (Forgetful::declare, first::PerHour), 2, &after);
    let job = saved.launch(plan, "checkpoints").allowing_non_restored_state(true).start();
    job.expect("it is allowed").wait().expect("it ends");
    assert_eq!(totals(after.running.take()), expected(|purchase| purchase.user.clone()));
}

#[test]
fn state_is_not_lost_to_an_operator_that_has_none() {
    let saved = Saved::of_the_first_version();
    let plan = || {
        let env = Environment::new("evolving");
        let times = WatermarkStrategy::bounded_out_of_orderness(Duration::from_secs(60));
        let purchases = env.source("purchases", input()).assign_timestamps_and_watermarks("times", times);
        let users = purchases.map("count", |purchase| purchase.user);
        users.sink_to("running", Collected::default());
        users.filter("hourly", |_| true).sink_to("windows", Collected::default());
        env.plan().expect("the plan is right")
    };
    let error = saved.launch(plan(), "checkpoints").start().expect_err("two operators have lost their state");
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.chain().contains("which takes none back"), "{}", error.chain());
    let job = saved.launch(plan(), "checkpoints").allowing_non_restored_state(true).start();
    job.expect("that is allowed").wait().expect("it ends");
}

#[test]
fn what_runs_is_not_disturbed_by_a_version_that_does_not_fit() {
    let (dir, results) = (tempfile::tempdir().expect("a folder"), Results::default());
    let running = first_version(&dir, &results, heap());
    running.checkpoint_now().expect("a checkpoint");
    let plan = job(input(), (broken::Count::declare, first::PerHour), 2, &Results::default());
    let seen = dry_run(&plan, &stored(&dir, "checkpoints"), None).expect("the latest checkpoint");
    assert!(seen.url.contains("/chk-"), "{}", seen.url);
    let error = Launch::new(plan, stored(&dir, "checkpoints")).start().expect_err("it does not fit");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("`totals.discount`: added (long) without a default"), "{error}");
    running.checkpoint_now().expect("the old version still holds the job");
    running.cancel();
}
