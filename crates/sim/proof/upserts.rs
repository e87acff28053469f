//! Sinks that write a key's newest value: documents with versions, and a table with its writer's epoch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_record::record::{from_bytes, to_bytes};
use millstream_record::{Error, ErrorKind, Result};
use millstream_stage::context::OpenContext;
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::io::{BoxFuture, Completions, Io};
use millstream_stage::sink::{Guarantee, Sink, SinkWriter};
use millstream_stage::snapshot::{CheckpointId, Frozen, OperatorList, Redistribute};
use millstream_stage::step::{Budget, Step};
use millstream_stage::{Context, Rows, Versions};

use crate::stores::{CallError, Documents, Ledger, Row, SharedStore};

/// Rows in the buffer, from which on the sink is blocked, and rows of one request.
const FULL: usize = 8;
const BULK: usize = 5;

/// Where the rows go.
#[derive(Clone)]
pub(crate) enum Target {
    Documents(SharedStore<Documents>),
    Ledger(SharedStore<Ledger>),
}

/// The sink.
#[derive(Clone)]
pub(crate) struct Upserts {
    pub(crate) target: Target,
    /// Puts what was not acknowledged into the snapshot, and does not wait for it.
    pub(crate) snapshots: bool,
    /// Breaks a rule: a document's version is how often it was written.
    pub(crate) counts_firings: bool,
}

type Write = (u64, u64, i64);

struct Writer {
    sink: Upserts,
    name: String,
    epoch: u64,
    versions: Versions,
    firings: BTreeMap<u64, u64>,
    buffer: BTreeMap<u64, u64>,
    /// What the attempt before had not got acknowledged. Documents keep the version that they had, so any
    /// subtask may send them.
    restored: Vec<Write>,
    sent: Vec<Write>,
    requests: Completions<(Vec<Write>, Result<(), CallError>)>,
    retry: Vec<(Vec<Write>, i64)>,
    asked: bool,
    opened: bool,
}

impl Sink<Row> for Upserts {
    fn kind(&self) -> &'static str {
        "upserts"
    }
    fn guarantee(&self) -> Guarantee {
        Guarantee::IdempotentFenced
    }
    fn writer(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SinkWriter<Row>>> {
        let restored = restored_writes(cx.restored.take_list(name, "unacknowledged"))?;
        // Without anything to restore documents have nothing to open.
        let is_open = restored.is_empty() && matches!(self.target, Target::Documents(_));
        Ok(Box::new(Writer {
            sink: self.clone(),
            name: name.to_owned(),
            epoch: cx.epoch,
            versions: Versions::new(cx.epoch)?,
            firings: restored_firings(cx.restored.take_list(name, "firings"))?,
            buffer: BTreeMap::new(),
            restored,
            sent: Vec::new(),
            requests: Completions::default(),
            retry: Vec::new(),
            asked: is_open,
            opened: is_open,
        }))
    }
}

fn restored_writes(items: Vec<Vec<u8>>) -> Result<Vec<Write>> {
    let write = |item: Vec<u8>| {
        let ((key, value), version): (Row, u64) = from_bytes(&item)?;
        Ok((key, value, version as i64))
    };
    items.into_iter().map(write).collect()
}

fn restored_firings(items: Vec<Vec<u8>>) -> Result<BTreeMap<u64, u64>> {
    let mut firings = BTreeMap::new();
    for item in items {
        let (key, count): Row = from_bytes(&item)?;
        let known: &mut u64 = firings.entry(key).or_default();
        *known = count.max(*known);
    }
    Ok(firings)
}

impl Writer {
    // A table takes one transaction at a time, so that its rows stay in order; documents have versions for
    // that.
    fn most_requests(&self) -> usize {
        match self.sink.target {
            Target::Documents(_) => 3,
            Target::Ledger(_) => 1,
        }
    }

    fn send(&mut self, cx: &Context<'_>, all: bool) -> Result<()> {
        if !self.asked {
            self.asked = true;
            self.request(cx, self.restored.clone());
        }
        let is_table = self.is_table();
        // A table's epoch is taken before anything is written.
        if is_table && !self.opened {
            return Ok(());
        }
        while self.requests.in_flight() < self.most_requests() {
            if is_table && !self.retry.is_empty() {
                break;
            }
            if self.buffer.is_empty() || (!all && self.buffer.len() < BULK) {
                break;
            }
            let mut rows = Vec::new();
            while rows.len() < BULK {
                let Some((key, value)) = self.buffer.pop_first() else { break };
                rows.push((key, value, self.version(key)?));
            }
            self.sent.extend(&rows);
            self.request(cx, rows);
        }
        Ok(())
    }

    fn is_table(&self) -> bool {
        matches!(self.sink.target, Target::Ledger(_))
    }

