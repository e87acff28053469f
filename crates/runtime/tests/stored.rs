//! Checkpoints in a storage: a new process goes on where the old one was, whatever happened to it.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use millstream_protocol::checkpoint_options::{CheckpointOptions, RestartStrategy, Retention};
use millstream_record::ErrorKind;
use millstream_runtime::{JobStatus, Launch, RuntimeOptions, start};
use millstream_stage::stage::End;
use support::numbers::Numbers;
use support::plans::*;
use support::{until, wait};

const SPLITS: [(i64, i64); 3] = [(0, 40_000), (1000, 41_000), (17, 40_017)];

/// Checkpoints below a directory, as often as can be.
fn stored(dir: &Path) -> RuntimeOptions {
    let interval = Some(Duration::from_millis(10));
    RuntimeOptions {
        epoch: None,
        checkpoints_dir: Some(format!("file://{}", dir.display())),
        savepoints_dir: Some(format!("file://{}", dir.join("savepoints").display())),
        checkpointing: CheckpointOptions { interval, ..CheckpointOptions::default() },
        restart: RestartStrategy::None.into(),
        ..support::options()
    }
}

fn gated(at: i64) -> Numbers {
    Numbers { gate_at: at, ..Numbers::new(&SPLITS) }
}

fn length(splits: &[(i64, i64)]) -> u64 {
    splits.iter().map(|(from, to)| (to - from) as u64).sum()
}

fn total() -> u64 {
    length(&SPLITS)
}

#[test]
fn a_process_that_is_gone_leaves_its_checkpoints_to_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut read = 0;
    for (round, gate) in [10_000, 20_000, 30_000].into_iter().enumerate() {
        let numbers = gated(gate);
        let at_gate = numbers.probe.gate();
        let written = Sums::default();
        let parallelism = [(2, 2), (1, 3), (3, 1)][round];
        let job =
            start(keyed_sum(&numbers, parallelism.0, parallelism.1, &written), stored(dir.path())).unwrap();
        assert_eq!(job.epoch(), round as u64 + 1);
        at_gate.recv().unwrap();
        // One that was triggered after the gate was reached holds all that was read.
        let before = job.checkpoint_stats().counts.total;
        until(|| job.checkpoint_stats().latest_completed.is_some_and(|latest| latest.id > before));
        read += numbers.probe.read.load(SeqCst);
        drop(job);
        assert!(written.sorted().is_empty());
    }
    let (numbers, written) = (Numbers::new(&SPLITS), Sums::default());
    let job = start(keyed_sum(&numbers, 2, 2, &written), stored(dir.path())).unwrap();
    let control = job.control();
    let report = wait(job).unwrap();
    assert_eq!(written.sorted(), sums_of(&SPLITS));
    assert_eq!((report.epoch, report.end, report.status), (4, End::Finished, JobStatus::Finished));
    assert_eq!(control.checkpoint_stats().counts.restored, 1);
    read += numbers.probe.read.load(SeqCst);
    assert!(read < 2 * total(), "it went on, it did not begin anew: {read} of {}", total());

    // It has finished: the next one begins from the start, with a higher epoch.
    let written = Sums::default();
    let report = wait(start(keyed_sum(&Numbers::new(&SPLITS), 1, 1, &written), stored(dir.path())).unwrap());
    assert_eq!(report.unwrap().epoch, 5);
    assert_eq!(written.sorted(), sums_of(&SPLITS));
}

#[test]
fn a_job_that_was_stopped_goes_on_from_its_last_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let numbers = gated(15_000);
    let at_gate = numbers.probe.gate();
    let options = RuntimeOptions {
        // No periodic ones: the last one alone.
        checkpointing: CheckpointOptions::default(),
        ..stored(dir.path())
    };
    let job = start(keyed_sum(&numbers, 2, 2, &Sums::default()), options.clone()).unwrap();
    at_gate.recv().unwrap();
    job.stop();
    let report = wait(job).unwrap();
    assert_eq!((report.end, report.status), (End::Stopped, JobStatus::Suspended));
    let (again, written) = (Numbers::new(&SPLITS), Sums::default());
    wait(start(keyed_sum(&again, 1, 2, &written), options).unwrap()).unwrap();
    assert_eq!(written.sorted(), sums_of(&SPLITS));
    let read = numbers.probe.read.load(SeqCst) + again.probe.read.load(SeqCst);
    assert_eq!(read, total(), "nothing was read twice");
}

