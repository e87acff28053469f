//! One call of a store: a future, or code that blocks.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use millstream_stage::io::{BoxFuture, Completions, Io};
use millstream_stage::{Context, OpenContext};

/// One call of a store.
pub enum Work<R> {
    /// Runs where futures run.
    Future(BoxFuture<R>),
    /// Runs where it may block.
    Blocking(Box<dyn FnOnce() -> R + Send>),
}

impl<R: Send + 'static> Work<R> {
    /// A future.
    pub fn future(future: impl Future<Output = R> + Send + 'static) -> Self {
        Self::Future(Box::pin(future))
    }

    /// Code that blocks.
    pub fn blocking(call: impl FnOnce() -> R + Send + 'static) -> Self {
        Self::Blocking(Box::new(call))
    }

    /// Runs it; what comes of it is reported as `event`. A future that has not ended after `patience` is
    /// dropped and reported as `late`.
    pub(crate) fn spawn<E: Send + 'static>(
        self,
        place: TaskContext<'_>,
        events: &mut Completions<E>,
        patience: Duration,
        event: impl FnOnce(R) -> E + Send + 'static,
        late: impl FnOnce() -> R + Send + 'static,
    ) {
        let (io, waker) = (place.io, place.waker);
        match self {
            Self::Future(future) => {
                let alarm = io.sleep(patience);
                events.spawn(io.as_ref(), waker, async move {
                    event(first(future, alarm).await.unwrap_or_else(late))
                });
            }
            Self::Blocking(call) => events.spawn_blocking(io.as_ref(), waker, move || event(call())),
        }
    }
}

/// Where work is run and whom it wakes.
#[derive(Clone, Copy)]
pub(crate) struct TaskContext<'a> {
    io: &'a Arc<dyn Io>,
    waker: &'a std::task::Waker,
}

impl<'a> From<&'a Context<'_>> for TaskContext<'a> {
    fn from(cx: &'a Context<'_>) -> Self {
        Self { io: cx.io(), waker: cx.waker() }
    }
}

impl<'a> From<&'a OpenContext> for TaskContext<'a> {
    fn from(cx: &'a OpenContext) -> Self {
        Self { io: &cx.io, waker: &cx.waker }
    }
}

// None if the alarm comes first.
async fn first<R>(mut future: BoxFuture<R>, mut alarm: BoxFuture<()>) -> Option<R> {
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => alarm.as_mut().poll(cx).map(|()| None),
    })
    .await
}
