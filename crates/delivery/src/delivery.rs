//! Decides what is sent when; [`answers`] what becomes of it; [`restore`] what a snapshot holds.

mod answers;
mod restore;
mod start;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use millstream_record::Result;
use millstream_stage::backoff::Backoff;
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::io::Completions;
use millstream_stage::time::{Nanos, Time, nanos};
use millstream_stage::unwritten::Backlog;
use millstream_stage::{Context, OpenContext, Rows, Step, Version, Versions};
use start::Start;

use crate::buffer::{Buffer, Items, SlotId};
use crate::limits::Limits;
use crate::meters::Meters;
use crate::pace::Pace;
use crate::pending_item::PendingItem;
use crate::store::{Names, NotReady, Reply, Store};
use crate::suspects::Suspects;
use crate::work::TaskContext;

/// What a store's call reports.
enum Event {
    Started(Result<(), NotReady>),
    Answered(u64, Reply),
}

/// One writer's items from the buffer to the acknowledgement.
pub(crate) struct Delivery<S: Store> {
    operator: String,
    names: Names,
    limits: Limits,
    store: S,
    versions: Versions,
    buffer: Buffer<S::Item>,
    pace: Pace,
    events: Completions<Event>,
    // By number of the request.
    in_flight: BTreeMap<u64, Vec<SlotId>>,
    requests: u64,
    // Items that were refused one by one, by when to send them again. Their ids count as on their way.
    later: BTreeMap<(Nanos, u64), Vec<SlotId>>,
    // Halves of a request that was refused as a whole; they leave as they are.
    halves: Vec<Vec<SlotId>>,
    halved_in_vain: u32,
    suspects: Suspects,
    // The item that was written last: sent again, it tells whether its place takes anything.
    witness: Option<(S::Item, Version)>,
    meters: Meters,
    start: Start<S::Item>,
    flushing: bool,
    warned_of_conflict: bool,
}

impl<S: Store> Delivery<S> {
    /// Takes back what an earlier attempt had not delivered, and begins to ask whether the store is ready.
    /// Items wait for that.
    ///
    /// # Errors
    /// A damaged snapshot; an epoch that is too high.
    pub(crate) fn open(
        operator: &str,
        store: S,
        limits: Limits,
        was_ready: Arc<AtomicBool>,
        cx: &mut OpenContext,
    ) -> Result<Self> {
        let names = store.names();
        let backoff = |salt: u8| {
            let mut seed = DefaultHasher::new();
            (&cx.job, operator, cx.subtask, cx.epoch, salt).hash(&mut seed);
            Backoff::new(limits.first_pause, limits.longest_pause, seed.finish())
        };
        let mut delivery = Self {
            operator: operator.to_owned(),
            names,
            versions: Versions::new(cx.epoch)?,
            buffer: Buffer::default(),
            pace: Pace::new(limits.in_flight, limits.request_bytes, backoff(1)),
            events: Completions::default(),
            in_flight: BTreeMap::new(),
            requests: 0,
            later: BTreeMap::new(),
            halves: Vec::new(),
            halved_in_vain: 0,
            suspects: Suspects::default(),
            witness: None,
            meters: Meters::new(operator, &names, store.subject(), cx),
            start: Start::new(backoff(0), was_ready, cx.clock.nanos()),
            flushing: false,
            warned_of_conflict: false,
            limits,
            store,
        };
        delivery.restore(cx)?;
        delivery.ask_whether_ready(TaskContext::from(&*cx));
        Ok(delivery)
    }

    /// The version of the next item.
    pub(crate) fn next_version(&mut self) -> Result<Version> {
        self.versions.take()
    }

    /// Takes an item.
    pub(crate) fn insert(&mut self, item: S::Item, version: Version, ingest: Nanos, now: Nanos) {
        if self.buffer.insert(PendingItem::new(item, version, ingest, now)) {
            self.meters.folded.add(1);
        }
    }

    /// A value that can never be written.
    pub(crate) fn refuse(&self, value: Vec<u8>, now: Time, reason: &str, dead: &mut Rows<DeadLetter>) {
        dead.push(DeadLetter::of_value(&self.operator, self.names.kind, value, now, reason), now);
    }