#[test]
fn the_older_of_two_processes_is_fenced_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    let restart = RestartStrategy::FixedDelay { attempts: 9, delay: Duration::from_millis(1) };
    let options = RuntimeOptions { restart: restart.into(), ..stored(dir.path()) };
    let numbers = gated(10_000);
    let old = start(keyed_sum(&numbers, 1, 1, &Sums::default()), options.clone()).unwrap();
    until(|| old.checkpoint_stats().counts.completed > 0);
    let written = Sums::default();
    let new = start(keyed_sum(&Numbers::new(&SPLITS), 2, 2, &written), options).unwrap();
    let control = old.control();
    let error = wait(old).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{}", error.chain());
    assert_eq!(control.attempts(), 1, "it does not come back");
    wait(new).unwrap();
    assert_eq!(written.sorted(), sums_of(&SPLITS));
}

#[test]
fn savepoints_restore_at_another_parallelism_and_under_another_name() {
    let dir = tempfile::tempdir().unwrap();
    let numbers = gated(20_000);
    let at_gate = numbers.probe.gate();
    let written = Sums::default();
    let job = start(keyed_sum(&numbers, 2, 3, &written), stored(dir.path())).unwrap();
    at_gate.recv().unwrap();
    let done = job.savepoint(None).unwrap();
    let url = done.url.unwrap();
    assert!(url.contains("/savepoints/savepoint-"), "{url}");
    let heard = written.completed.lock().values().flatten().any(|id| *id == done.id);
    assert!(!heard, "a savepoint commits nothing");

    // The fork, while the old one runs.
    let forked = Sums::default();
    let mut plan = keyed_sum(&Numbers::new(&SPLITS), 3, 1, &forked);
    plan.name = "fork".into();
    let fork = Launch::new(plan, stored(dir.path())).from_savepoint(&url, false).start().unwrap();
    let report = wait(fork).unwrap();
    assert_eq!(report.epoch, 1, "a job of its own");
    assert_eq!(forked.sorted(), sums_of(&SPLITS));

    numbers.probe.open_gate();
    wait(job).unwrap();
    assert_eq!(written.sorted(), sums_of(&SPLITS));
    // Nobody but the user deletes it.
    let restored = Sums::default();
    let mut plan = keyed_sum(&Numbers::new(&SPLITS), 1, 2, &restored);
    plan.name = "later".into();
    wait(Launch::new(plan, stored(dir.path())).from_savepoint(&url, false).start().unwrap()).unwrap();
    assert_eq!(restored.sorted(), sums_of(&SPLITS));
}

#[test]
fn a_savepoint_makes_newer_attempts_of_its_job_where_the_log_is_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let plan = || keyed_sum(&Numbers::new(&SPLITS), 2, 3, &Sums::default());
    // Three attempts.
    for _ in 0..2 {
        wait(start(plan(), stored(dir.path())).unwrap()).unwrap();
    }
    let numbers = gated(20_000);
    let at_gate = numbers.probe.gate();
    let job = start(keyed_sum(&numbers, 2, 3, &Sums::default()), stored(dir.path())).unwrap();
    at_gate.recv().unwrap();
    let url = job.stop_with_savepoint(None, false).unwrap().url.unwrap();
    let before = wait(job).unwrap().epoch;
    assert_eq!(before, 3);
    let elsewhere = tempfile::tempdir().unwrap();
    let job = Launch::new(plan(), stored(elsewhere.path())).from_savepoint(&url, false).start().unwrap();
    assert_eq!(wait(job).unwrap().epoch, before + 1);
}

