#![allow(clippy::unwrap_used, reason = "a test's own sink")]
//! The list for sinks, on a small sink of several requests in flight: the sound one passes, each broken one is caught.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_core::context::OpenContext;
use millstream_core::dead_letter::DeadLetter;
use millstream_core::figures::OperatorFigures;
use millstream_core::io::Completions;
use millstream_core::record::{from_bytes, to_bytes};
use millstream_core::sink::{Guarantee, Sink, SinkWriter};
use millstream_core::snapshot::{CheckpointId, Frozen, OperatorList, Redistribute};
use millstream_core::stage::{Budget, Step};
use millstream_core::{Context, Result, Rows};
use millstream_sim::conformance::{self, SinkFixture};
use millstream_sim::{Simulated, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    FlushDoesNotWait,
    FlushLeavesItToTheSnapshot,
    SnapshotForgets,
    RestoreForgets,
    NoVersions,
    VersionsWithoutEpoch,
    BufferIsCut,
    StaysBlocked,
    NeverSendsByAge,
    RefusedIsLost,
    RefusedEndsTheBatch,
    CountsNothing,
    FlushHangs,
}

type Write = (u64, u64, u64);
type Table = BTreeMap<u64, (u64, u64)>;

const REFUSED: u64 = u64::MAX;
const BATCH: usize = 50;
const FULL: usize = 400;

#[derive(Clone)]
struct Memory {
    table: Arc<Mutex<Table>>,
    flaw: Flaw,
}

struct Writer {
    table: Arc<Mutex<Table>>,
    flaw: Flaw,
    epoch: u64,
    sequence: u64,
    number: u64,
    buffer: Vec<Write>,
    // What the requests in flight hold, in case a snapshot is asked for.
    sent: Vec<Write>,
    requests: Completions<Vec<Write>>,
    send_at: Option<i64>,
    due: bool,
    figures: Option<Arc<OperatorFigures>>,
}

impl Sink<(u64, u64)> for Memory {
    fn kind(&self) -> &'static str {
        "memory"
    }
    fn guarantee(&self) -> Guarantee {
        Guarantee::IdempotentFenced
    }
    fn writer(&self) -> Box<dyn SinkWriter<(u64, u64)>> {
        Box::new(Writer {
            table: Arc::clone(&self.table),
            flaw: self.flaw,
            epoch: 0,
            sequence: 0,
            number: 0,
            buffer: Vec::new(),
            sent: Vec::new(),
            requests: Completions::default(),
            send_at: None,
            due: false,
            figures: None,
        })
    }
}

impl Writer {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn version(&mut self) -> u64 {
        self.sequence += 1;
        if self.has(Flaw::VersionsWithoutEpoch) { self.sequence } else { self.epoch << 32 | self.sequence }
    }

    fn numbered(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn send(&mut self, cx: &Context<'_>, all: bool) {
        while self.buffer.len() >= BATCH || (all && !self.buffer.is_empty()) {
            if self.requests.in_flight() >= 3 {
                return;
            }
            let part: Vec<_> = self.buffer.drain(..self.buffer.len().min(BATCH)).collect();
            self.sent.extend(&part);
            self.request(cx, part);
        }
    }

    // Every second request overtakes the one before it.
    fn request(&mut self, cx: &Context<'_>, part: Vec<Write>) {
        let delay =
            cx.io().sleep(Duration::from_millis(if self.numbered().is_multiple_of(2) { 1 } else { 10 }));
        let (table, versioned) = (Arc::clone(&self.table), !self.has(Flaw::NoVersions));
        self.requests.spawn(cx.io().as_ref(), cx.waker(), async move {
            delay.await;
            let mut table = table.lock().unwrap();
            for &(key, value, version) in &part {
                let entry = table.entry(key).or_default();
                if version > entry.1 || !versioned {
                    *entry = (value, version);
                }
            }
            part
        });
    }

    fn step(&self) -> Step {
        let blocked = self.buffer.len() >= FULL;
        Step { blocked, wake_at: self.send_at, ..Step::DONE }
    }

    fn collect(&mut self, cx: &Context<'_>) -> Result<()> {
        for part in self.requests.drain()? {
            self.sent.retain(|write| !part.contains(write));
            if !self.has(Flaw::CountsNothing) {
                let figures = self.figures.as_ref().unwrap();
                figures.bytes_out.add(part.len() as u64 * 16);
                figures.latency.record(cx.nanos(), part.len() as u64);
            }
        }
        Ok(())
    }
}

impl SinkWriter<(u64, u64)> for Writer {
    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        self.epoch = cx.epoch;
        self.figures = Some(cx.figures_of(name));
        for item in cx.restored.take_list(name, "unacknowledged") {
            let (key, value): (u64, u64) = from_bytes(&item)?;
            let version = self.version();
            if !self.has(Flaw::RestoreForgets) {
                self.buffer.push((key, value, version));
            }
        }
        Ok(())
    }

