//! Millstream: a stream processor with Flink's semantics in one process.
//!
//! A pipeline depends on this crate and on nothing else of Millstream. It re-exports the other crates and adds [`Execute`], which runs a
//! pipeline in this process. Systems to read from and to write to, the command line and the operator rig are features of it.
//!
//! Start with [`prelude`], [`Environment`] and [`DataStream`].

mod execute;

pub use execute::{Execute, run};
pub use millstream_api::{
    ConnectedStreams, DataStream, Environment, KeyedStream, SinkHandle, WindowedStream, Windows,
};
pub use millstream_json as json;
pub use millstream_record::{Data, Error, ErrorKind, Key, Record, Result};
pub use millstream_runtime as runtime;
pub use millstream_stage::Rows;
pub use {
    millstream_operators as operators, millstream_protocol as protocol, millstream_record as record,
    millstream_stage as stage,
};

pub use millstream_runtime::{JobHandle, JobReport};

#[cfg(feature = "cli")]
pub use millstream_cli::{self as cli, App};
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

    pub use crate::execute::Execute;
    pub use millstream_api::{DataStream, Environment, KeyedStream};
    pub use millstream_operators::collection::{Collected, Collection};
    pub use millstream_operators::operators::{KeyedCoProcess, KeyedProcess, WatermarkStrategy};
    pub use millstream_operators::state::{KeyedContext, States, Timer, TimerKind, Ttl};
    pub use millstream_operators::window::{
        AggregateFunction, Calendar, Count, CountTrigger, Cumulative, Global, Purging, Session, Sliding, Sum,
        TopN, Tumbling, Window,
    };
    pub use millstream_record::{Data, Error, ErrorKind, Key, Record, Result};
    pub use millstream_stage::dead_letter::DeadLetter;
    pub use millstream_stage::operator::SideTag;
    pub use millstream_stage::time::Time;
}
