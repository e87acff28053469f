//! Runs the futures of all stages: a small Tokio runtime beside the subtasks' threads.

use std::time::Duration;

use millstream_record::{Error, Result};
use millstream_stage::io::{BoxFuture, Io};
use tokio::runtime::{Builder, Handle, Runtime};

/// [`Io`] on a Tokio runtime that someone else owns.
#[derive(Clone, Debug)]
pub struct TokioIo(Handle);

impl TokioIo {
    /// Runs futures on this runtime.
    pub fn new(handle: Handle) -> Self {
        Self(handle)
    }
}

impl Io for TokioIo {
    fn spawn(&self, task: BoxFuture<()>) {
        self.0.spawn(task);
    }

    fn spawn_blocking(&self, task: Box<dyn FnOnce() + Send>) {
        self.0.spawn_blocking(task);
    }

    // The timer is made at the first poll, which happens within the runtime.
    fn sleep(&self, time: Duration) -> BoxFuture<()> {
        Box::pin(async move { tokio::time::sleep(time).await })
    }
}

/// A runtime with so many worker threads.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) where the system gives no more
/// threads.
pub(crate) fn runtime(threads: usize) -> Result<Runtime> {
    let built =
        Builder::new_multi_thread().worker_threads(threads).thread_name("millstream-io").enable_all().build();
    built.map_err(|error| Error::configuration("the I/O threads cannot be started").caused_by(error))
}
