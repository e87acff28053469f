//! A small sink that has several requests in flight, which overtake each other, and a flaw to choose.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_record::Result;
use millstream_record::record::{from_bytes, to_bytes};
use millstream_stage::context::OpenContext;
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::io::Completions;
use millstream_stage::metrics::OperatorMetrics;
use millstream_stage::sink::{Guarantee, Sink, SinkWriter};
use millstream_stage::snapshot::{CheckpointId, Frozen, OperatorList, Redistribute};
use millstream_stage::step::{Budget, Step};
use millstream_stage::{Context, Rows};
use parking_lot::Mutex;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
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
    NeverAnswers,
}

type Write = (u64, u64, u64);
pub(crate) type Table = BTreeMap<u64, (u64, u64)>;

pub(crate) const REFUSED: u64 = u64::MAX;
const BATCH: usize = 50;
const FULL: usize = 400;

#[derive(Clone)]
pub(crate) struct Memory {
    pub(crate) table: Arc<Mutex<Table>>,
    pub(crate) flaw: Flaw,
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
    metrics: Arc<OperatorMetrics>,
}

impl Sink<(u64, u64)> for Memory {
    fn kind(&self) -> &'static str {
        "memory"
    }
    fn guarantee(&self) -> Guarantee {
        Guarantee::IdempotentFenced
    }
    fn writer(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SinkWriter<(u64, u64)>>> {
        let mut writer = Writer {
            table: Arc::clone(&self.table),
            flaw: self.flaw,
            epoch: cx.epoch,
            sequence: 0,
            number: 0,
            buffer: Vec::new(),
            sent: Vec::new(),
            requests: Completions::default(),
            send_at: None,
            due: false,
            metrics: cx.metrics_of(name),
        };
        writer.restore(cx.restored.take_list(name, "unacknowledged"))?;
        Ok(Box::new(writer))
    }
}

impl Writer {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn restore(&mut self, items: Vec<Vec<u8>>) -> Result<()> {
        for item in items {
            let (key, value): (u64, u64) = from_bytes(&item)?;
            let version = self.version();
            if !self.has(Flaw::RestoreForgets) {
                self.buffer.push((key, value, version));
            }
        }
        Ok(())
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
        let silent = self.has(Flaw::NeverAnswers);
        self.requests.spawn(cx.io().as_ref(), cx.waker(), async move {
            delay.await;
            if silent {
                std::future::pending::<()>().await;
            }
            let mut table = table.lock();
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
                self.metrics.bytes_out.add(part.len() as u64 * 16);
                self.metrics.latency.record(cx.nanos(), part.len() as u64);
            }
        }
        Ok(())
    }
}

impl SinkWriter<(u64, u64)> for Writer {
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
}