#[test]
fn stop_with_savepoint_ends_the_job_and_its_name_goes_on_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let numbers = gated(20_000);
    let at_gate = numbers.probe.gate();
    let written = Sums::default();
    let job = start(keyed_sum(&numbers, 2, 2, &written), stored(dir.path())).unwrap();
    at_gate.recv().unwrap();
    let done = job.stop_with_savepoint(None, false).unwrap();
    let report = wait(job).unwrap();
    assert_eq!((report.end, report.status), (End::Stopped, JobStatus::Finished));
    assert!(written.sorted().is_empty(), "open sums are left alone");
    let heard = written.completed.lock().values().all(|ids| ids.contains(&done.id));
    assert!(heard, "the last one commits");
    let again = Numbers::new(&SPLITS);
    wait(start(keyed_sum(&again, 1, 1, &written), stored(dir.path())).unwrap()).unwrap();
    assert_eq!(written.sorted(), sums_of(&SPLITS));
    assert_eq!(numbers.probe.read.load(SeqCst) + again.probe.read.load(SeqCst), total(), "nothing twice");
}

#[test]
fn a_drain_fires_everything_that_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let numbers = gated(20_000);
    let written = Sums::default();
    let job = start(keyed_sum(&numbers, 3, 2, &written), stored(dir.path())).unwrap();
    let before = [(0, 20_000), (1000, 20_000), (17, 20_000)];
    until(|| numbers.probe.read.load(SeqCst) == length(&before));
    let done = job.stop_with_savepoint(None, true).unwrap();
    assert!(done.url.is_some());
    assert_eq!(wait(job).unwrap().end, End::Finished);
    assert_eq!(written.sorted(), sums_of(&before));

    // Its event time is over: whoever went on from the savepoint would find everything late.
    let (again, written) = (Numbers::new(&SPLITS), Sums::default());
    wait(start(keyed_sum(&again, 3, 2, &written), stored(dir.path())).unwrap()).unwrap();
    assert_eq!(again.probe.read.load(SeqCst), total(), "it begins anew");
    let savepoint = done.url.unwrap();
    let metadata = Path::new(savepoint.trim_start_matches("file://")).join("_metadata");
    assert!(metadata.is_file(), "the savepoint stays: it is the user's");
    assert_eq!(written.sorted(), sums_of(&SPLITS));
}

#[test]
fn a_savepoint_that_cannot_be_asked_for_is_no_failure_of_the_job() {
    let dir = tempfile::tempdir().unwrap();
    let job = start(keyed_sum(&gated(20_000), 3, 2, &Sums::default()), stored(dir.path())).unwrap();
    for nowhere in ["savepoints", "ftp://host/savepoints"] {
        let error = job.savepoint(Some(nowhere)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains("file:///"), "{error}");
    }
    assert_eq!(job.checkpoint_stats().counts.failed, 0);
}

#[test]
fn a_damaged_checkpoint_is_passed_over_for_an_older_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = stored(dir.path());
    options.checkpointing.num_retained = 3;
    let numbers = gated(20_000);
    let job = start(keyed_sum(&numbers, 2, 2, &Sums::default()), options.clone()).unwrap();
    until(|| job.checkpoint_stats().counts.completed >= 4);
    drop(job);
    // One loses its manifest's meaning, the other the bytes of its state.
    let mut checkpoints = newest_first(dir.path());
    assert!(checkpoints.len() >= 3, "{checkpoints:?}");
    fs::write(checkpoints.remove(0).join("manifest"), "{}").unwrap();
    let second = checkpoints.remove(0);
    let state = files(&second).into_iter().find(|file| file.extension().is_some_and(|ext| ext == "state"));
    let state = state.expect("a file of state");
    let mut bytes = fs::read(&state).unwrap();
    bytes[40] ^= 1;
    fs::write(&state, bytes).unwrap();
    let written = Sums::default();
    let job = start(keyed_sum(&Numbers::new(&SPLITS), 2, 2, &written), options).unwrap();
    let restored = job.checkpoint_stats().latest_restored.unwrap();
    let third = checkpoints[0].file_name().unwrap().to_str().unwrap().to_owned();
    assert!(restored.url.ends_with(&third), "{} is not {third}", restored.url);
    wait(job).unwrap();
    assert_eq!(written.sorted(), sums_of(&SPLITS));
}

