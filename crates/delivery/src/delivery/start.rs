//! The wait at the start: nothing is sent before the store is ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use millstream_record::{Error, ErrorKind, Result};
use millstream_stage::backoff::Backoff;
use millstream_stage::time::{Nanos, nanos};
use millstream_stage::trouble::rounded;
use millstream_stage::unwritten::Backlog;

use super::{Delivery, Event};
use crate::store::{NotReady, Store};
use crate::work::TaskContext;

/// How far the start has come.
pub(super) struct Start<I> {
    state: State,
    backoff: Backoff,
    /// Whether it was ready in this attempt of the job or in an earlier one: what it refuses now, it has
    /// taken then.
    was_ready: Arc<AtomicBool>,
    began: Nanos,
    tries: u32,
    /// What the store writes at its start; also in its form in snapshots, until that is done.
    pub(super) restored: Arc<Vec<I>>,
    pub(super) frozen: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Asked,
    WaitsUntil(Nanos),
    Done,
}

impl<I> Start<I> {
    pub(super) fn new(backoff: Backoff, was_ready: Arc<AtomicBool>, now: Nanos) -> Self {
        let (restored, frozen) = (Arc::new(Vec::new()), Vec::new());
        Self { state: State::WaitsUntil(now), backoff, was_ready, began: now, tries: 0, restored, frozen }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    pub(super) fn due_at(&self) -> Option<Nanos> {
        if let State::WaitsUntil(due) = self.state { Some(due) } else { None }
    }

    pub(super) fn is_due(&self, now: Nanos) -> bool {
        self.due_at().is_some_and(|due| due <= now)
    }

    /// Ends the pause.
    pub(super) fn hurry(&mut self) {
        if self.due_at().is_some() {
            self.state = State::WaitsUntil(0);
        }
    }

    /// The rows that it has to write.
    pub(super) fn backlog(&self) -> Backlog {
        let rows = self.frozen.len() as u64;
        Backlog { rows, oldest: (rows > 0).then_some(self.began) }
    }

    /// Whether a flush has to wait for it: for what it writes, and for its first attempt, which may say that
    /// the job is set up wrongly.
    pub(super) fn holds_flush(&self) -> bool {
        !self.is_done() && (self.tries == 0 || !self.frozen.is_empty())
    }
}

impl<S: Store> Delivery<S> {
    pub(super) fn ask_whether_ready(&mut self, place: TaskContext<'_>) {
        self.start.state = State::Asked;
        let work = self.store.start(&self.start.restored);
        let patience = self.limits.answer_timeout.max(self.limits.start_timeout);
        let lost = move || Err(NotReady::Wait(format!("no answer within {}", rounded(patience))));
        work.spawn(place, &mut self.events, patience, Event::Started, lost);
    }

    pub(super) fn started(&mut self, result: Result<(), NotReady>, now: Nanos) -> Result<()> {
        match result {
            Ok(()) => {
                self.start.state = State::Done;
                self.start.was_ready.store(true, Relaxed);
                self.start.restored = Arc::default();
                self.start.frozen = Vec::new();
                self.meters.succeeded(now);
                Ok(())
            }
            Err(NotReady::Stop(error)) if self.may_pass(&error) => self.not_ready(&error.chain(), now),
            Err(NotReady::Stop(error)) => Err(error.in_operator(&self.operator)),
            Err(NotReady::Wait(reason)) => self.not_ready(&reason, now),
        }
    }

    // A login, a right or a file that was there before may come back, so a job is not ended for good by it.
    pub(super) fn may_pass(&self, error: &Error) -> bool {
        error.kind() == ErrorKind::Configuration && self.start.was_ready.load(Relaxed)
    }

    fn not_ready(&mut self, reason: &str, now: Nanos) -> Result<()> {
        self.start.tries = self.start.tries.saturating_add(1);
        let pause = self.start.backoff.delay(self.start.tries);
        let gone = Duration::from_nanos(now.saturating_sub(self.start.began));
        let patience = self.limits.start_timeout;
        if gone + pause >= patience {
            let (subject, setting) = (self.store.subject(), self.names.start_timeout);
            return Err(Error::restart(format!(
                "{subject} is not ready after {patience:?} ({setting}): {reason}; check its address and that it runs"
            )));
        }
        self.meters.failed(now, &format!("not ready yet: {reason}"));
        self.start.state = State::WaitsUntil(now.saturating_add(nanos(pause)));
        Ok(())
    }
}
