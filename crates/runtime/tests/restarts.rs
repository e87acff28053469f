//! A job that fails goes on by itself, as often as its strategy says, with exact results.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use millstream_protocol::checkpoint_options::RestartStrategy;
use millstream_record::{Error, ErrorKind, Result};
use millstream_runtime::{JobStatus, RuntimeOptions, start};
use millstream_stage::Step;
use millstream_stage::plan::{Exchange, Plan};
use support::numbers::Numbers;
use support::ops::{Each, KeyedSum, OnBatch, Watermarks};
use support::plans::*;
use support::wait;

const SPLITS: [(i64, i64); 3] = [(0, 40_000), (1000, 41_000), (17, 40_017)];

/// Numbers -> watermarks -> suspect -> by key -> sum -> sink.
fn suspicious(numbers: &Numbers, written: &Sums, suspect: OnBatch) -> Plan {
    let written = written.clone();
    let sum = then("sum", KeyedSum::default, sink("out", written.direct()));
    let suspect = then("suspect", move || Each(Arc::clone(&suspect)), hashed(0));
    plan(
        vec![
            source(
                "numbers -> watermarks -> suspect",
                2,
                numbers,
                then("watermarks", Watermarks::default, suspect),
            ),
            stage_of("sum -> out", 2, 1, sum),
        ],
        vec![edge(0, 1, 0, Exchange::Hash)],
    )
}

fn fixed(attempts: u32) -> RuntimeOptions {
    let delay = Duration::from_millis(5);
    RuntimeOptions { restart: RestartStrategy::FixedDelay { attempts, delay }.into(), ..support::options() }
}

