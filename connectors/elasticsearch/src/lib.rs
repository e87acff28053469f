//! Writes results to Elasticsearch and to OpenSearch, each exactly once to whoever reads the index.
//!
//! The stores take no part in a transaction, so the guarantee rests on three things: every document has an
//! **id** that the record determines, every write carries a **version** that grows (`version_type=external`;
//! epoch in the high bits, see [`Version`](millstream_stage::Version)), and what was not acknowledged is
//! **part of the snapshot** and sent again. A repeated write then changes nothing, and one from an attempt
//! that should be dead is refused by the store itself.
//!
//! ```no_run
//! use millstream_elasticsearch::{Document, ElasticsearchOptions, ElasticsearchSink};
//! # #[derive(Clone, serde::Serialize)]
//! # struct Clicks { user_id: String, window_start: i64, count: u64 }
//! let options = ElasticsearchOptions { hosts: vec!["http://127.0.0.1:9200".into()], ..Default::default() };
//! let template = serde_json::json!({
//!     "index_patterns": ["user_clicks*"],
//!     "template": { "mappings": { "dynamic": "strict", "properties": {
//!         "user_id": { "type": "keyword" },
//!         "window_start": { "type": "date", "format": "epoch_millis" },
//!         "count": { "type": "long" },
//!     }}},
//! });
//! let sink = ElasticsearchSink::new(options, |clicks: &Clicks| {
//!     Document::new("user_clicks", format!("{}-{}", clicks.user_id, clicks.window_start), clicks)
//! })
//! .with_template("user_clicks", template);
//! # let _: &dyn millstream_stage::sink::Sink<Clicks> = &sink;
//! ```
//!
//! What becomes of a document that was not written at once (a request that is refused as a whole is judged
//! alike):
//!
//! | answer | what it means | what happens |
//! |---|---|---|
//! | 409 | the store holds this version or a newer one | done; counted in `conflicts` |
//! | 429 | overloaded, or the disk is full | sent again after a pause, fewer and smaller requests; `retries`, `rejected429` |
//! | 5xx, 408, no answer | a node is gone, or a shard | sent again after a pause, to another host if there is one; `retries` |
//! | index closed, blocked, or missing and not to be created; no shards left; read-only | maintenance of index or cluster | sent again after a pause; `retries` |
//! | 401, 403 | a right that was there at the start is gone | sent again after a pause; `retries` |
//! | a page of a proxy, whatever its status | something in between | sent again after a pause; `retries` |
//! | 413, or 400 for the whole request | too large, or spoilt by one document | sent in halves; alone: as below |
//! | 400 for its fields, its size, the name of its index | what is wrong with this document alone | dead letter with the reason; `deadLetters` |
//! | any other 4xx | not known | sent again after a pause; a dead letter when others of its index are written and it is not |
//!
//! Pauses grow up to `bulk-flush.backoff.max-delay`, each with a line in the log; repeating ends with the
//! cluster's troubles, or after `bulk-flush.backoff.max-time` if that is set. The login needs `index` and
//! `auto_configure` (or `create_index`) on the indices, and `manage_index_templates` where templates are
//! given.
//!
//! Before the first document the start looks at what each template's index is (`target`), whether its mapping
//! fits (`mapping`), and whether our template wins for a new one (`priority`): a data stream, an alias of
//! several indices or with rollover, and an index of other types are refused with each difference; a template
//! of somebody else that does not fit is overridden by a higher priority, unless the given body has a
//! `priority` of its own. Names are the templates' patterns without a `*` at the end. Where the login lacks
//! `view_index_metadata` nothing is compared.
//!
//! Where to read: [`config`] says what can be set; `store` is what the delivery engine
//! (`millstream-delivery`) sees, `bulk_retry` says what becomes of an answer, `client` alone speaks HTTP.

pub mod config;

mod bulk_retry;
mod check;
mod client;
mod document;
mod encode;
mod forget;
mod hosts;
mod item;
mod login;
mod mapping;
mod priority;
mod response;
mod sink;
mod start;
mod store;
mod target;
mod template;
mod tls;

pub use check::check;
pub use config::ElasticsearchOptions;
pub use document::Document;
pub use forget::forget;
pub use sink::ElasticsearchSink;
