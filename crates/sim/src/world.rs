//! Where something is driven: its clock, its I/O, and what it means to wait.

use std::sync::Arc;
use std::task::Wake;
use std::time::Duration;

use millstream_record::{Error, Result};
use millstream_stage::io::Io;
use millstream_stage::time::{Clock, Time};
use parking_lot::{Condvar, Mutex};

use crate::clock::VirtualClock;
use crate::executor::Executor;

/// Where something is driven.
pub trait World: Send + Sync {
    /// Its clock.
    fn clock(&self) -> Arc<dyn Clock>;
    /// Its I/O.
    fn io(&self) -> Arc<dyn Io>;
    /// Waits until the signal was given, which takes it back, or until this processing time has come.
    ///
    /// # Errors
    /// When neither can happen any more, or nothing happens for too long: whoever waits would hang for ever.
    fn wait(&self, signal: &Signal, until: Option<Time>) -> Result<()>;
}

/// Remembers that a waker was called.
#[derive(Debug, Default)]
pub struct Signal {
    given: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *self.given.lock() = true;
        self.changed.notify_all();
    }
}

impl Signal {
    /// Takes the signal back; whether it had been given.
    pub fn take(&self) -> bool {
        std::mem::take(&mut *self.given.lock())
    }

    /// Whether the signal was given; it stays.
    pub fn is_given(&self) -> bool {
        *self.given.lock()
    }

    /// Waits for the signal and takes it back; whether it was given within the time.
    pub fn wait(&self, at_most: Duration) -> bool {
        let mut given = self.given.lock();
        self.changed.wait_while_for(&mut given, |given| !*given, at_most);
        std::mem::take(&mut given)
    }
}

/// One thread, virtual time, and a seed that chooses what happens next.
pub struct Simulated {
    clock: Arc<VirtualClock>,
    executor: Arc<Executor>,
}

impl Simulated {
    /// A world that begins at this processing time.
    pub fn new(seed: u64, start: Time) -> Self {
        let clock = Arc::new(VirtualClock::at(start));
        Self { executor: Executor::new(Arc::clone(&clock), seed), clock }
    }

    /// A world beside others, under the same clock, with I/O of its own: another process.
    pub fn beside(clock: &Arc<VirtualClock>, seed: u64) -> Self {
        Self { executor: Executor::new(Arc::clone(clock), seed), clock: Arc::clone(clock) }
    }

    /// Its clock.
    pub fn virtual_clock(&self) -> &Arc<VirtualClock> {
        &self.clock
    }

    /// What runs its futures.
    pub fn executor(&self) -> &Arc<Executor> {
        &self.executor
    }

    /// Runs every future as far as it comes without time going on.
    pub fn settle(&self) {
        self.executor.wake_sleepers();
        while self.executor.step() {}
    }
}

impl Default for Simulated {
    /// Seed 0, in November 2017, when the shop's data begins.
    fn default() -> Self {
        Self::new(0, 1_511_500_000_000)
    }
}

impl World for Simulated {
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::<VirtualClock>::clone(&self.clock)
    }

    fn io(&self) -> Arc<dyn Io> {
        Arc::<Executor>::clone(&self.executor)
    }

    fn wait(&self, signal: &Signal, until: Option<Time>) -> Result<()> {
        let until = until.map(|time| self.clock.nanos_at(time));
        // Also for who asks to be called at once, again and again: the others come on.
        self.executor.step();
        loop {
            if signal.take() || until.is_some_and(|until| self.clock.nanos() >= until) {
                return Ok(());
            }
            if self.executor.step() {
                continue;
            }
            let next = [self.executor.next_wake(), until].into_iter().flatten().min();
            self.clock.advance_to(next.ok_or_else(nothing_in_flight)?);
            self.executor.wake_sleepers();
        }
    }
}

fn nothing_in_flight() -> Error {
    Error::bug("it waits, but no future is in flight and no wake-up time was given: it would hang for ever")
}
