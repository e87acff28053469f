//! Whatever fails: one clear error, everything closed, and never a hang.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use millstream_record::{Error, ErrorKind};
use millstream_runtime::start;
use millstream_stage::plan::{Exchange, Plan};
use millstream_stage::{Operator, Step};
use support::numbers::Numbers;
use support::ops::{Each, OnBatch, Resumes, Unopenable};
use support::plans::*;
use support::sinks::Written;
use support::wait;

/// Numbers -> an operator -> a sink that never gets anything but through it, at these parallelisms.
fn through<O: Operator<In = i64, Out = i64>>(
    numbers: &Numbers,
    parallelism: (u16, u16),
    written: &Written<i64>,
    operator: impl Fn() -> O + Send + Sync + 'static,
) -> Plan {
    let written = written.clone();
    plan(
        vec![
            source("numbers", parallelism.0, numbers, rebalanced(0)),
            stage_of("suspect", parallelism.1, 1, then("suspect", operator, rebalanced(1))),
            stage_of("out", 2, 1, sink("out", written.direct())),
        ],
        vec![edge(0, 1, 0, Exchange::Rebalance), edge(1, 2, 0, Exchange::Rebalance)],
    )
}

fn fail_at(count: u64, how: fn() -> millstream_record::Result<Step>) -> impl Fn() -> Each {
    let seen = Arc::new(AtomicU64::new(0));
    let on_batch: OnBatch = Arc::new(move |rows| {
        let seen = seen.fetch_add(rows.len() as u64, SeqCst);
        if seen < count { Ok(Step::DONE) } else { how() }
    });
    move || Each(Arc::clone(&on_batch))
}

#[test]
fn an_error_ends_the_job_with_names_and_causes() {
    let numbers = Numbers::endless(3);
    let written = Written::default();
    let broken = fail_at(5000, || {
        Err(Error::restart("the write was refused").caused_by(std::io::Error::other("disk full")))
    });
    let job = start(through(&numbers, (3, 4), &written, broken), support::options()).unwrap();
    let error = wait(job).unwrap_err();
    let text = error.chain();
    let reason = "the write was refused: disk full (operator suspect, stage `suspect` (subtask ";
    assert!(text.starts_with(reason) && text.ends_with(" of 4))"), "{text}");
    assert_eq!(error.kind(), ErrorKind::Restart);
    assert_eq!(numbers.probe.closed.load(SeqCst), 3, "readers were closed");
    assert_eq!(written.closed.load(SeqCst), 2, "writers were closed");
}

