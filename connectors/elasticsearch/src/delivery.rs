//! Decides what is sent when, and what becomes of the answers.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::dead_letter::DeadLetter;
use millstream_core::io::Completions;
use millstream_core::snapshot::OperatorList;
use millstream_core::time::{Nanos, Time};
use millstream_core::{Context, Error, OpenContext, Result, Rows, Step};

use crate::buffer::{Buffer, Pending};
use crate::client::Client;
use crate::config::ElasticsearchOptions;
use crate::encode;
use crate::meters::Meters;
use crate::pace::Pace;
use crate::retry::{Outcome, Reply};
use crate::snapshot;
use crate::start::Start;

/// What a future reports.
enum Event {
    Started(Result<()>),
    Answered(u64, Reply),
}

/// One writer's documents from the buffer to the acknowledgement.
pub(crate) struct Delivery {
    operator: String,
    options: ElasticsearchOptions,
    client: Arc<Client>,
    buffer: Buffer,
    pace: Pace,
    events: Completions<Event>,
    // By number of the request.
    in_flight: BTreeMap<u64, Vec<Pending>>,
    requests: u64,
    // Documents that were refused one by one, by when to send them again. Their ids count as on their way.
    later: BTreeMap<(Nanos, u64), Vec<Pending>>,
    // Halves of a request that was refused as a whole; they leave as they are.
    halves: Vec<Vec<Pending>>,
    meters: Meters,
    started: bool,
    flushing: bool,
    warned_of_conflict: bool,
}

impl Delivery {
    /// Starts the first I/O; documents wait for its end.
    pub(crate) fn open(
        operator: &str,
        options: &ElasticsearchOptions,
        pace: Pace,
        start: Start,
        cx: &OpenContext,
    ) -> Self {
        let client = Arc::clone(&start.client);
        let mut events = Completions::default();
        let started = async move { Event::Started(start.run().await) };
        events.spawn(cx.io.as_ref(), &cx.waker, started);
        Self {
            operator: operator.to_owned(),
            options: options.clone(),
            client,
            buffer: Buffer::default(),
            pace,
            events,
            in_flight: BTreeMap::new(),
            requests: 0,
            later: BTreeMap::new(),
            halves: Vec::new(),
            meters: Meters::new(cx.figures_of(operator)),
            started: false,
            flushing: false,
            warned_of_conflict: false,
        }
    }

    /// Takes a document.
    pub(crate) fn insert(&mut self, document: Pending) {
        if self.buffer.insert(document) {
            self.meters.folded.add(1);
        }
    }

    /// A document that is refused before it was sent.
    pub(crate) fn refuse(&self, value: Vec<u8>, now: Time, reason: &str, dead: &mut Rows<DeadLetter>) {
        self.meters.dead_letters.add(1);
        dead.push(DeadLetter::of_value(&self.operator, "elasticsearch", value, now, reason), now);
    }

