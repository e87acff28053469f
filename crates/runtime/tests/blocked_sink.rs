//! A sink whose system is away: it holds no checkpoint up, and what it could not write is in the snapshot.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use millstream_protocol::checkpoint_options::CheckpointingMode;
use millstream_record::Result;
use millstream_record::record::{from_bytes, to_bytes};
use millstream_runtime::{RuntimeOptions, start, start_from};
use millstream_stage::batch::Rows;
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::plan::{Exchange, Plan};
use millstream_stage::sink::{Guarantee, Sink, SinkWriter};
use millstream_stage::snapshot::{CheckpointId, Frozen, OperatorList, Redistribute};
use millstream_stage::stage::End;
use millstream_stage::{Budget, Context, OpenContext, Step};
use parking_lot::Mutex;
use support::numbers::Numbers;
use support::plans::*;
use support::{until, wait};

type Numbered = Arc<Mutex<Vec<i64>>>;

/// Takes everything; writes it at once, or never.
struct Unwilling {
    away: bool,
    written: Numbered,
}

impl Sink<i64> for Unwilling {
    fn kind(&self) -> &'static str {
        "test"
    }
    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }
    fn writer(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SinkWriter<i64>>> {
        let items = cx.restored.take_list(name, "unwritten");
        let unwritten = items.iter().map(|item| from_bytes(item)).collect::<Result<_>>()?;
        Ok(Box::new(Writer { away: self.away, unwritten, written: Arc::clone(&self.written) }))
    }
}

struct Writer {
    away: bool,
    unwritten: Vec<i64>,
    written: Numbered,
}

impl Writer {
    fn step(&mut self) -> Step {
        if self.away {
            return Step::BLOCKED;
        }
        self.written.lock().append(&mut self.unwritten);
        Step::DONE
    }
}

impl SinkWriter<i64> for Writer {
    fn write(&mut self, _: &mut Context<'_>, rows: &mut Rows<i64>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        self.unwritten.append(&mut rows.rec);
        Ok(self.step())
    }
    fn resume(&mut self, _: &mut Context<'_>, _: Budget, _: &mut Rows<DeadLetter>) -> Result<Step> {
        Ok(self.step())
    }
    fn flush(&mut self, _: &mut Context<'_>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        Ok(self.step())
    }
    fn prepare(&mut self, _: &mut Context<'_>, _: CheckpointId, _: &mut Rows<DeadLetter>) -> Result<Step> {
        Ok(Step::DONE)
    }
    fn snapshot(&mut self, _: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        let (operator, state) = ("out".to_owned(), "unwritten".to_owned());
        let items = self.unwritten.iter().map(to_bytes).collect();
        frozen.lists.push(OperatorList { operator, state, items, redistribute: Redistribute::Split });
        Ok(())
    }
}

fn plan_of(numbers: &Numbers, away: bool, written: &Numbered) -> Plan {
    let sink = sink("out", Unwilling { away, written: Arc::clone(written) });
    plan(
        vec![source("numbers", 2, numbers, rebalanced(0)), stage_of("out", 2, 1, sink)],
        vec![edge(0, 1, 0, Exchange::Rebalance)],
    )
}

#[test]
fn a_sink_that_is_blocked_for_good_holds_no_checkpoint_up() {
    const END: i64 = 100_000;
    let splits = [(0, END), (END, 2 * END)];
    let written = Numbered::default();
    let numbers = Numbers::new(&splits);
    let job = start(plan_of(&numbers, true, &written), support::options()).unwrap();
    full(&numbers);
    let snapshots: Vec<_> = (0..3).map(|_| job.checkpoint().unwrap()).collect();
    job.abort("the plug was pulled");
    wait(job).unwrap_err();
    assert!(written.lock().is_empty());
    for snapshot in snapshots {
        let written = Numbered::default();
        wait(
            start_from(plan_of(&Numbers::new(&splits), false, &written), support::options(), snapshot)
                .unwrap(),
        )
        .unwrap();
        let mut written = written.lock().clone();
        written.sort_unstable();
        assert_eq!(written, (0..2 * END).collect::<Vec<_>>(), "once each");
    }
}

#[test]
fn at_least_once_loses_nothing() {
    let mut options = support::options();
    options.checkpointing.mode = CheckpointingMode::AtLeastOnce;
    let splits = [(0, 50_000), (50_000, 100_000)];
    let numbers = Numbers { gate_at: 20_000, ..Numbers::new(&splits) };
    let job = start(plan_of(&numbers, true, &Numbered::default()), options.clone()).unwrap();
    let snapshot = job.checkpoint().unwrap();
    drop(job);
    let written = Numbered::default();
    wait(start_from(plan_of(&Numbers::new(&splits), false, &written), options, snapshot).unwrap()).unwrap();
    let all: std::collections::BTreeSet<_> = written.lock().iter().copied().collect();
    assert_eq!(all.len(), 100_000);
}

/// Checkpoints below a directory.
fn stored(dir: &Path) -> RuntimeOptions {
    RuntimeOptions {
        epoch: None,
        checkpoints_dir: Some(format!("file://{}", dir.display())),
        stop_flush_timeout: Duration::from_millis(50),
        ..support::options()
    }
}

// Waits until back-pressure has reached the sources: they read no more by themselves.
fn full(numbers: &Numbers) {
    let mut before = 0;
    until(|| {
        let read = numbers.probe.read.load(SeqCst);
        std::mem::replace(&mut before, read) == read && read > 0
    });
}

#[test]
fn a_stop_leaves_to_the_next_run_what_a_sink_does_not_write() {
    const END: i64 = 50_000;
    let dir = tempfile::tempdir().unwrap();
    let splits = [(0, END), (END, 2 * END)];
    let (numbers, written) = (Numbers::new(&splits), Numbered::default());
    let job = start(plan_of(&numbers, true, &written), stored(dir.path())).unwrap();
    full(&numbers);
    job.stop();
    let report = wait(job).unwrap();
    assert_eq!(report.end, End::Stopped);
    let left = report.left.clone().expect("the sink has not written");
    assert_eq!(left.checkpoint, 1);
    assert!(report.to_string().contains("Checkpoint 1 holds what is not written"), "{report}");
    assert!(written.lock().is_empty());

    let again = Numbers::new(&splits);
    wait(start(plan_of(&again, false, &written), stored(dir.path())).unwrap()).unwrap();
    let mut written = written.lock().clone();
    written.sort_unstable();
    assert_eq!(written, (0..2 * END).collect::<Vec<_>>(), "once each");
    let read = numbers.probe.read.load(SeqCst) + again.probe.read.load(SeqCst);
    assert_eq!(read, 2 * END as u64, "nothing was read twice");
}

#[test]
fn a_stop_with_savepoint_does_not_wait_for_a_sink_that_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let splits = [(0, 50_000), (50_000, 100_000)];
    let (numbers, written) = (Numbers::new(&splits), Numbered::default());
    let options = RuntimeOptions {
        savepoints_dir: Some(format!("file://{}", dir.path().join("savepoints").display())),
        ..stored(dir.path())
    };
    let job = start(plan_of(&numbers, true, &written), options.clone()).unwrap();
    full(&numbers);
    job.stop_with_savepoint(None, false).unwrap();
    assert!(wait(job).unwrap().left.is_some());
    wait(start(plan_of(&Numbers::new(&splits), false, &written), options).unwrap()).unwrap();
    assert_eq!(written.lock().len(), 100_000, "once each");
}