#[test]
fn a_panic_ends_the_job_with_its_message_and_place() {
    let numbers = Numbers::endless(2);
    let written = Written::default();
    let broken = fail_at(3000, || panic!("attempt to divide {} by zero", 7));
    let job = start(through(&numbers, (2, 2), &written, broken), support::options()).unwrap();
    let error = wait(job).unwrap_err();
    assert!(error.chain().contains("stage `suspect` (subtask "), "{error}");
    assert!(error.chain().contains("panicked: attempt to divide 7 by zero, at "), "{error}");
    assert!(error.chain().contains("failing.rs:"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Bug);
    assert_eq!((numbers.probe.closed.load(SeqCst), written.closed.load(SeqCst)), (2, 2));
}

#[test]
fn senders_before_full_queues_and_takers_before_empty_ones_leave() {
    // The suspect takes one batch and is blocked: its queue fills, the sink's stays empty. Then it fails.
    let resumed = Arc::new(AtomicU64::new(0));
    let fails = move || {
        let count = Arc::clone(&resumed);
        Resumes::new(&resumed, Step { wake_at: Some(100), ..Step::BLOCKED }, move |_| {
            // The first resume comes before any data.
            if count.load(SeqCst) == 1 { Ok(Step::DONE) } else { Err(Error::retry("gave up")) }
        })
    };
    let numbers = Numbers::endless(2);
    let job = start(through(&numbers, (2, 1), &Written::default(), fails), support::options()).unwrap();
    let text = wait(job).unwrap_err().chain();
    assert_eq!(text, "gave up (operator suspect, stage `suspect` (subtask 1 of 1))");
    assert_eq!(numbers.probe.closed.load(SeqCst), 2);
}

#[test]
fn one_error_is_reported_where_every_subtask_fails() {
    let broken = fail_at(0, || Err(Error::bug("broken from the start")));
    let plan = through(&Numbers::endless(4), (4, 4), &Written::default(), broken);
    let text = wait(start(plan, support::options()).unwrap()).unwrap_err().chain();
    assert_eq!(text.matches("broken from the start").count(), 1, "{text}");
}

#[test]
fn what_cannot_be_opened_never_starts() {
    let numbers = Numbers::endless(2);
    let written = Written::default();
    let error = start(through(&numbers, (2, 2), &written, || Unopenable), support::options()).unwrap_err();
    assert!(
        error.chain().starts_with("the table does not exist (operator suspect, stage `"),
        "{}",
        error.chain()
    );
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(numbers.probe.read.load(SeqCst), 0, "nothing was read");
    assert_eq!((numbers.probe.closed.load(SeqCst), written.closed.load(SeqCst)), (2, 2));
}

#[test]
fn an_enumerator_that_finds_nothing_fails_the_job_before_anything_runs() {
    let numbers = Numbers { lost: true, ..Numbers::endless(2) };
    let plan = through(&numbers, (2, 2), &Written::default(), || Unopenable);
    let error = start(plan, support::options()).unwrap_err();
    assert_eq!(error.chain(), "there is no topic `numbers` (operator numbers)");
    assert_eq!(numbers.probe.closed.load(SeqCst), 0, "no reader was ever made");
}

#[test]
fn a_panic_while_closing_is_reported() {
    let count = Arc::default();
    let suspect = move || Resumes {
        on_close: || panic!("the socket is gone"),
        ..Resumes::new(&count, Step::DONE, |_| Ok(Step::DONE))
    };
    let plan = through(&Numbers::new(&[(0, 10)]), (1, 1), &Written::default(), suspect);
    let text = wait(start(plan, support::options()).unwrap()).unwrap_err().chain();
    assert!(text.contains("panicked while closing: the socket is gone, at "), "{text}");
}

#[test]
fn an_abort_gives_its_reason_and_a_dropped_handle_aborts() {
    let written = Written::default();
    let numbers = Numbers::endless(1);
    let busy = || Each(Arc::new(|_| Ok(Step::DONE)));
    let job = start(through(&numbers, (1, 2), &written, busy), support::options()).unwrap();
    let control = job.control();
    control.abort("the operator wants it");
    let text = wait(job).unwrap_err().chain();
    assert_eq!(text, "job `test` was aborted: the operator wants it");
    assert!(control.is_over());

    drop(start(through(&numbers, (1, 2), &written, busy), support::options()).unwrap());
    assert_eq!(written.closed.load(SeqCst), 4, "both jobs are closed");
}

#[test]
fn plans_and_options_that_cannot_run_are_refused() {
    let busy = || Each(Arc::new(|_| Ok(Step::DONE)));
    let good = || through(&Numbers::endless(1), (1, 1), &Written::default(), busy);
    let mut plan = good();
    plan.stages[1].parallelism = 200;
    let text = start(plan, support::options()).unwrap_err().chain();
    assert!(text.contains("stage `suspect` has parallelism 200"), "{text}");
    let mut plan = good();
    plan.edges[0].to = 0;
    assert_eq!(start(plan, support::options()).unwrap_err().kind(), ErrorKind::Bug);
    let options = millstream_runtime::RuntimeOptions { channel_bytes: 0, ..support::options() };
    assert_eq!(start(good(), options).unwrap_err().kind(), ErrorKind::Configuration);
}