/// Fails once whenever so many rows more have come by; `failures` times in all.
fn failing(every: u64, failures: u64, how: fn() -> Result<Step>) -> OnBatch {
    let (seen, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    Arc::new(move |rows| {
        let seen = seen.fetch_add(rows.len() as u64, SeqCst) + rows.len() as u64;
        if failed.load(SeqCst) < failures && seen > every * (failed.load(SeqCst) + 1) {
            failed.fetch_add(1, SeqCst);
            return how();
        }
        Ok(Step::DONE)
    })
}

fn broken() -> Result<Step> {
    Err(Error::retry("the connection was reset"))
}

#[test]
fn a_failing_operator_is_restarted_and_the_sums_are_exact() {
    for how in [broken, || panic!("index out of bounds")] {
        let (numbers, written) = (Numbers::new(&SPLITS), Sums::default());
        let plan = suspicious(&numbers, &written, failing(20_000, 3, how));
        let job = start(plan, fixed(3)).unwrap();
        let control = job.control();
        let read = move || control.metrics().watermark("numbers");
        while job.checkpoint_now().is_ok() && job.attempts() < 2 {}
        let report = wait(job).unwrap();
        assert_eq!(written.sorted(), sums_of(&SPLITS));
        assert_eq!((report.attempts, report.epoch, report.status), (4, 4, JobStatus::Finished));
        assert!(read().is_some());
    }
}

#[test]
fn a_restart_goes_on_from_the_last_checkpoint() {
    let numbers = Numbers { gate_at: 20_000, ..Numbers::new(&SPLITS) };
    let at_gate = numbers.probe.gate();
    let written = Sums::default();
    // The first batch behind the gate fails.
    let failed = AtomicU64::new(0);
    let suspect: OnBatch = Arc::new(move |rows| {
        let behind = rows.iter().any(|number| *number >= 20_000);
        if behind && failed.fetch_add(1, SeqCst) == 0 { broken() } else { Ok(Step::DONE) }
    });
    let job = start(suspicious(&numbers, &written, suspect), fixed(1)).unwrap();
    let control = job.control();
    at_gate.recv().unwrap();
    let done = job.checkpoint_now().unwrap();
    let before = numbers.probe.read.load(SeqCst);
    numbers.probe.open_gate();
    let report = wait(job).unwrap();
    assert_eq!(written.sorted(), sums_of(&SPLITS));
    assert_eq!(report.attempts, 2);
    let total: i64 = SPLITS.iter().map(|(from, to)| to - from).sum();
    let twice = numbers.probe.read.load(SeqCst) - total as u64;
    assert!(twice < before, "what the checkpoint holds was not read again: {twice} of {before}");
    let history = control.checkpoint_stats();
    assert_eq!((done.id, done.epoch), (1, 1));
    assert_eq!(history.latest_restored.map(|restored| (restored.id, restored.epoch)), Some((1, 1)));
    let failures = control.exceptions();
    assert_eq!(failures.len(), 1);
    assert_eq!((failures[0].epoch, failures[0].kind), (1, ErrorKind::Retry));
    assert!(
        failures[0].task.as_deref().is_some_and(|task| task.starts_with("stage `numbers")),
        "{failures:?}"
    );
    assert!(failures[0].error.starts_with("the connection was reset"), "{failures:?}");
}

#[test]
fn when_all_attempts_are_used_up_the_last_error_is_the_end() {
    let written = Sums::default();
    let plan = suspicious(&Numbers::new(&SPLITS), &written, failing(1000, 9, broken));
    let job = start(plan, fixed(2)).unwrap();
    let control = job.control();
    let error = wait(job).unwrap_err();
    assert!(error.chain().contains("the connection was reset"), "{}", error.chain());
    assert_eq!((control.attempts(), control.exceptions().len()), (3, 3));
    assert_eq!(control.status(), JobStatus::Failed);
}

#[test]
fn what_a_restart_cannot_cure_ends_the_job() {
    for kind in [ErrorKind::Configuration, ErrorKind::Data, ErrorKind::Fenced] {
        let suspect: OnBatch = Arc::new(move |_| Err(Error::new(kind, "no restart helps")));
        let job = start(suspicious(&Numbers::new(&SPLITS), &Sums::default(), suspect), fixed(5)).unwrap();
        let control = job.control();
        assert_eq!((wait(job).unwrap_err().kind(), control.attempts()), (kind, 1));
    }
}

#[test]
fn a_stop_and_a_cancel_end_the_wait_for_the_next_attempt() {
    let delay = Duration::from_secs(3600);
    let strategy = RestartStrategy::FixedDelay { attempts: 1, delay };
    let options = RuntimeOptions { restart: strategy.into(), ..support::options() };
    for cancel in [false, true] {
        let plan = suspicious(&Numbers::new(&SPLITS), &Sums::default(), failing(1000, 9, broken));
        let job = start(plan, options.clone()).unwrap();
        while job.status() != JobStatus::Restarting {
            std::thread::yield_now();
        }
        let asked = job.trigger_savepoint(Some("file:///nowhere")).unwrap();
        if cancel {
            job.cancel();
        } else {
            job.stop();
        }
        let report = wait(job).unwrap();
        assert_eq!(asked.wait().unwrap_err().kind(), ErrorKind::Restart, "no attempt will answer");
        let wanted = if cancel { JobStatus::Canceled } else { JobStatus::Suspended };
        assert_eq!((report.status, report.attempts), (wanted, 1));
    }
}

#[test]
fn what_is_asked_between_two_attempts_is_answered_by_the_next_one() {
    let strategy = RestartStrategy::FixedDelay { attempts: 1, delay: Duration::from_millis(500) };
    let options = RuntimeOptions { restart: strategy.into(), ..support::options() };
    let plan = suspicious(&Numbers::endless(2), &Sums::default(), failing(1000, 1, broken));
    let job = start(plan, options).unwrap();
    while job.status() != JobStatus::Restarting && job.attempts() < 2 {
        std::thread::yield_now();
    }
    assert_eq!(job.checkpoint_now().unwrap().epoch, 2);
    job.cancel();
    wait(job).unwrap();
}

#[test]
fn a_cancelled_job_ends_at_once_without_an_error() {
    let job = start(keyed_sum(&Numbers::endless(2), 2, 2, &Sums::default()), fixed(3)).unwrap();
    let control = job.control();
    assert_eq!(job.status(), JobStatus::Running);
    job.cancel();
    let report = wait(job).unwrap();
    assert_eq!((report.status, report.attempts), (JobStatus::Canceled, 1));
    assert!(control.exceptions().is_empty(), "nothing went wrong");
    assert_eq!(control.checkpoint_now().unwrap_err().kind(), ErrorKind::Restart);
}

#[test]
fn a_checkpoint_that_takes_too_long_is_given_up_and_the_job_goes_on() {
    let (numbers, written) = (Numbers { gate_at: 5_000, ..Numbers::new(&SPLITS) }, Sums::default());
    let at_gate = numbers.probe.gate();
    // Behind the gate the first batch stands still until the test lets it go.
    let hold = Arc::new(parking_lot::Mutex::new(()));
    let held = hold.lock();
    let wait_for = Arc::clone(&hold);
    let suspect: OnBatch = Arc::new(move |rows| {
        if rows.iter().any(|number| *number >= 5_000) {
            drop(wait_for.lock());
        }
        Ok(Step::DONE)
    });
    let mut options = fixed(0);
    options.checkpointing.timeout = Duration::from_millis(50);
    options.checkpointing.tolerable_failed = 100_000;
    let job = start(suspicious(&numbers, &written, suspect), options).unwrap();
    at_gate.recv().unwrap();
    numbers.probe.open_gate();
    let error = loop {
        if let Err(error) = job.checkpoint_now() {
            break error;
        }
    };
    assert!(error.chain().contains("execution.checkpointing.timeout"), "{}", error.chain());
    drop(held);
    while job.status() == JobStatus::Running && job.checkpoint_now().is_err() {}
    let control = job.control();
    assert_eq!(wait(job).unwrap().attempts, 1, "it was tolerated");
    assert_eq!(written.sorted(), sums_of(&SPLITS));
    assert!(control.checkpoint_stats().counts.failed >= 1);
}
