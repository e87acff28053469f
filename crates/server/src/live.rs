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
pub struct Live(Arc<watch::Sender<Document>>);

#[derive(Clone, Debug)]
struct Document {
    text: String,
    // No other document follows.
    last: bool,
}

impl Default for Live {
    fn default() -> Self {
        Self(Arc::new(watch::channel(Document { text: "null".to_owned(), last: false }).0))
    }
}

impl Live {
    /// Replaces the document and tells every page.
    pub fn publish(&self, document: &impl Serialize) {
        match serde_json::to_string(document) {
            Ok(text) => self.0.send_modify(|document| document.text = text),
            Err(error) => tracing::error!("the page's document cannot be written as JSON: {error}"),
        }
    }

    /// The document is the last one: every page gets it, then its stream ends.
    pub(crate) fn close(&self) {
        self.0.send_modify(|document| document.last = true);
    }

    /// The document now, and again whenever it is replaced. A slow page skips what it was too slow for, but
    /// not the last one.
    pub(crate) fn events(&self) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
        let mut receiver = self.0.subscribe();
        receiver.mark_changed();
        let events = unfold((receiver, false), |(mut receiver, over)| async move {
            if over {
                return None;
            }
            receiver.changed().await.ok()?;
            let Document { text, last } = receiver.borrow_and_update().clone();
            Some((Ok(Event::default().data(text)), (receiver, last)))
        });
        Sse::new(events).keep_alive(KeepAlive::default())
    }
}
