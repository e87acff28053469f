//! Kafka: a source of topics, and a sink, at least once or exactly once.
//!
//! Both stand on librdkafka, which brings threads of its own; a stage only ever takes what these have ready
//! and is woken by them. Start reading at `source.rs` and `sink.rs`; `fetch.rs`, `native.rs` and `waking.rs`
//! hold the `unsafe` parts, `retry.rs` says which error means what.

mod asking;
mod client;
mod config;
mod delivery;
mod describe;
mod encode;
mod enumerator;
mod exactly_once;
mod fetch;
mod group_offsets;
mod identity;
mod lasting;
mod native;
mod offset_committer;
mod outage;
mod partition;
mod partitions;
mod properties;
mod reader;
mod retry;
mod rights;
mod sink;
mod sink_config;
mod source;
mod split;
mod topic_id;
mod waking;
mod writer;

pub use config::{Bounded, GroupFallback, Isolation, KafkaSourceOptions, MissingOffset, Start, Topics};
pub use encode::Message;
pub use properties::Properties;
pub use sink::KafkaSink;
pub use sink_config::{Compression, DeliveryGuarantee, KafkaSinkOptions, MissingMarker};
pub use source::KafkaSource;
