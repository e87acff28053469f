//! Runs a golden pipeline here and there, and reads what it has written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flink_golden::{GoldenOptions, Line, Pipeline};
use millstream::cli::Config;
use millstream::runtime::{DryRun, Launch, dry_run};
use millstream_testkit::{FlinkVersion, Submission, wait};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// A pipeline and its traffic.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pipeline: Pipeline,
    count: Option<u32>,
    rate: Option<f64>,
    parallelism: u16,
    set: Vec<String>,
    splits: u16,
    name: &'static str,
    tripwires: bool,
    /// More lines below `traffic`.
    traffic: &'static str,
    /// More lines of the configuration.
    more: String,
    /// A key that is left out.
    without: Option<&'static str>,
}

impl Case {
    /// So many events, none of them late.
    pub(crate) fn bounded(pipeline: Pipeline, count: u32) -> Self {
        Self {
            pipeline,
            count: Some(count),
            rate: None,
            parallelism: 2,
            splits: 4,
            name: "golden",
            tripwires: false,
            traffic: "",
            more: String::new(),
            set: Vec::new(),
            without: None,
        }
    }

    /// Events without end.
    pub(crate) fn endless(pipeline: Pipeline) -> Self {
        Self { count: None, ..Self::bounded(pipeline, 0) }
    }

    /// Windows over events of which some are late and some broken.
    pub(crate) fn with_late_and_broken(count: u32) -> Self {
        let traffic = "  late: 0.01\n  broken: 0.01\n";
        Self { traffic, ..Self::bounded(Pipeline::Windows, count) }
    }

    /// The same at a rate.
    pub(crate) fn at_rate(self, rate: f64) -> Self {
        Self { rate: Some(rate), ..self }
    }

    /// The same at another parallelism.
    pub(crate) fn at_parallelism(&self, parallelism: u16) -> Self {
        Self { parallelism, ..self.clone() }
    }

    /// The same with a change, as `--set KEY=VALUE` has it.
    pub(crate) fn with_set(&self, change: &str) -> Self {
        let mut changed = self.clone();
        changed.set.push(change.to_owned());
        changed
    }

    /// The same over so many splits.
    pub(crate) fn over_splits(self, splits: u16) -> Self {
        Self { splits, ..self }
    }

    /// The same as a job of this name.
    pub(crate) fn called(&self, name: &'static str) -> Self {
        Self { name, ..self.clone() }
    }

    /// The same with a tripwire in the source and one in the operator `interest`: see [`Place::arm`].
    pub(crate) fn with_tripwires(self) -> Self {
        Self { tripwires: true, ..self }
    }

    /// The same with more lines of the configuration.
    pub(crate) fn with(mut self, lines: &str) -> Self {
        self.more.push_str(lines);
        self.more.push('\n');
        self
    }

    /// The same without a key of the configuration.
    pub(crate) fn without(self, key: &'static str) -> Self {
        Self { without: Some(key), ..self }
    }

    fn config(&self, checkpoints: &str, results: &Path) -> String {
        let text = self.whole_config(checkpoints, results);
        let stays = |line: &&str| self.without.is_none_or(|key| !line.starts_with(key));
        text.lines().filter(stays).map(|line| format!("{line}\n")).collect()
    }

    fn whole_config(&self, checkpoints: &str, results: &Path) -> String {
        let count = self.count.map(|count| format!("  count: {count}\n")).unwrap_or_default();
        let rate = self.rate.map(|rate| format!("  rate: {rate}\n")).unwrap_or_default();
        let pipeline = serde_json::to_value(self.pipeline).unwrap_or_default();
        let tripwires = format!("tripwires: {}\n", results.join("tripwires").display());
        let tripwires = if self.tripwires { tripwires } else { String::new() };
        format!(
            "pipeline.name: {}\nparallelism.default: {}\nexecution.checkpointing.interval: 300ms\n\
             state.checkpoints.dir: {checkpoints}\nrestart-strategy.type: fixed-delay\n\
             restart-strategy.fixed-delay.attempts: 100\nrestart-strategy.fixed-delay.delay: 100ms\n\
             pipeline: {}\nresults: {}\ntraffic:\n  event-rate: 20\n  start: 1511658000000\n  users: 300\n  items: 200\n  \
             categories: 20\n  disorder: 5s\n  splits: {}\n{count}{rate}{}{tripwires}{}",
            self.name,
            self.parallelism,
            pipeline.as_str().unwrap_or_default(),
            results.display(),
            self.splits,
            self.traffic,
            self.more
        )
    }

