//! Decides what is sent when; [`answers`] what becomes of it.

mod answers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::dead_letter::DeadLetter;
use millstream_core::io::Completions;
use millstream_core::snapshot::OperatorList;
use millstream_core::time::{Nanos, Time};
use millstream_core::{Context, OpenContext, Result, Rows, Step};

use crate::buffer::{Buffer, Pending};
use crate::client::Client;
use crate::config::ElasticsearchOptions;
use crate::encode;
use crate::meters::Meters;
use crate::pace::Pace;
use crate::retry::Reply;
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

    fn requeue(&mut self, now: Nanos) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            entry.remove().into_iter().rev().for_each(|document| self.buffer.put_back(document));
        }
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