    fn write(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<(u64, u64)>,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<Step> {
        for ((key, value), _) in rows.drain() {
            if key == REFUSED {
                if self.has(Flaw::RefusedEndsTheBatch) {
                    self.buffer.clear();
                }
                if !self.has(Flaw::RefusedIsLost) {
                    let letter =
                        DeadLetter::of_value("sink", "memory", to_bytes(&(key, value)), cx.now(), "refused");
                    dead.push(letter, 0);
                }
                continue;
            }
            let version = self.version();
            self.buffer.push((key, value, version));
        }
        if self.has(Flaw::BufferIsCut) {
            self.buffer.truncate(FULL * 2);
        }
        if !self.has(Flaw::NeverSendsByAge) && !self.buffer.is_empty() {
            self.send_at = self.send_at.or(Some(cx.now() + 100));
        }
        self.send(cx, false);
        Ok(self.step())
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, _: &mut Rows<DeadLetter>) -> Result<Step> {
        self.collect(cx)?;
        let due = self.send_at.is_some_and(|at| at <= cx.now());
        self.due |= due;
        self.send(cx, self.due);
        self.due &= !self.buffer.is_empty();
        if due {
            self.send_at = None;
        }
        let mut step = self.step();
        step.blocked |= self.has(Flaw::StaysBlocked) && self.sequence > 1_000;
        Ok(step)
    }

    fn flush(&mut self, cx: &mut Context<'_>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        self.collect(cx)?;
        self.send(cx, true);
        let done = self.buffer.is_empty() && self.requests.in_flight() == 0;
        let hangs = self.has(Flaw::FlushHangs) && self.sequence == 0;
        let first = self.epoch == 1;
        let hurries = match self.flaw {
            Flaw::FlushDoesNotWait => true,
            Flaw::FlushLeavesItToTheSnapshot | Flaw::SnapshotForgets | Flaw::RestoreForgets => first,
            _ => false,
        };
        let complete = (done && !hangs) || hurries;
        Ok(if complete { Step::DONE } else { Step::BLOCKED })
    }

    fn snapshot(&mut self, _: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        let open = self.sent.iter().chain(&self.buffer);
        let items = open.map(|&(key, value, _)| to_bytes(&(key, value))).collect();
        frozen.lists.push(OperatorList {
            operator: "sink".into(),
            state: "unacknowledged".into(),
            items: if self.has(Flaw::SnapshotForgets) { Vec::new() } else { items },
            redistribute: Redistribute::Split,
        });
        Ok(())
    }

    fn close(&mut self) {}
}

struct Fixture {
    flaw: Flaw,
    seed: u64,
    places: Mutex<BTreeMap<String, Arc<Mutex<Table>>>>,
}

impl Fixture {
    fn table(&self, place: &str) -> Arc<Mutex<Table>> {
        Arc::clone(self.places.lock().unwrap().entry(place.to_owned()).or_default())
    }
}

impl SinkFixture for Fixture {
    type Record = (u64, u64);
    type Sink = Memory;

    fn world(&self) -> Result<Arc<dyn World>> {
        Ok(Arc::new(Simulated::new(self.seed, 0)))
    }
    fn sink(&self, place: &str) -> Result<Memory> {
        Ok(Memory { table: self.table(place), flaw: self.flaw })
    }
    fn record(&self, key: u64, value: u64) -> (u64, u64) {
        (key, value)
    }
    fn visible(&self, place: &str) -> Result<Vec<(u64, u64)>> {
        let table = self.table(place);
        let table = table.lock().unwrap();
        Ok(table.iter().map(|(key, (value, _))| (*key, *value)).collect())
    }
    fn refused(&self) -> Option<(u64, u64)> {
        Some((REFUSED, 1))
    }
    fn large(&self) -> u64 {
        4_000
    }
}

fn check(flaw: Flaw) -> Result<(), conformance::Failures> {
    conformance::sink(&Fixture { flaw, seed: 3, places: Mutex::default() })
}

#[test]
fn a_sound_sink_passes_under_any_seed() {
    for seed in 0..5 {
        conformance::sink(&Fixture { flaw: Flaw::None, seed, places: Mutex::default() }).unwrap();
    }
}

#[test]
fn every_flaw_is_caught_by_the_check_for_it() {
    let flaws = [
        (Flaw::FlushDoesNotWait, "a flush really waits: everything is readable after it"),
        (Flaw::SnapshotForgets, "a crash right after a snapshot loses nothing"),
        (Flaw::RestoreForgets, "a snapshot restores at another parallelism"),
        (Flaw::NoVersions, "an older attempt that writes later does not overwrite"),
        (Flaw::NoVersions, "the last write of a key stays"),
        (Flaw::VersionsWithoutEpoch, "a new attempt wins although it has written less"),
        (Flaw::VersionsWithoutEpoch, "an older attempt that writes later does not overwrite"),
        (Flaw::BufferIsCut, "ten times the buffer in one batch is written whole"),
        (Flaw::StaysBlocked, "a flood of small batches is written whole"),
        (Flaw::NeverSendsByAge, "a small write is written without a flush, after a while"),
        (Flaw::RefusedIsLost, "a refused record is a dead letter and the others are written"),
        (Flaw::RefusedEndsTheBatch, "a refused record is a dead letter and the others are written"),
        (Flaw::CountsNothing, "bytes and latency are counted"),
        (Flaw::FlushHangs, "an empty flush is complete"),
    ];
    for (flaw, name) in flaws {
        let failures = check(flaw).expect_err("a broken sink must not pass");
        assert!(failures.names().contains(&name), "{flaw:?} is not caught by \"{name}\":\n{failures}");
    }
}

#[test]
fn the_report_names_check_and_reason() {
    let text = format!("{:?}", check(Flaw::BufferIsCut).unwrap_err());
    assert!(
        text.contains("- ten times the buffer") && text.contains("visible; missing, for example"),
        "{text}"
    );
}

#[test]
fn a_sink_whose_snapshots_hold_what_is_in_flight_loses_nothing_in_a_crash() {
    let failures = check(Flaw::FlushLeavesItToTheSnapshot).unwrap_err();
    for name in ["a crash right after a snapshot loses nothing", "a snapshot restores at another parallelism"]
    {
        assert!(!failures.names().contains(&name), "{failures}");
    }
}
