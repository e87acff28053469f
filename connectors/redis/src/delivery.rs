//! Delivers a subtask's writes: which pipeline goes when, and what its outcomes mean. Knows nothing of record types.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_core::backoff::Backoff;
use millstream_core::context::{Context, OpenContext};
use millstream_core::dead_letter::DeadLetter;
use millstream_core::figures::{Counter, OperatorFigures};
use millstream_core::io::Completions;
use millstream_core::snapshot::{Frozen, OperatorList, Redistribute};
use millstream_core::time::{Time, millis};
use millstream_core::version::Versions;
use millstream_core::{Error, Result, Rows, Step};

use crate::buffer::Buffer;
use crate::client::Link;
use crate::config::RedisOptions;
use crate::encode::{Pending, to_json};
use crate::retry::{Failure, Outcome, Rounds};
use crate::write::RedisWrite;

const STATE: &str = "unacknowledged";

/// The writes that one subtask has taken and Redis has not acknowledged yet.
pub(crate) struct Delivery {
    name: String,
    epoch: u64,
    options: Arc<RedisOptions>,
    link: Arc<Link>,
    versions: Versions,
    buffer: Buffer,
    in_flight: BTreeMap<u64, InFlight>,
    in_flight_bytes: usize,
    sent: u64,
    connected: bool,
    completions: Completions<Done>,
    rounds: Rounds,
    figures: Arc<OperatorFigures>,
    retries: Arc<Counter>,
    stale: Arc<Counter>,
}

// Shared with the future that sends it, so that a snapshot can be taken meanwhile.
struct InFlight {
    writes: Arc<Vec<Pending>>,
    round: u64,
}

enum Done {
    Connected(Result<()>),
    Sent { pipeline: u64, result: Result<Vec<Outcome>, Failure> },
}

impl Delivery {
    /// Takes back what an earlier attempt had not delivered, and begins to connect.
    ///
    /// # Errors
    /// A damaged snapshot; an epoch that is too high.
    pub(crate) fn open(name: &str, options: &Arc<RedisOptions>, cx: &mut OpenContext) -> Result<Self> {
        let figures = cx.figures_of(name);
        let seed = cx.epoch << 16 | u64::from(cx.subtask);
        let mut delivery = Self {
            name: name.to_owned(),
            epoch: cx.epoch,
            link: Arc::new(Link::new(Arc::clone(options), cx.epoch)),
            versions: Versions::new(cx.epoch)?,
            buffer: Buffer::default(),
            in_flight: BTreeMap::new(),
            in_flight_bytes: 0,
            sent: 0,
            connected: false,
            completions: Completions::default(),
            rounds: Rounds::new(Backoff::new(options.retry_initial, options.retry_max, seed)),
            retries: figures.counter("retries"),
            stale: figures.counter("stale"),
            figures,
            options: Arc::clone(options),
        };
        delivery.restore(cx)?;
        let (link, io) = (Arc::clone(&delivery.link), Arc::clone(&cx.io));
        let check = async move { Done::Connected(link.check(io).await) };
        delivery.completions.spawn(cx.io.as_ref(), &cx.waker, check);
        Ok(delivery)
    }

    // They keep their versions: whatever this attempt has written for their keys meanwhile, in any subtask, is newer and stays.
    fn restore(&mut self, cx: &mut OpenContext) -> Result<()> {
        for item in cx.restored.take_list(&self.name, STATE) {
            let mut pending = Pending::from_item(&item, cx.clock.now())?;
            pending.ingest = cx.clock.nanos();
            if pending.version.epoch() >= cx.epoch {
                pending.version = self.versions.take()?;
            }
            self.buffer.push(pending);
        }
        Ok(())
    }