    fn version(&mut self, key: u64) -> Result<i64> {
        if !self.sink.counts_firings {
            return Ok(self.versions.take()?.as_i64());
        }
        let firings = self.firings.entry(key).or_default();
        *firings += 1;
        Ok(*firings as i64)
    }

    fn request(&mut self, cx: &Context<'_>, rows: Vec<Write>) {
        let (target, epoch, opens) = (self.sink.target.clone(), self.epoch, !self.opened);
        let nap = nap(cx.io(), &target);
        self.requests.spawn(cx.io().as_ref(), cx.waker(), async move {
            nap.await;
            let result = match &target {
                Target::Documents(documents) => documents.bulk(&rows),
                Target::Ledger(ledger) => {
                    let plain: Vec<_> = rows.iter().map(|(key, value, _)| (*key, *value)).collect();
                    if opens { ledger.open(epoch, &plain) } else { ledger.upsert(epoch, &plain) }
                }
            };
            (rows, result)
        });
    }

    fn collect(&mut self, cx: &Context<'_>) -> Result<()> {
        for (rows, result) in self.requests.drain()? {
            match result {
                Ok(()) => {
                    self.sent.retain(|write| !rows.contains(write));
                    self.restored.retain(|write| !rows.contains(write));
                    self.opened = true;
                }
                Err(CallError::Away) => self.retry.push((rows, cx.now() + 2)),
                Err(CallError::Fenced) => return Err(fenced()),
            }
        }
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.retry).into_iter().partition(|(_, at)| *at <= cx.now());
        self.retry = later;
        due.into_iter().for_each(|(rows, _)| self.request(cx, rows));
        Ok(())
    }

    fn step(&self) -> Step {
        let wake_at = self.retry.iter().map(|(_, at)| *at).min();
        Step { blocked: self.buffer.len() >= FULL, wake_at, ..Step::DONE }
    }

    fn is_clean(&self) -> bool {
        self.opened && self.buffer.is_empty() && self.requests.in_flight() == 0 && self.retry.is_empty()
    }
}

fn nap(io: &Arc<dyn Io>, target: &Target) -> BoxFuture<()> {
    let time: Duration = match target {
        Target::Documents(documents) => documents.delay(),
        Target::Ledger(ledger) => ledger.delay(),
    };
    io.sleep(time)
}

pub(crate) fn fenced() -> Error {
    Error::new(ErrorKind::Fenced, "a newer writer has taken over")
}

impl SinkWriter<Row> for Writer {
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<Row>,
        _: &mut Rows<DeadLetter>,
    ) -> Result<Step> {
        self.buffer.extend(rows.drain().map(|(row, _)| row));
        self.send(cx, false)?;
        Ok(self.step())
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, _: &mut Rows<DeadLetter>) -> Result<Step> {
        self.collect(cx)?;
        self.send(cx, self.buffer.len() >= FULL)?;
        Ok(self.step())
    }

    fn flush(&mut self, cx: &mut Context<'_>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        self.collect(cx)?;
        self.send(cx, true)?;
        let wake_at = self.step().wake_at;
        Ok(if self.is_clean() { Step::DONE } else { Step { wake_at, ..Step::BLOCKED } })
    }

    fn prepare(
        &mut self,
        cx: &mut Context<'_>,
        _: CheckpointId,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<Step> {
        // A table's restored rows go to all subtasks, and must be in it before there is another snapshot:
        // they have no version.
        let waits = !self.sink.snapshots || (self.is_table() && !self.opened);
        if waits { self.flush(cx, dead) } else { Ok(Step::DONE) }
    }

    fn snapshot(&mut self, _: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        let mut open: BTreeMap<u64, (u64, i64)> = BTreeMap::new();
        if self.sink.snapshots {
            for &(key, value, version) in self.restored.iter().chain(&self.sent) {
                let newest = open.entry(key).or_insert((value, version));
                *newest = if version > newest.1 { (value, version) } else { *newest };
            }
            for (key, value) in self.buffer.clone() {
                let version = self.version(key)?;
                open.insert(key, (value, version));
            }
        }
        let items = open.into_iter().map(|(key, (value, version))| to_bytes(&((key, value), version as u64)));
        frozen.lists.push(OperatorList {
            operator: self.name.clone(),
            state: "unacknowledged".into(),
            items: items.collect(),
            redistribute: if self.is_table() { Redistribute::Union } else { Redistribute::Split },
        });
        if self.sink.counts_firings {
            frozen.lists.push(OperatorList {
                operator: self.name.clone(),
                state: "firings".into(),
                items: self.firings.iter().map(|(key, count)| to_bytes(&(*key, *count))).collect(),
                redistribute: Redistribute::Union,
            });
        }
        Ok(())
    }
}
