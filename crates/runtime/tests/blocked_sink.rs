//! A sink whose system is away: it holds no checkpoint up, and what it could not write is in the snapshot.

mod support;

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use millstream_core::batch::Rows;
use millstream_core::dead_letter::DeadLetter;
use millstream_core::drive::checkpoint_options::CheckpointingMode;
use millstream_core::plan::{Exchange, Plan};
use millstream_core::record::{from_bytes, to_bytes};
use millstream_core::sink::SinkWriter;
use millstream_core::snapshot::{CheckpointId, Frozen, OperatorList, Redistribute};
use millstream_core::{Budget, Context, OpenContext, Result, Step};
use millstream_runtime::{start, start_from};
use support::numbers::Numbers;
use support::plans::*;
use support::{until, wait};

type Numbered = Arc<Mutex<Vec<i64>>>;

/// Takes everything; writes it at once, or never.
struct Sink {
    away: bool,
    unwritten: Vec<i64>,
    written: Numbered,
}

impl Sink {
    fn step(&mut self) -> Step {
        if self.away {
            return Step::BLOCKED;
        }
        self.written.lock().expect("nobody panics with it").append(&mut self.unwritten);
        Step::DONE
    }
}

impl SinkWriter<i64> for Sink {
    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        for item in cx.restored.take_list(name, "unwritten") {
            self.unwritten.push(from_bytes(&item)?);
        }
        Ok(())
    }
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
    fn close(&mut self) {}
}

fn plan_of(numbers: &Numbers, away: bool, written: &Numbered) -> Plan {
    let written = Arc::clone(written);
    let sink = sink("out", move || Box::new(Sink { away, unwritten: Vec::new(), written: written.clone() }));
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
    // Back-pressure has reached the sources: they read no more by themselves.
    let mut before = 0;
    until(|| {
        let read = numbers.probe.read.load(SeqCst);
        std::mem::replace(&mut before, read) == read && read > 0
    });
    let snapshots: Vec<_> = (0..3).map(|_| job.checkpoint().unwrap()).collect();
    job.abort("the plug was pulled");
    wait(job).unwrap_err();
    assert!(written.lock().unwrap().is_empty());
    for snapshot in snapshots {
        let written = Numbered::default();
        wait(
            start_from(plan_of(&Numbers::new(&splits), false, &written), support::options(), snapshot)
                .unwrap(),
        )
        .unwrap();
        let mut written = written.lock().unwrap().clone();
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
    let all: std::collections::BTreeSet<_> = written.lock().unwrap().iter().copied().collect();
    assert_eq!(all.len(), 100_000);
}