    /// What the pipeline gives in this process.
    pub(crate) fn run_in_process(&self, place: &Place) -> Result<Vec<String>> {
        let results = place.fresh("process");
        let slow = Self { rate: None, ..self.clone() };
        let text = slow.config(&url(&place.fresh("process-checkpoints")), &results);
        let text = format!("{text}job.dir: {}\n", place.fresh("job").display());
        let program = flink_golden::program();
        let config = millstream::cli::parse_named("golden", &text, &self.set)
            .map_err(|error| anyhow::anyhow!(error.chain()))?;
        millstream::cli::run(&program, &config).map_err(|error| anyhow::anyhow!(error.chain()))?;
        lines(&results.join(self.table_of_results()))
    }

    /// Runs here for a while, then stops with a savepoint, whose URL is returned.
    pub(crate) fn begin_in_process(&self, place: &Place, name: &str) -> Result<String> {
        self.run_for_a_while(place, name, None, false)
    }

    /// Goes on here for a while, then ends with everything that was read.
    pub(crate) fn drain_in_process(&self, place: &Place, name: &str, savepoint: &str) -> Result<()> {
        self.run_for_a_while(place, name, Some(savepoint), true).map(drop)
    }

    fn run_for_a_while(&self, place: &Place, name: &str, from: Option<&str>, drain: bool) -> Result<String> {
        let savepoints = url(&place.fresh("savepoints"));
        let launch = self.launch(place, name, &place.checkpoints_dir(name), from);
        let stopped = || -> millstream::Result<String> {
            let job = launch?.start()?;
            wait::pause(Duration::from_secs(2));
            let savepoint = job.stop_with_savepoint(Some(&savepoints), drain)?;
            job.wait()?;
            savepoint.url.ok_or_else(|| millstream::Error::bug("a savepoint without a place"))
        };
        stopped().map_err(|error| anyhow::anyhow!(error.chain()))
    }

    /// Goes on here to the end of the input; gives the number of the attempt.
    pub(crate) fn end_in_process(
        &self,
        place: &Place,
        name: &str,
        checkpoints: &Path,
        savepoint: &str,
    ) -> Result<u64> {
        let ended = || self.launch(place, name, checkpoints, Some(savepoint))?.start()?.wait();
        ended().map(|report| report.epoch).map_err(|error| anyhow::anyhow!(error.chain()))
    }

    fn launch(
        &self,
        place: &Place,
        name: &str,
        checkpoints: &Path,
        from: Option<&str>,
    ) -> millstream::Result<Launch> {
        let config = self.parsed(place, name, checkpoints)?;
        let launch = millstream::cli::launch(&flink_golden::program(), &config)?;
        Ok(match from {
            Some(savepoint) => launch.from_savepoint(savepoint, false),
            None => launch,
        })
    }

    fn parsed(
        &self,
        place: &Place,
        name: &str,
        checkpoints: &Path,
    ) -> millstream::Result<Config<GoldenOptions>> {
        let text = self.config(&url(checkpoints), &place.results_dir(self, name));
        let text = format!("{text}job.dir: {}\n", place.fresh("job").display());
        millstream::cli::parse_named("golden", &text, &self.set)
    }

    /// What would become of each state if the job went on here from a savepoint.
    pub(crate) fn dry_run(&self, place: &Place, savepoint: &str) -> millstream::Result<DryRun> {
        let config = self.parsed(place, "dry-run", &place.fresh("checkpoints"))?;
        let env = millstream::cli::environment(&flink_golden::program(), &config)?;
        let settings = config.engine.state.over(&env.settings())?;
        dry_run(&env.plan()?, &config.engine.runtime(&settings), Some(savepoint))
    }

    fn table_of_results(&self) -> &'static str {
        if self.pipeline == Pipeline::Straight { "events" } else { "results" }
    }
}

