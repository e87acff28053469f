//! The latest state of something, pushed to every page that looks at it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use futures::stream::unfold;
use serde::Serialize;
use tokio::sync::watch;

/// Holds one JSON document. Cheap to clone; all clones mean the same one.
#[derive(Clone, Debug)]
pub struct Live(Arc<watch::Sender<String>>);

impl Default for Live {
    fn default() -> Self {
        Self(Arc::new(watch::channel("null".to_owned()).0))
    }
}

impl Live {
    /// Replaces the document and tells every page.
    pub fn publish(&self, document: &impl Serialize) {
        match serde_json::to_string(document) {
            Ok(text) => drop(self.0.send_replace(text)),
            Err(error) => tracing::error!("the page's document cannot be written as JSON: {error}"),
        }
    }

    /// The document now, and again whenever it is replaced. A slow page skips what it was too slow for.
    pub(crate) fn events(&self) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
        let mut receiver = self.0.subscribe();
        receiver.mark_changed();
        let events = unfold(receiver, |mut receiver| async move {
            receiver.changed().await.ok()?;
            let text = receiver.borrow_and_update().clone();
            Some((Ok(Event::default().data(text)), receiver))
        });
        Sse::new(events).keep_alive(KeepAlive::default())
    }
}