    /// Takes a write.
    pub(crate) fn push(
        &mut self,
        cx: &Context<'_>,
        write: RedisWrite,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<()> {
        if let Some(fault) = write.fault() {
            self.refuse(&write, cx.now(), &fault, dead);
            return Ok(());
        }
        let version = self.versions.take()?;
        let (size, ingest, since) = (write.size(), cx.ingest, cx.now());
        self.buffer.push(Pending { write, version, size, ingest, since });
        Ok(())
    }

    fn refuse(&self, write: &RedisWrite, now: Time, reason: &str, dead: &mut Rows<DeadLetter>) {
        dead.push(DeadLetter::of_value(&self.name, "redis", to_json(write), now, reason), now);
    }

    /// Acts on what has come back.
    ///
    /// # Errors
    /// When nothing can succeed any more, or nothing has succeeded for too long.
    pub(crate) fn collect(&mut self, cx: &Context<'_>, dead: &mut Rows<DeadLetter>) -> Result<()> {
        for done in self.completions.drain()? {
            match done {
                Done::Connected(result) => {
                    result?;
                    self.connected = true;
                }
                Done::Sent { pipeline, result } => self.settle(cx, pipeline, result, dead)?,
            }
        }
        Ok(())
    }

    fn settle(
        &mut self,
        cx: &Context<'_>,
        pipeline: u64,
        result: Result<Vec<Outcome>, Failure>,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<()> {
        let gone = || Error::bug(format!("pipeline {pipeline} came back twice"));
        let InFlight { writes, round } = self.in_flight.remove(&pipeline).ok_or_else(gone)?;
        self.in_flight_bytes -= writes.iter().map(|write| write.size).sum::<usize>();
        // The future has ended and its share with it; should it not have, a copy serves as well.
        let writes = Arc::try_unwrap(writes).unwrap_or_else(|shared| shared.as_ref().clone());
        match result {
            Ok(outcomes) => self.settle_each(cx, writes, outcomes, round, dead),
            Err(Failure::Passing(reason)) => self.send_again(cx, writes, round, &reason),
            Err(Failure::Lasting(error)) => Err(error),
        }
    }

    fn settle_each(
        &mut self,
        cx: &Context<'_>,
        writes: Vec<Pending>,
        outcomes: Vec<Outcome>,
        round: u64,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<()> {
        let mut again = Vec::new();
        let mut last = String::new();
        let mut acknowledged = Acknowledged::default();
        let others_pass = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Written | Outcome::Stale));
        for (pending, outcome) in writes.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Written => acknowledged.add(&pending, cx, &self.figures),
                Outcome::Stale => {
                    self.note_stale(&pending);
                    acknowledged.add(&pending, cx, &self.figures);
                }
                Outcome::Reject(reason) => self.refuse(&pending.write, cx.now(), &reason, dead),
                Outcome::Stop(error) => {
                    return Err(error.in_context(format_args!("key {}", pending.write.key())));
                }
                Outcome::Unclear(reason) if others_pass => {
                    self.refuse(&pending.write, cx.now(), &reason, dead);
                }
                Outcome::Retry(reason) | Outcome::Unclear(reason) => {
                    last = reason;
                    again.push(pending);
                }
                Outcome::NoScript => {
                    "the server forgets the script at once".clone_into(&mut last);
                    again.push(pending);
                }
            }
        }
        acknowledged.finish(cx, &self.figures);
        if again.is_empty() {
            self.rounds.succeeded(round);
            return Ok(());
        }
        self.send_again(cx, again, round, &last)
    }

    // A write may be overtaken by its key's next one when it is sent again. Where nothing was sent again, another run of the job has used
    // the same attempt number.
    fn note_stale(&self, pending: &Pending) {
        if self.stale.get() == 0 && self.retries.get() == 0 && pending.version.epoch() == self.epoch {
            tracing::warn!(
                sink = self.name,
                key = pending.write.key(),
                epoch = self.epoch,
                "Redis holds a newer write of the same attempt number, which this one must not replace: give the job a directory of its \
                 own, so that each attempt gets a number of its own"
            );
        }
        self.stale.add(1);
    }

    fn send_again(&mut self, cx: &Context<'_>, writes: Vec<Pending>, round: u64, reason: &str) -> Result<()> {
        self.retries.add(writes.len() as u64);
        self.buffer.put_back(writes.into_iter());
        if round == self.rounds.round() {
            tracing::warn!(sink = self.name, url = %self.options.url, reason, "writes to Redis are to be sent again");
        }
        let failing = self.rounds.failed(round, cx.now());
        if failing < self.options.retry_for {
            return Ok(());
        }
        let url = &self.options.url;
        Err(Error::restart(format!("Redis at {url} has taken no write for {failing:?}")).caused_by(reason))
    }

    /// Sends every pipeline that is due; with `all`, whatever waits is due.
    pub(crate) fn send(&mut self, cx: &Context<'_>, all: bool) {
        while self.may_send(cx.now()) && self.is_due(cx.now(), all) {
            let writes = self.buffer.take(self.options.batch_records, self.options.batch_bytes);
            let (pipeline, writes) = (self.sent, Arc::new(writes));
            self.sent += 1;
            self.in_flight_bytes += writes.iter().map(|write| write.size).sum::<usize>();
            let (link, shared) = (Arc::clone(&self.link), Arc::clone(&writes));
            self.in_flight.insert(pipeline, InFlight { writes, round: self.rounds.round() });
            let send = async move {
                let result = link.send(&shared).await;
                drop(shared);
                Done::Sent { pipeline, result }
            };
            self.completions.spawn(cx.io().as_ref(), cx.waker(), send);
        }
    }

    // While it fails, one pipeline at a time asks whether it still does.
    fn may_send(&self, now: Time) -> bool {
        let limit = if self.rounds.failing() { 1 } else { self.options.max_in_flight };
        self.connected && self.in_flight.len() < limit && self.rounds.pause(now).is_none()
    }

    fn is_due(&self, now: Time, all: bool) -> bool {
        let Some(oldest) = self.buffer.oldest() else {
            return false;
        };
        let full = self.buffer.len() >= self.options.batch_records
            || self.buffer.bytes() >= self.options.batch_bytes;
        all || full || self.is_full() || now >= oldest.saturating_add(millis(self.options.linger))
    }

    /// What is wanted from the driver.
    pub(crate) fn step(&self, now: Time) -> Step {
        Step { more: false, blocked: self.is_full(), wake_at: self.wake_at(now) }
    }

    // Where the next pipeline waits for another one to come back, that one's end wakes the subtask.
    fn wake_at(&self, now: Time) -> Option<Time> {
        if let Some(until) = self.rounds.pause(now) {
            return Some(until);
        }
        let due = self.buffer.oldest()?.saturating_add(millis(self.options.linger));
        self.may_send(now).then_some(due)
    }

    fn is_full(&self) -> bool {
        self.buffer.bytes() + self.in_flight_bytes > self.options.buffer_bytes
    }

    /// Whether Redis was reached and has acknowledged everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.connected && self.buffer.len() == 0 && self.in_flight.is_empty()
    }

    /// Adds what was not acknowledged.
    pub(crate) fn snapshot(&self, frozen: &mut Frozen) {
        let sent = self.in_flight.values().flat_map(|pipeline| pipeline.writes.iter());
        frozen.lists.push(OperatorList {
            operator: self.name.clone(),
            state: STATE.to_owned(),
            items: sent.chain(self.buffer.iter()).map(Pending::to_item).collect(),
            redistribute: Redistribute::Split,
        });
    }
}

// Neighbours in a pipeline mostly came into the job together: one entry in the histogram for all of them.
#[derive(Default)]
struct Acknowledged {
    ingest: u64,
    records: u64,
    bytes: u64,
}

impl Acknowledged {
    fn add(&mut self, pending: &Pending, cx: &Context<'_>, figures: &OperatorFigures) {
        if self.ingest != pending.ingest {
            self.finish(cx, figures);
            self.ingest = pending.ingest;
        }
        self.records += 1;
        self.bytes += pending.size as u64;
    }

    fn finish(&mut self, cx: &Context<'_>, figures: &OperatorFigures) {
        if self.records > 0 {
            figures.latency.record(cx.nanos().saturating_sub(self.ingest), self.records);
            figures.bytes_out.add(self.bytes);
        }
        *self = Self { ingest: self.ingest, ..Self::default() };
    }
}