/// A folder for a test, and the jar.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    jar: Arc<Jar>,
    fresh: AtomicU32,
}

/// A jar in a folder of its own. Packing one takes longer than many a test, so those that run at the same time
/// share it.
struct Jar(tempfile::TempDir);

impl Jar {
    fn of(version: FlinkVersion) -> Result<Arc<Self>> {
        static PACKED: Mutex<BTreeMap<&str, Weak<Jar>>> = Mutex::new(BTreeMap::new());
        let mut packed = PACKED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jar) = packed.get(version.number()).and_then(Weak::upgrade) {
            return Ok(jar);
        }
        let jar = Arc::new(Self(tempfile::tempdir()?));
        version.pipeline_jar(&library()?, &jar.path())?;
        packed.insert(version.number(), Arc::downgrade(&jar));
        Ok(jar)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("golden.jar")
    }
}

impl Place {
    /// For the default version of Flink.
    pub(crate) fn new() -> Result<Self> {
        Self::for_version(FlinkVersion::default())
    }

    /// The same with a harness that was compiled against this Flink.
    pub(crate) fn for_version(version: FlinkVersion) -> Result<Self> {
        Ok(Self { dir: tempfile::tempdir()?, jar: Jar::of(version)?, fresh: AtomicU32::new(0) })
    }

    /// A job for Flink that writes its results under this name.
    pub(crate) fn submission(&self, case: &Case, name: &str) -> Result<Submission> {
        self.submission_at(case, name, &url(&self.fresh("checkpoints")))
    }

    /// The same with its checkpoints at this URL.
    pub(crate) fn submission_at(&self, case: &Case, name: &str, checkpoints: &str) -> Result<Submission> {
        let config = self.config(case, name, checkpoints)?;
        fs::create_dir_all(self.tripwire(case, name, ""))?;
        let submission =
            Submission::jar(&self.jar.path()).argument("--config").argument(config.display().to_string());
        let set = case.set.iter();
        Ok(set.fold(submission, |submission, change| submission.argument("--set").argument(change)))
    }

    /// The jar.
    pub(crate) fn jar(&self) -> PathBuf {
        self.jar.path()
    }

    /// The file of such a job.
    pub(crate) fn config(&self, case: &Case, name: &str, checkpoints: &str) -> Result<PathBuf> {
        let config = self.fresh("config.yaml");
        fs::write(&config, case.config(checkpoints, &self.results_dir(case, name)))?;
        Ok(config)
    }

    /// Makes an operator of a running job fail at its next record, in one of its subtasks. Returns when it
    /// has begun to.
    pub(crate) fn trip(&self, case: &Case, name: &str, operator: &str, fault: &str) -> Result<()> {
        let wire = self.tripwire(case, name, operator);
        let (tripped, made) = (wire.with_added_extension("tripped"), wire.with_added_extension("made"));
        let _ = fs::remove_file(&tripped); // of the fault before
        fs::write(&made, fault)?;
        fs::rename(&made, &wire)?;
        ensure!(wait::until(PATIENCE, || tripped.exists()), "no record reached {operator} to meet {fault}");
        Ok(())
    }

    fn tripwire(&self, case: &Case, name: &str, operator: &str) -> PathBuf {
        self.results_dir(case, name).join("tripwires").join(operator)
    }

    /// The same job, which goes on from a savepoint of this process.
    pub(crate) fn continued(&self, case: &Case, name: &str, savepoint: &str) -> Result<Submission> {
        Ok(self.movable(case, name)?.argument("--from-savepoint").argument(savepoint))
    }

    /// A job whose attempts are numbered where those in this process are.
    pub(crate) fn movable(&self, case: &Case, name: &str) -> Result<Submission> {
        self.submission_at(case, name, &url(&self.checkpoints_dir(name)))
    }

