//! How a stage does I/O without owning a runtime: it hands futures to its context and collects what comes of
//! them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;

use millstream_record::{Error, Result};

/// A boxed future that can move between threads.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs a stage's futures. The thread driver's is a Tokio runtime; the simulation's runs them in its one
/// thread.
pub trait Io: Send + Sync {
    /// Runs a future to its end.
    fn spawn(&self, task: BoxFuture<()>);
    /// Runs code that blocks, such as a file or database call, where it may block.
    fn spawn_blocking(&self, task: Box<dyn FnOnce() + Send>);
    /// Ends after a time, by the driver's clock.
    fn sleep(&self, time: Duration) -> BoxFuture<()>;
}

/// The futures that one operator has in flight, and what they gave.
///
/// The subtask is woken whenever one ends; call [`drain`](Self::drain) in `resume`.
pub struct Completions<R> {
    done: Arc<Mutex<Vec<Option<R>>>>,
    in_flight: usize,
}

impl<R> Default for Completions<R> {
    fn default() -> Self {
        Self { done: Arc::default(), in_flight: 0 }
    }
}

impl<R: Send + 'static> Completions<R> {
    /// Starts a future.
    pub fn spawn(&mut self, io: &dyn Io, waker: &Waker, task: impl Future<Output = R> + Send + 'static) {
        let report = self.report(waker);
        io.spawn(Box::pin(async move { report.ended(task.await) }));
    }

    /// Starts a call that may block.
    pub fn spawn_blocking(&mut self, io: &dyn Io, waker: &Waker, task: impl FnOnce() -> R + Send + 'static) {
        let report = self.report(waker);
        io.spawn_blocking(Box::new(move || report.ended(task())));
    }

    /// How many have not been drained yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// What has ended since the last call, in the order in which it ended.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`](millstream_record::ErrorKind::Bug) when a future panicked or was dropped.
    pub fn drain(&mut self) -> Result<Vec<R>> {
        let done = std::mem::take(&mut *self.done.lock());
        self.in_flight -= done.len();
        let lost = || Error::bug("a future of this operator panicked or was dropped before its end");
        done.into_iter().map(|result| result.ok_or_else(lost)).collect()
    }

    fn report(&mut self, waker: &Waker) -> Report<R> {
        self.in_flight += 1;
        Report { done: Arc::clone(&self.done), waker: waker.clone(), result: None }
    }
}

// Reports on drop, so that a future that panics is noticed and is not waited for.
struct Report<R> {
    done: Arc<Mutex<Vec<Option<R>>>>,
    waker: Waker,
    result: Option<R>,
}

impl<R> Report<R> {
    fn ended(mut self, result: R) {
        self.result = Some(result);
    }
}

impl<R> Drop for Report<R> {
    fn drop(&mut self) {
        self.done.lock().push(self.result.take());
        self.waker.wake_by_ref();
    }
}
