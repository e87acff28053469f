//! Orderly stop: what was read is processed and flushed, open windows are left alone.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use millstream_record::ErrorKind;
use millstream_runtime::{RuntimeOptions, start};
use millstream_stage::Step;
use millstream_stage::plan::{Exchange, Plan};
use millstream_stage::stage::End;
use parking_lot::Mutex;
use support::numbers::Numbers;
use support::ops::{KeyedSum, Resumes, WatermarkWatch, Watermarks};
use support::plans::*;
use support::sinks::Written;
use support::wait;

type Marks = Arc<Mutex<Vec<i64>>>;

/// Numbers -> by key -> both a sum that fires at the end and a sink that flushes with futures.
fn flood(numbers: &Numbers, all: &Written<i64>, sums: &Sums, watermarks: &Marks) -> Plan {
    let (all, sums, watermarks) = (all.clone(), sums.clone(), Arc::clone(watermarks));
    let sum = then("sum", KeyedSum::default, sink("sums", sums.direct()));
    let out = sink("out", all.buffered(5000));
    let watch = then("watch", move || WatermarkWatch(Arc::clone(&watermarks)), both(sum, out));
    plan(
        vec![
            source("numbers -> watermarks", 2, numbers, then("watermarks", Watermarks::default, hashed(0))),
            stage_of("watch -> sum -> sums -> out", 2, 1, watch),
        ],
        vec![edge(0, 1, 0, Exchange::Hash)],
    )
}

#[test]
fn a_stop_in_mid_flood_flushes_all_that_was_read_and_fires_nothing() {
    let numbers = Numbers::endless(4);
    let (all, sums, watermarks) = (Written::default(), Sums::default(), Marks::default());
    let job = start(flood(&numbers, &all, &sums, &watermarks), support::options()).unwrap();
    // Mid-flood: a checkpoint is through, data flows.
    job.checkpoint().unwrap();
    job.stop();
    job.stop();
    let report = wait(job).unwrap();
    assert_eq!(report.end, End::Stopped);
    assert!(report.to_string().contains("was stopped after"), "{report}");
    let read = numbers.probe.read.load(SeqCst);
    assert_eq!(all.rows.lock().len() as u64, read, "nothing that was read is lost");
    assert_eq!(report.operator("numbers").unwrap().records_out, read);
    assert!(sums.sorted().is_empty(), "open sums were not written as if they were complete");
    assert!(watermarks.lock().iter().all(|watermark| *watermark < i64::MAX), "no final watermark");
    assert_eq!(numbers.probe.closed.load(SeqCst), 2);
}

#[test]
fn a_job_that_waits_for_input_stops() {
    let numbers = Numbers { bounded: false, ..Numbers::new(&[(0, 5)]) };
    let (all, sums, watermarks) = (Written::default(), Sums::default(), Marks::default());
    let job = start(flood(&numbers, &all, &sums, &watermarks), support::options()).unwrap();
    job.checkpoint().unwrap();
    job.stop();
    assert_eq!(wait(job).unwrap().end, End::Stopped);
    assert!(all.rows.lock().len() <= 5);
}

#[test]
fn a_stop_after_the_end_changes_nothing() {
    let numbers = Numbers::new(&[(0, 100)]);
    let (all, sums, watermarks) = (Written::default(), Sums::default(), Marks::default());
    let job = start(flood(&numbers, &all, &sums, &watermarks), support::options()).unwrap();
    let control = job.control();
    assert_eq!(wait(job).unwrap().end, End::Finished);
    assert!(control.is_over());
    control.stop();
    control.abort("too late");
    assert_eq!(sums.sorted(), sums_of(&[(0, 100)]));
}

#[test]
fn a_stop_that_takes_too_long_names_who_holds_it_up() {
    let count: Arc<AtomicU64> = Arc::default();
    let stuck = move || Resumes::new(&count, Step::BLOCKED, |_| Ok(Step::BLOCKED));
    let written = Written::default();
    let writer = written.clone();
    let plan = plan(
        vec![
            source("numbers", 1, &Numbers::endless(1), rebalanced(0)),
            stage_of("stuck -> out", 1, 1, then("stuck", stuck, sink("out", writer.direct()))),
        ],
        vec![edge(0, 1, 0, Exchange::Rebalance)],
    );
    let options = RuntimeOptions { stop_timeout: Duration::from_millis(50), ..support::options() };
    let job = start(plan, options).unwrap();
    job.stop();
    let error = wait(job).unwrap_err();
    assert!(error.chain().contains("did not stop within 50ms"), "{error}");
    assert!(error.chain().contains("stage `stuck -> out` (subtask 1 of 1)"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Restart);
    assert_eq!(written.closed.load(SeqCst), 1);
}
