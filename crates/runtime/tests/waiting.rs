//! Subtasks that wait: for input, for a waker, for a deadline, for room.

mod support;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use millstream_runtime::start;
use millstream_stage::plan::{Exchange, Plan};
use millstream_stage::{Operator, Step};
use support::numbers::Numbers;
use support::ops::{Each, Resumes};
use support::plans::*;
use support::sinks::Written;
use support::wait;

/// Numbers -> an operator in a stage of its own, with a sink of this writer.
fn into<O: Operator<In = i64, Out = i64>>(
    numbers: &Numbers,
    operator: impl Fn() -> O + Send + Sync + 'static,
    written: &Written<i64>,
    limit: usize,
) -> Plan {
    let written = written.clone();
    let rest = then("step", operator, sink("out", written.buffered(limit)));
    plan(
        vec![source("numbers", 1, numbers, rebalanced(0)), stage_of("step -> out", 1, 1, rest)],
        vec![edge(0, 1, 0, Exchange::Rebalance)],
    )
}

#[test]
fn an_idle_job_is_called_by_nobody_and_a_waker_wakes_it() {
    let numbers = Numbers { gate_at: 100, ..Numbers::new(&[(0, 200)]) };
    let at_gate = numbers.probe.gate();
    let resumes = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&resumes);
    let quiet = move || Resumes::new(&counted, Step::DONE, |_| Ok(Step::DONE));
    let written = Written::default();
    let job = start(into(&numbers, quiet, &written, 10_000), support::options()).unwrap();
    at_gate.recv().unwrap();
    // Long enough for millions of turns of a busy loop.
    let (_keep, never) = mpsc::channel::<()>();
    never.recv_timeout(Duration::from_millis(300)).unwrap_err();
    let polls = numbers.probe.polls.load(SeqCst);
    assert!(polls <= 5, "one poll with rows, one without: {polls}");
    assert_eq!(resumes.load(SeqCst), 1, "the first call alone");
    numbers.probe.open_gate();
    wait(job).unwrap();
    assert_eq!(written.sorted(), (0..200).collect::<Vec<_>>());
}

#[test]
fn deadlines_fire_in_time_and_only_a_resume_takes_them_back() {
    // The first resume asks for another one 30 ms later, the rows after it ask for nothing; the last one asks
    // for none.
    let numbers = Numbers { bounded: false, ..Numbers::new(&[(0, 10)]) };
    let (sender, receiver) = mpsc::channel();
    let due = Arc::new(AtomicI64::new(0));
    let resumes = Arc::new(AtomicU64::new(0));
    let operator = move || {
        let (sender, due, count) = (sender.clone(), Arc::clone(&due), Arc::clone(&resumes));
        Resumes::new(&resumes, Step::DONE, move |cx| {
            assert!(cx.now() >= due.load(SeqCst), "too early");
            let _ = sender.send(());
            if count.load(SeqCst) >= 4 {
                return Ok(Step::DONE);
            }
            due.store(cx.now() + 30, SeqCst);
            Ok(Step::wake_at(cx.now() + 30))
        })
    };
    let job = start(into(&numbers, operator, &Written::default(), 10_000), support::options()).unwrap();
    for _ in 0..4 {
        receiver.recv_timeout(Duration::from_secs(30)).expect("a deadline was missed");
    }
    receiver.recv_timeout(Duration::from_millis(100)).expect_err("nothing was asked for any more");
    job.stop();
    wait(job).unwrap();
}

#[test]
fn a_blocked_sink_gets_nothing_and_loses_nothing() {
    // The writer asserts that it gets nothing while its buffer is full.
    let numbers = Numbers::new(&[(0, 20_000)]);
    let written = Written::default();
    let pass = || Each(Arc::new(|_| Ok(Step::DONE)));
    let job = start(into(&numbers, pass, &written, 1000), support::options()).unwrap();
    let metrics = job.metrics();
    wait(job).unwrap();
    assert_eq!(written.sorted(), (0..20_000).collect::<Vec<_>>());
    let last = metrics.subtasks.last().unwrap();
    assert!(last.back_pressured_nanos.get() > 0, "it waited for its sink");
    assert_eq!(last.queued_bytes.get(), 0);
}

#[test]
fn a_slow_consumer_bounds_what_is_read() {
    let numbers = Numbers::new(&[(0, 100_000)]);
    let consumed = Arc::new(AtomicU64::new(0));
    // A record is 24 bytes on its way; the queue holds 64 KiB; one batch of 256 is in each hand.
    let most = (64 << 10) / 24 + 3 * 256;
    let (probe, seen) = (Arc::clone(&numbers.probe), Arc::clone(&consumed));
    let highest = Arc::new(AtomicU64::new(0));
    let watched = Arc::clone(&highest);
    let on_batch: support::ops::OnBatch = Arc::new(move |rows| {
        let ahead = probe.read.load(SeqCst) - seen.fetch_add(rows.len() as u64, SeqCst);
        watched.fetch_max(ahead, SeqCst);
        Ok(Step::DONE)
    });
    let written = Written::default();
    let slow = move || Each(Arc::clone(&on_batch));
    // The sink writes 500 records per millisecond at most.
    let job = start(into(&numbers, slow, &written, 500), support::options()).unwrap();
    let metrics = job.metrics();
    assert_eq!(metrics.subtasks[1].queue_capacity.get(), 64 << 10);
    wait(job).unwrap();
    assert_eq!(consumed.load(SeqCst), 100_000);
    let highest = highest.load(SeqCst);
    assert!(highest <= most, "{highest} records were ahead of the consumer, {most} fit");
    assert!(metrics.subtasks[0].back_pressured_nanos.get() > 0, "the source waited for room");
}

#[test]
fn a_batch_larger_than_its_channel_passes_alone() {
    let numbers = Numbers::new(&[(0, 20_000)]);
    let written = Written::default();
    let pass = || Each(Arc::new(|_| Ok(Step::DONE)));
    let options = millstream_runtime::RuntimeOptions { channel_bytes: 100, ..support::options() };
    wait(start(into(&numbers, pass, &written, 1000), options).unwrap()).unwrap();
    assert_eq!(written.sorted(), (0..20_000).collect::<Vec<_>>());
}
