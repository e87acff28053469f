//! A Tokio runtime and the machine's clock: for connectors whose clients need them.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use millstream_record::{Error, Result};
use millstream_stage::io::{BoxFuture, Io};
use millstream_stage::time::{Clock, MAX_TIME, Nanos, Time, millis, nanos};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::world::{Signal, World};

/// Real time and real I/O. Who waits longer than the patience without being woken gets an error.
pub struct TokioWorld {
    // Taken when dropped, which may happen within another runtime.
    runtime: Option<Runtime>,
    io: Arc<TokioIo>,
    clock: Arc<SystemClock>,
    patience: Duration,
}

impl TokioWorld {
    /// A runtime of two threads; a minute of patience.
    ///
    /// # Errors
    /// When the machine gives no threads.
    pub fn new() -> Result<Self> {
        let built = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime =
            built.map_err(|cause| Error::retry("no Tokio runtime could be started").caused_by(cause))?;
        let io = Arc::new(TokioIo(runtime.handle().clone()));
        let (clock, patience) = (Arc::new(SystemClock::start()), Duration::from_secs(60));
        Ok(Self { runtime: Some(runtime), io, clock, patience })
    }

    /// Another patience.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// To run something else on the same runtime, such as a client that reads back.
    pub fn handle(&self) -> &Handle {
        &self.io.0
    }
}

impl Drop for TokioWorld {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl World for TokioWorld {
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::<SystemClock>::clone(&self.clock)
    }

    fn io(&self) -> Arc<dyn Io> {
        Arc::<TokioIo>::clone(&self.io)
    }

    fn wait(&self, signal: &Signal, until: Option<Time>) -> Result<()> {
        let left = until.unwrap_or(MAX_TIME).saturating_sub(self.clock.now());
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
        let came = signal.wait(left.min(self.patience));
        if came || left <= self.patience {
            return Ok(());
        }
        Err(Error::bug(format!("it waits, but nothing has woken it for {:?}", self.patience)))
    }
}

struct TokioIo(Handle);

impl Io for TokioIo {
    fn spawn(&self, task: BoxFuture<()>) {
        self.0.spawn(task);
    }

    fn spawn_blocking(&self, task: Box<dyn FnOnce() + Send>) {
        self.0.spawn_blocking(task);
    }

    fn sleep(&self, time: Duration) -> BoxFuture<()> {
        Box::pin(async move { tokio::time::sleep(time).await })
    }
}

struct SystemClock(Instant);

#[allow(clippy::disallowed_methods, reason = "a driver's clock")]
impl SystemClock {
    fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "a driver's clock")]
    fn now(&self) -> Time {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, millis)
    }

    fn nanos(&self) -> Nanos {
        nanos(self.0.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Harness;

    #[test]
    fn futures_and_blocking_calls_wake_who_waits() {
        let harness = Harness::new(Arc::new(TokioWorld::new().unwrap()));
        let mut completions = millstream_stage::io::Completions::default();
        harness.call(|cx| {
            let sleep = cx.io().sleep(Duration::from_millis(1));
            let io = Arc::clone(cx.io());
            completions.spawn(io.as_ref(), cx.waker(), async move {
                sleep.await;
                1
            });
            completions.spawn_blocking(io.as_ref(), cx.waker(), || 2);
        });
        let mut seen = Vec::new();
        while seen.len() < 2 {
            harness.wait(None).unwrap();
            seen.extend(completions.drain().unwrap());
        }
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
    }

    #[test]
    fn who_is_never_woken_gets_an_error() {
        let world = TokioWorld::new().unwrap().patience(Duration::from_millis(20));
        let harness = Harness::new(Arc::new(world));
        assert!(harness.wait(None).unwrap_err().to_string().contains("nothing has woken it"));
        harness.wait(Some(0)).unwrap();
    }
}