    /// Where the attempts of a job are numbered.
    pub(crate) fn checkpoints_dir(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}-checkpoints"))
    }

    /// The lines that a pipeline has written in Flink.
    pub(crate) fn results(&self, case: &Case, name: &str) -> Result<Vec<String>> {
        self.table(case, name, case.table_of_results())
    }

    /// The lines of one of its outputs.
    pub(crate) fn table(&self, case: &Case, name: &str, table: &str) -> Result<Vec<String>> {
        lines(&self.results_dir(case, name).join(table))
    }

    fn results_dir(&self, case: &Case, name: &str) -> PathBuf {
        self.dir.path().join(format!("{:?}-{name}", case.pipeline))
    }

    /// A path that nothing has.
    pub(crate) fn fresh(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{}-{name}", self.fresh.fetch_add(1, Relaxed)))
    }
}

/// The URL of a local directory.
pub(crate) fn url(directory: &Path) -> String {
    format!("file://{}", directory.display())
}

/// The library that cargo has built beside this test.
fn library() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let dir = test.parent().context("a test is in a directory")?;
    let found = [dir.join("libflink_golden.so"), dir.with_file_name("libflink_golden.so")];
    let found = found.into_iter().find(|path| path.is_file());
    found.with_context(|| format!("there is no libflink_golden.so in {} or above", dir.display()))
}

/// All lines of visible files, sorted.
fn lines(dir: &Path) -> Result<Vec<String>> {
    let mut all = Vec::new();
    let entries = fs::read_dir(dir).with_context(|| format!("{} cannot be read", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with('.') && path.is_file() {
            all.extend(fs::read_to_string(&path)?.lines().map(str::to_owned));
        }
    }
    all.sort_unstable();
    Ok(all)
}

/// Compares row by row.
pub(crate) fn must_be_equal(what: &str, expected: &[String], got: &[String]) -> Result<()> {
    let missing: Vec<_> = expected.iter().filter(|line| got.binary_search(line).is_err()).take(5).collect();
    let extra: Vec<_> = got.iter().filter(|line| expected.binary_search(line).is_err()).take(5).collect();
    ensure!(
        expected == got,
        "{what}: {} lines expected, {} found; missing: {missing:?}; too many: {extra:?}",
        expected.len(),
        got.len()
    );
    Ok(())
}

/// A number in a line of JSON.
pub(crate) fn number(line: &str, field: &str) -> u64 {
    let line: Value = serde_json::from_str(line).unwrap_or_default();
    line[field].as_u64().unwrap_or(0)
}

/// Compares the results of a pipeline with tripwires with what its events give, of which none is missing.
pub(crate) fn must_be_exact(place: &Place, case: &Case, name: &str) -> Result<()> {
    let events = place.table(case, name, "events")?;
    must_have_no_gaps(&events)?;
    must_be_equal(name, &interest_of(&events)?, &place.results(case, name)?)
}

/// What [`Pipeline::TwoInputs`] gives for these events.
fn interest_of(events: &[String]) -> Result<Vec<String>> {
    const HOUR: i64 = 3_600_000;
    let mut counts = BTreeMap::<(String, i64), u64>::new();
    for event in events {
        let event: Value = serde_json::from_str(event)?;
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let at = event["at"].as_i64().context("an event has a time")?;
        let weight = if text("behavior") == "pv" { 1 } else { 1_000_000 };
        *counts.entry((text("item"), at - at.rem_euclid(HOUR))).or_default() += weight;
    }
    let line = |((key, from), count)| Ok(serde_json::to_string(&Line { key, from, to: from + HOUR, count })?);
    let mut lines = counts.into_iter().map(line).collect::<Result<Vec<_>>>()?;
    lines.sort_unstable();
    Ok(lines)
}

/// Refuses events of which one is missing or there twice: those of each split are numbered from 0 on.
pub(crate) fn must_have_no_gaps(events: &[String]) -> Result<()> {
    let mut splits: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for event in events {
        let event: Value = serde_json::from_str(event)?;
        let (split, number) = event["id"].as_str().and_then(|id| id.split_once('-')).context("an id")?;
        splits.entry(split.parse()?).or_default().push(number.parse()?);
    }
    ensure!(splits.len() == 4, "events of {} splits, 4 expected", splits.len());
    for (split, mut numbers) in splits {
        numbers.sort_unstable();
        let wrong = (0..).zip(&numbers).find(|(expected, number)| expected != *number);
        ensure!(
            wrong.is_none(),
            "split {split}: {wrong:?} of {} events: one is missing or doubled",
            numbers.len()
        );
    }
    Ok(())
}