// The folders of all checkpoints of the one job.
fn newest_first(dir: &Path) -> Vec<PathBuf> {
    let jobs = files(dir).into_iter().filter(|path| path.join("log").is_dir());
    let mut all: Vec<_> = jobs.flat_map(|job| files(&job)).collect();
    let number = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?.strip_prefix("chk-")?;
        name.split('-').next()?.parse::<u64>().ok()
    };
    all.retain(|path| number(path).is_some() && path.join("manifest").exists());
    all.sort_by_key(|path| std::cmp::Reverse(number(path)));
    all
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("the directory is there");
    entries.map(|entry| entry.expect("it can be read").path()).collect()
}

#[test]
fn failed_checkpoints_are_tolerated_as_often_as_was_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = stored(dir.path());
    options.checkpointing.tolerable_failed = 2;
    options.storage.max_retries = 0;
    let numbers = gated(10_000);
    let job = start(keyed_sum(&numbers, 1, 1, &Sums::default()), options).unwrap();
    until(|| job.checkpoint_stats().counts.completed > 0);
    // Where the next ones are to be, a file is in the way; the log is not harmed.
    let folder = newest_first(dir.path())[0].parent().unwrap().to_owned();
    let latest = job.checkpoint_stats().counts.total;
    for id in latest..latest + 1000 {
        let _ = fs::write(folder.join(format!("chk-{id}-1")), "");
    }
    let control = job.control();
    let error = wait(job).unwrap_err();
    assert!(
        error.chain().contains("3 checkpoints in a row have failed, 2 are tolerated"),
        "{}",
        error.chain()
    );
    let history = control.checkpoint_stats();
    assert_eq!(history.counts.failed, 3);
    assert!(history.latest_failed.unwrap().failure.unwrap().contains("could not be stored"));
}

#[test]
fn what_is_left_of_a_cancelled_job_is_what_retention_says() {
    let kept = [
        (Retention::RetainOnCancellation, true),
        (Retention::DeleteOnCancellation, false),
        (Retention::NoExternalizedCheckpoints, false),
    ];
    for (retention, left) in kept {
        let dir = tempfile::tempdir().unwrap();
        let mut options = stored(dir.path());
        options.checkpointing.retention = retention;
        let job = start(keyed_sum(&gated(10_000), 1, 2, &Sums::default()), options.clone()).unwrap();
        until(|| job.checkpoint_stats().counts.completed > 0);
        job.cancel();
        assert_eq!(wait(job).unwrap().status, JobStatus::Canceled);
        let again = start(keyed_sum(&gated(10_000), 1, 2, &Sums::default()), options).unwrap();
        assert_eq!(again.checkpoint_stats().latest_restored.is_some(), left, "{retention:?}");
    }
}

#[test]
fn savepoints_come_by_themselves_where_an_interval_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = stored(dir.path());
    options.checkpointing.savepoint_interval = Some(Duration::from_millis(30));
    let job = start(keyed_sum(&gated(10_000), 1, 2, &Sums::default()), options).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    until(|| {
        seen.extend(job.checkpoint_stats().latest_savepoint.and_then(|savepoint| savepoint.url));
        seen.len() >= 3
    });
    drop(job);
    for url in seen {
        let mut plan = keyed_sum(&Numbers::new(&SPLITS), 2, 1, &Sums::default());
        plan.name = "from-one".into();
        wait(Launch::new(plan, stored(dir.path())).from_savepoint(&url, false).start().unwrap()).unwrap();
    }
}