    /// Reads the answers that have come and sends what is due.
    pub(crate) fn advance(&mut self, cx: &Context<'_>, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        for event in self.events.drain()? {
            match event {
                Event::Started(result) => self.started(result, cx.nanos())?,
                Event::Answered(request, reply) => self.answered(cx, request, reply, dead)?,
            }
        }
        let now = cx.nanos();
        if self.start.is_due(now) {
            self.ask_whether_ready(TaskContext::from(cx));
        }
        self.requeue(now);
        if self.start.is_done() {
            self.send(cx, now);
        }
        Ok(self.step(cx, now))
    }

    /// Sends everything without waiting for more or for the end of a pause; complete when all was
    /// acknowledged.
    pub(crate) fn flush(&mut self, cx: &Context<'_>, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        if !std::mem::replace(&mut self.flushing, true) {
            self.hurry();
        }
        let step = self.advance(cx, dead)?;
        self.flushing = !self.is_empty();
        Ok(if self.flushing { step.and(Step::BLOCKED) } else { step })
    }

    // A stop does not wait for a pause to end: an item that then fails once more waits again.
    fn hurry(&mut self) {
        self.pace.resume();
        self.start.hurry();
        for (_, group) in std::mem::take(&mut self.later) {
            group.into_iter().rev().for_each(|slot| self.buffer.put_back(slot));
        }
    }

    /// What was taken and not acknowledged; what the store writes at its start counts as well.
    pub(crate) fn backlog(&self) -> Backlog {
        self.buffer.backlog().and(self.start.backlog())
    }

    fn is_empty(&self) -> bool {
        self.buffer.is_empty() && !self.start.holds_flush()
    }

    fn requeue(&mut self, now: Nanos) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            entry.remove().into_iter().rev().for_each(|slot| self.buffer.put_back(slot));
        }
    }

    fn send(&mut self, cx: &Context<'_>, now: Nanos) {
        while self.pace.may_send(now, self.in_flight.len()) {
            let slots = match self.halves.pop() {
                Some(half) => half,
                None if self.is_due(now) => self.buffer.take(self.pace.bytes(), self.limits.request_items),
                None => return,
            };
            self.send_request(cx, slots);
        }
    }

    fn send_request(&mut self, cx: &Context<'_>, slots: Vec<SlotId>) {
        self.requests += 1;
        let request = self.requests;
        let work = self.store.request(Items::new(&self.buffer, &slots));
        self.in_flight.insert(request, slots);
        let patience = self.limits.answer_timeout;
        let lost =
            move || Reply::Wait { reason: format!("no answer within {patience:?}"), overloaded: false };
        let event = move |reply| Event::Answered(request, reply);
        work.spawn(TaskContext::from(cx), &mut self.events, patience, event, lost);
    }

    fn is_due(&self, now: Nanos) -> bool {
        let ready = self.buffer.ready();
        let full = ready >= self.limits.batch_items || self.buffer.ready_bytes() >= self.pace.bytes();
        let aged = self.due_at().is_some_and(|due| due <= now);
        ready > 0 && (full || aged || self.flushing || self.is_full())
    }

    fn is_full(&self) -> bool {
        self.buffer.bytes() >= self.limits.buffer_bytes
    }

    // When the oldest item has waited long enough.
    fn due_at(&self) -> Option<Nanos> {
        self.buffer.ready_since().map(|since| since + nanos(self.limits.linger))
    }

    fn step(&self, cx: &Context<'_>, now: Nanos) -> Step {
        let next = [self.next_send(now), self.later.keys().next().map(|(due, _)| *due), self.start.due_at()];
        let wake_at = next.into_iter().flatten().min().map(|due| {
            // Rounded up: waking too early would only mean to wake once more.
            let left = due.saturating_sub(now).div_ceil(1_000_000);
            cx.now().saturating_add(Time::try_from(left).unwrap_or(Time::MAX))
        });
        Step { more: false, blocked: self.is_full(), wake_at }
    }

    // Answers wake by themselves; what time alone brings is the end of a pause, and age.
    fn next_send(&self, now: Nanos) -> Option<Nanos> {
        if !self.start.is_done() {
            return None;
        }
        let something = self.buffer.ready() > 0 || !self.halves.is_empty();
        match self.pace.paused_until(now) {
            Some(until) => something.then_some(until),
            None => self.due_at().filter(|_| self.pace.may_send(now, self.in_flight.len())),
        }
    }
}
