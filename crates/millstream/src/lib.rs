//! Millstream: a stream processor with Flink's semantics in one process.
//!
//! This crate only re-exports: a pipeline depends on it and on nothing else of Millstream. Systems to read from and to write to, the
//! command line and the operator rig are features of it.
//!
//! Start with [`prelude`], [`Environment`] and [`DataStream`].

pub use millstream_api::{
    ConnectedStreams, DataStream, Environment, KeyedStream, SinkHandle, WindowedStream, Windows,
};
pub use millstream_core as core;
pub use millstream_core::{Data, Error, ErrorKind, Key, Record, Result, Rows};
pub use millstream_json as json;
pub use millstream_runtime as runtime;

#[cfg(feature = "cli")]
pub use millstream_cli as cli;
#[cfg(feature = "server")]
pub use millstream_server as server;
#[cfg(feature = "sim")]
pub use millstream_sim as sim;
#[cfg(feature = "rocksdb")]
pub use millstream_state as state;

/// Systems to read from and to write to, each behind the feature of its name.
pub mod connectors {
    #[cfg(feature = "elasticsearch")]
    pub use millstream_elasticsearch as elasticsearch;
    #[cfg(feature = "files")]
    pub use millstream_files as files;
    #[cfg(feature = "generator")]
    pub use millstream_generator as generator;
    #[cfg(feature = "kafka")]
    pub use millstream_kafka as kafka;
    #[cfg(feature = "redis")]
    pub use millstream_redis as redis;
    #[cfg(feature = "sqlite")]
    pub use millstream_sqlite as sqlite;
}

/// What nearly every pipeline needs.
pub mod prelude {
    pub use std::time::Duration;

    pub use millstream_api::{DataStream, Environment, KeyedStream};
    pub use millstream_core::collection::{Collected, Collection};
    pub use millstream_core::dead_letter::DeadLetter;
    pub use millstream_core::operator::SideTag;
    pub use millstream_core::operators::{KeyedCoProcess, KeyedProcess, WatermarkStrategy};
    pub use millstream_core::state::{KeyedContext, States, Timer, TimerKind, Ttl};
    pub use millstream_core::time::Time;
    pub use millstream_core::window::{
        Aggregate, Calendar, Count, CountTrigger, Cumulative, Global, Purging, Session, Sliding, Sum, TopN,
        Tumbling, Window,
    };
    pub use millstream_core::{Data, Error, ErrorKind, Key, Record, Result};
}