    /// Reads the answers that have come and sends what is due.
    pub(crate) fn advance(&mut self, cx: &Context<'_>, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        for event in self.events.drain()? {
            match event {
                Event::Started(result) => {
                    result?;
                    self.started = true;
                }
                Event::Answered(request, reply) => self.answered(cx, request, reply, dead)?,
            }
        }
        let now = cx.nanos();
        self.requeue(now);
        if self.started {
            self.send(cx, now);
        }
        Ok(self.step(cx, now))
    }

    /// Sends everything without waiting for more; complete when all was acknowledged.
    pub(crate) fn flush(&mut self, cx: &Context<'_>, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        self.flushing = true;
        let step = self.advance(cx, dead)?;
        self.flushing = !self.buffer.is_empty();
        Ok(if self.flushing { step.and(Step::BLOCKED) } else { step })
    }

    /// What was not acknowledged.
    pub(crate) fn freeze(&self) -> OperatorList {
        let sent = self.in_flight.values().chain(self.later.values()).chain(&self.halves).flatten();
        snapshot::freeze(&self.operator, self.buffer.waiting().chain(sent))
    }

    fn answered(
        &mut self,
        cx: &Context<'_>,
        request: u64,
        reply: Reply,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<()> {
        let documents = self.in_flight.remove(&request).expect("an answer belongs to a request in flight");
        let now = cx.nanos();
        match reply {
            Reply::Items(outcomes) => self.settle(cx, documents, outcomes, dead),
            Reply::Retry { reason, overloaded } => {
                if let Some(pause) = self.pace.failed(now) {
                    tracing::warn!(operator = %self.operator, %reason, ?pause, "Elasticsearch: a request failed and is repeated");
                }
                self.send_again(&reason, overloaded, documents, now)
            }
            Reply::Split(reason) => self.split(cx, documents, &reason, dead),
            Reply::Stop(reason) => Err(self.stop(&reason)),
        }
    }

    // All documents of the request go back to where they came from, in their order.
    fn send_again(
        &mut self,
        reason: &str,
        overloaded: bool,
        documents: Vec<Pending>,
        now: Nanos,
    ) -> Result<()> {
        self.count_retries(documents.len(), overloaded);
        for mut document in documents.into_iter().rev() {
            self.failed_again(&mut document, reason, now)?;
            self.buffer.put_back(document);
        }
        Ok(())
    }

    fn split(
        &mut self,
        cx: &Context<'_>,
        mut documents: Vec<Pending>,
        reason: &str,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<()> {
        if let [document] = documents.as_slice() {
            self.bury(cx, document, reason, dead);
            return Ok(());
        }
        tracing::debug!(operator = %self.operator, reason, documents = documents.len(), "Elasticsearch: a request is halved");
        self.pace.too_large();
        self.halves.push(documents.split_off(documents.len() / 2));
        self.halves.push(documents);
        Ok(())
    }

    fn settle(
        &mut self,
        cx: &Context<'_>,
        documents: Vec<Pending>,
        outcomes: Vec<Outcome>,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<()> {
        let now = cx.nanos();
        let (mut written, mut again) = (Vec::with_capacity(documents.len()), Vec::new());
        for (document, outcome) in documents.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Done => written.push(document),
                Outcome::Stale => {
                    self.conflict(&document);
                    written.push(document);
                }
                Outcome::DeadLetter(reason) => self.bury(cx, &document, &reason, dead),
                Outcome::Stop(reason) => return Err(self.stop(&reason)),
                Outcome::Retry { reason, overloaded } => again.push((document, reason, overloaded)),
            }
        }
        self.meters.acknowledged(&written, now);
        written.iter().for_each(|document| self.buffer.settle(document, now));
        self.defer(again, now)
    }

    // Only these documents wait; what goes to other indices goes on meanwhile, more slowly if the cluster is overloaded.
    fn defer(&mut self, again: Vec<(Pending, String, bool)>, now: Nanos) -> Result<()> {
        let overloaded = again.iter().filter(|(_, _, overloaded)| *overloaded).count();
        if overloaded > 0 {
            self.pace.slow_down();
        } else {
            self.pace.succeeded();
        }
        let Some((_, reason, _)) = again.first() else {
            return Ok(());
        };
        let tries = again.iter().map(|(document, ..)| document.tries + 1).max().unwrap_or(1);
        let pause = self.pace.delay(tries);
        tracing::warn!(
            operator = %self.operator, %reason, documents = again.len(), ?pause,
            "Elasticsearch: some documents of a request are repeated"
        );
        self.count_retries(again.len() - overloaded, false);
        self.count_retries(overloaded, true);
        let mut group = Vec::with_capacity(again.len());
        for (mut document, reason, _) in again {
            self.failed_again(&mut document, &reason, now)?;
            group.push(document);
        }
        self.requests += 1;
        self.later.insert((now + nanos(pause), self.requests), group);
        Ok(())
    }

    fn requeue(&mut self, now: Nanos) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            entry.remove().into_iter().rev().for_each(|document| self.buffer.put_back(document));
        }
    }

    fn failed_again(&self, document: &mut Pending, reason: &str, now: Nanos) -> Result<()> {
        document.tries = document.tries.saturating_add(1);
        let since = *document.failed_at.get_or_insert(now);
        match self.options.backoff_max_time {
            Some(limit) if Duration::from_nanos(now.saturating_sub(since)) > limit => {
                Err(Error::restart(format!(
                    "{}: document {:?} of index {:?} could not be written for {limit:?} (bulk-flush.backoff.max-time): {reason}",
                    self.operator, document.key.id, document.key.index
                )))
            }
            _ => Ok(()),
        }
    }

    fn count_retries(&self, documents: usize, overloaded: bool) {
        self.meters.retries.add(documents as u64);
        if overloaded {
            self.meters.rejected.add(documents as u64);
        }
    }

    fn bury(&mut self, cx: &Context<'_>, document: &Pending, reason: &str, dead: &mut Rows<DeadLetter>) {
        let reason = format!("document {:?} of index {:?}: {reason}", document.key.id, document.key.index);
        self.refuse(document.body().to_vec(), cx.now(), &reason, dead);
        self.buffer.settle(document, cx.nanos());
    }

    // No document is twice on its way, and a repeated one may meet itself: any other conflict has another writer behind it.
    fn conflict(&mut self, document: &Pending) {
        self.meters.conflicts.add(1);
        let own = document.tries > 0 || document.rows == 0;
        if !own && !mem::replace(&mut self.warned_of_conflict, true) {
            tracing::warn!(
                operator = %self.operator, index = %document.key.index, id = %document.key.id,
                "Elasticsearch holds a newer version of a document: a newer attempt of this job runs, or another job or subtask writes \
                 the same ids, or the job's directory (where epochs are counted) was lost. Said once; see the figure conflicts"
            );
        }
    }

    fn stop(&self, reason: &str) -> Error {
        Error::configuration(format!(
            "{}: Elasticsearch refuses to write: {reason}; check hosts, login and its rights",
            self.operator
        ))
    }

    fn send(&mut self, cx: &Context<'_>, now: Nanos) {
        while self.pace.may_send(now, self.in_flight.len()) {
            let documents = match self.halves.pop() {
                Some(half) => half,
                None if self.is_due(now) => self.buffer.take(self.pace.bytes(), self.options.max_actions),
                None => return,
            };
            self.send_request(cx, documents);
        }
    }

    fn send_request(&mut self, cx: &Context<'_>, documents: Vec<Pending>) {
        self.requests += 1;
        let (request, count, client) = (self.requests, documents.len(), Arc::clone(&self.client));
        let body = encode::bulk(&documents);
        self.in_flight.insert(request, documents);
        let answer = async move { Event::Answered(request, client.bulk(body, count).await) };
        self.events.spawn(cx.io().as_ref(), cx.waker(), answer);
    }

    fn is_due(&self, now: Nanos) -> bool {
        let full =
            self.buffer.ready() >= self.options.max_actions || self.buffer.ready_bytes() >= self.pace.bytes();
        let aged = self.due_at().is_some_and(|due| due <= now);
        full || aged || (self.flushing && self.buffer.ready() > 0)
    }

    // When the oldest document has waited long enough.
    fn due_at(&self) -> Option<Nanos> {
        self.buffer.ready_since().map(|since| since + nanos(self.options.interval))
    }

    fn step(&self, cx: &Context<'_>, now: Nanos) -> Step {
        let next = [self.next_send(now), self.later.keys().next().map(|(due, _)| *due)];
        let wake_at = next.into_iter().flatten().min().map(|due| {
            // Rounded up: waking too early would only mean to wake once more.
            let left = due.saturating_sub(now).div_ceil(1_000_000);
            cx.now().saturating_add(Time::try_from(left).unwrap_or(Time::MAX))
        });
        Step { more: false, blocked: self.buffer.bytes() >= self.options.buffer_bytes, wake_at }
    }

    // Answers wake by themselves; what time alone brings is the end of a pause, and age.
    fn next_send(&self, now: Nanos) -> Option<Nanos> {
        if !self.started {
            return None;
        }
        let something = self.buffer.ready() > 0 || !self.halves.is_empty();
        match self.pace.paused_until(now) {
            Some(until) => something.then_some(until),
            None => self.due_at().filter(|_| self.pace.may_send(now, self.in_flight.len())),
        }
    }
}

fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
