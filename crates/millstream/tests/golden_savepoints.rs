//! Savepoints of every version so far are restored by this one, at any parallelism, on the heap and above a
//! cold store, and the jobs go on exactly.
//!
//! New ones are written by `cargo run -p millstream --example golden_savepoints -- <version>`; old ones are
//! never changed.
#![allow(clippy::panic, clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream::runtime::{Launch, RuntimeOptions, dry_run, run};
use millstream::state_backend::{Heap, StateBackend};
use millstream_sim::MemoryCold;
use support::golden::{BEFORE, JOBS, Results, SPLITS, input, plan};

/// Every version's folder.
fn versions() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut versions: Vec<_> = fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path()).collect();
    versions.sort();
    assert!(versions[0].ends_with("v1"), "the first version is kept for ever");
    versions
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

/// What a job says that is never stopped.
fn expected(job: &str) -> Vec<String> {
    let results = Results::default();
    run(plan(job, input(), 1, &results), RuntimeOptions::default()).unwrap();
    sorted(results.take())
}

/// What was said before the savepoint, and after it by a job of this parallelism and backend that goes on
/// from it.
fn resumed(job: &str, place: &Path, parallelism: u16, backend: Arc<dyn StateBackend>) -> Vec<String> {
    let before = fs::read_to_string(place.join("before.txt")).unwrap();
    let results = Results::default();
    let url = format!("file://{}", place.display());
    let launch = Launch::new(plan(job, input(), parallelism, &results), RuntimeOptions::default());
    let report = launch.with_backend(backend).from_savepoint(&url, false).start().unwrap().wait().unwrap();
    let read: u64 =
        report.operators.iter().filter(|operator| operator.name == "events").map(|o| o.records_out).sum();
    assert_eq!(read as usize, 600 - SPLITS * BEFORE, "{url}: the source goes on where it was");
    sorted(before.lines().map(str::to_owned).chain(results.take()).collect())
}

fn restores(job: &str) {
    let expected = expected(job);
    for version in versions() {
        let place = version.join(job);
        let cold: [Arc<dyn StateBackend>; 2] =
            [Arc::new(MemoryCold::new(0)), Arc::new(MemoryCold::new(1 << 20))];
        let heap = [1, 2, 5].map(|parallelism| (parallelism, Arc::new(Heap) as Arc<dyn StateBackend>));
        for (parallelism, backend) in heap.into_iter().chain([3, 1].into_iter().zip(cold)) {
            let rows = resumed(job, &place, parallelism, backend);
            let different = rows.iter().zip(&expected).find(|(row, wanted)| row != wanted);
            let counts = (rows.len(), expected.len());
            assert!(rows == expected, "{} at {parallelism}: {different:?}, rows {counts:?}", place.display());
        }
    }
}

#[test]
fn tumbling_windows_of_every_version_go_on() {
    restores("tumbling");
}

#[test]
fn sliding_windows_of_every_version_go_on() {
    restores("sliding");
}

#[test]
fn sessions_of_every_version_go_on() {
    restores("session");
}

#[test]
fn triggers_of_every_version_go_on() {
    restores("triggered");
}

#[test]
fn keyed_states_of_every_kind_and_timers_of_every_version_go_on() {
    restores("process");
}

#[test]
fn this_version_writes_the_schemas_that_the_first_one_wrote_or_migrates_them() {
    for (version, job) in versions().iter().flat_map(|version| JOBS.map(|job| (version.clone(), job))) {
        let plan = plan(job, input(), 2, &Results::default());
        let url = format!("file://{}", version.join(job).display());
        let seen = dry_run(&plan, &RuntimeOptions::default(), Some(&url)).unwrap();
        seen.report.refusal(false).unwrap();
        assert!(!seen.report.to_string().contains("new:"), "{url}: a state begins empty\n{}", seen.report);
    }
}
