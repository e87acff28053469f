//! The sink as a pipeline sees it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use compact_str::{CompactString, format_compact};
use millstream_delivery::{Limits, Writers};
use millstream_record::Result;
use millstream_record::record::Data;
use millstream_stage::OpenContext;
use millstream_stage::sink::{Guarantee, Sink, SinkWriter};
use serde_json::Value;

use crate::config::ElasticsearchOptions;
use crate::document::Document;
use crate::store::{Documents, Map};
use crate::template::Template;

/// Writes each record as one document.
///
/// [`Guarantee::IdempotentFenced`]: a repeated write changes nothing, an older one is refused. A document's newest state becomes visible
/// with the index's next refresh (1 s by default).
pub struct ElasticsearchSink<T> {
    settings: Arc<Settings>,
    map: Map<T>,
    writers: Writers<Documents<T>>,
}

/// What all writers of a sink share.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) options: ElasticsearchOptions,
    pub(crate) templates: Vec<Template>,
    /// Whether it was said that the start cannot compare everything.
    pub(crate) said_unseen: Arc<AtomicBool>,
}

impl Settings {
    /// The name of an index as the store knows it.
    pub(crate) fn index(&self, name: &CompactString) -> CompactString {
        match self.options.index_prefix.as_str() {
            "" => name.clone(),
            prefix => format_compact!("{prefix}{name}"),
        }
    }

    /// How the cluster is written to.
    pub(crate) fn limits(&self) -> Limits {
        let options = &self.options;
        let nodes = u32::try_from(options.hosts.len()).unwrap_or(u32::MAX);
        Limits {
            batch_items: options.max_actions,
            request_items: options.max_actions,
            request_bytes: options.max_bytes,
            linger: options.interval,
            in_flight: options.max_in_flight,
            buffer_bytes: options.buffer_bytes,
            first_pause: options.backoff_delay,
            longest_pause: options.backoff_max_delay,
            give_up: options.backoff_max_time,
            start_timeout: options.start_timeout,
            // Each node may be tried in turn.
            answer_timeout: (options.connect_timeout + options.request_timeout).saturating_mul(nodes + 1),
        }
    }
}

impl<T: Data> ElasticsearchSink<T> {
    /// A sink that writes the document that `map` makes of each record. The closure must depend on the record
    /// alone: a replay must give the same ids.
    pub fn new(options: ElasticsearchOptions, map: impl Fn(&T) -> Document + Send + Sync + 'static) -> Self {
        let settings = Settings { options, templates: Vec::new(), said_unseen: Arc::default() };
        Self::of(settings, Arc::new(map))
    }
}

impl<T> ElasticsearchSink<T> {
    /// An index template (the body of `PUT /_index_template/NAME`) that is put in place before the first
    /// document, by every writer. `index-prefix` is put before its name and its patterns.
    #[must_use]
    pub fn with_template(self, name: impl Into<String>, json: Value) -> Self {
        let mut settings = Settings::clone(&self.settings);
        settings.templates.push(Template { name: name.into(), body: json });
        Self::of(settings, self.map)
    }

    fn of(settings: Settings, map: Map<T>) -> Self {
        let settings = Arc::new(settings);
        let writers = Writers::new(Documents { settings: Arc::clone(&settings), map: Arc::clone(&map) });
        Self { settings, map, writers }
    }
}

impl<T: Data> Sink<T> for ElasticsearchSink<T> {
    fn kind(&self) -> &'static str {
        "elasticsearch"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::IdempotentFenced
    }

    fn validate(&self) -> Result<()> {
        self.settings.options.validate()?;
        self.settings.templates.iter().try_for_each(Template::validate)
    }

    fn writer(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SinkWriter<T>>> {
        self.writers.writer(name, cx)
    }
}

impl<T> std::fmt::Debug for ElasticsearchSink<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ElasticsearchSink").field("settings", &self.settings).finish_non_exhaustive()
    }
}
