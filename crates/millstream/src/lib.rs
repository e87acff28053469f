//! Millstream: a stream processor with Flink's semantics in one process.
//!
//! A pipeline depends on this crate and on nothing else of Millstream. It re-exports the other crates and
//! adds [`Execute`], which runs a pipeline in this process. Systems to read from and to write to, the command
//! line and the operator rig are features of it.
//!
//! Start with [`prelude`], [`Environment`] and [`DataStream`]; the directory `examples` has small programs
//! that run.
//!
//! | to write | use |
//! |---|---|
//! | a pipeline | [`Environment`], [`DataStream`], [`KeyedStream`], [`window`], [`connectors`] |
//! | a function with state and timers | [`KeyedProcessFunction`](operators::KeyedProcessFunction), [`state`] |
//! | an operator | [`Operator`], [`operator`], [`snapshot`] |
//! | a sink | [`Sink`], [`SinkWriter`], [`sink`], [`snapshot`] |
//! | a source | [`Source`], [`SplitReader`], [`Enumerator`], [`source`] |
//! | a format | [`Decoder`], [`decode`] |
//! | a program that runs the job | [`runtime`], `cli`, `server` |

#[cfg(doctest)]
mod book;
mod execute;

pub use execute::{Execute, run};
pub use millstream_api::{
    ConnectedStreams, DataStream, Environment, KeyedStream, SinkHandle, WindowedStream, Windows,
};
pub use millstream_json as json;
pub use millstream_operators::collection::{Collected, Collection};
pub use millstream_operators::operators::WatermarkStrategy;
pub use millstream_record::{Data, Error, ErrorKind, Key, Record, Result};
pub use millstream_runtime as runtime;
pub use millstream_stage::dead_letter::DeadLetter;
pub use millstream_stage::decode::{Decoder, TextLines};
pub use millstream_stage::operator::SideTag;
pub use millstream_stage::raw::RawBatch;
pub use millstream_stage::sink::{Guarantee, Sink, SinkWriter};
pub use millstream_stage::source::{Enumerator, Source, SplitReader};
pub use millstream_stage::{
    Budget, Context, End, OpenContext, Operator, Output, Rows, SplitId, Step, Version, Versions,
    WatermarkEvent,
};

pub use millstream_runtime::{JobHandle, JobReport};

#[cfg(feature = "cli")]
pub use millstream_cli::{self as cli, App};
#[cfg(feature = "flink")]
pub use millstream_flink as flink;
#[cfg(feature = "server")]
pub use millstream_server as server;
#[cfg(feature = "sim")]
pub use millstream_sim as sim;

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

/// Windows, triggers, and what is computed per window.
pub mod window {
    pub use millstream_operators::window::{
        AggregateFunction, Calendar, Collect, Count, CountTrigger, Cumulative, DefaultTrigger,
        EventTimeTrigger, Global, Never, ProcessingTimeTrigger, Purging, Reduce, Session, Sliding, Sum, TopN,
        Trigger, TriggerContext, TriggerResult, Tumbling, Window, WindowAssigner, WindowFunction,
    };
}

/// Keyed state and timers of functions.
pub mod state {
    pub use millstream_operators::state::{
        AggregatingState, KeyedContext, ListState, MapState, ReducingState, States, Timer, TimerKind, Ttl,
        ValueState,
    };
}

/// The operators that streams are made of, for `transform` and for tests of pipelines.
pub mod operators {
    pub use millstream_operators::KeySelector;
    pub use millstream_operators::operators::{
        AssignWatermarks, DEAD_LETTERS, DeadLetters, Decode, Either, Filter, FlatMap, FoldBatch, Inspect,
        KeyedCoProcessFunction, KeyedProcessFunction, Late, LateFor, Map, OneLetter, Process,
        WatermarkStrategy,
    };
}

/// The contract of an operator.
pub mod operator {
    pub use millstream_stage::operator::{Operator, Output, SideTag, SplitChange};
}

/// The contract of a sink.
pub mod sink {
    pub use millstream_stage::sink::*;
    pub use millstream_stage::unwritten::Backlog;
}

/// The contract of a source.
pub mod source {
    pub use millstream_stage::source::*;
}

/// Formats: from messages to records.
pub mod decode {
    pub use millstream_stage::decode::*;
    pub use millstream_stage::raw::*;
}

/// Requests that run beside the pipeline, for sinks and readers.
pub mod io {
    pub use millstream_stage::backoff::*;
    pub use millstream_stage::io::*;
}

/// What operators, sinks and readers put into a checkpoint.
pub mod snapshot {
    pub use millstream_stage::snapshot::*;
}

/// Event time, processing time and their text forms.
pub mod time {
    pub use millstream_stage::time::*;
}

/// Types of options for configuration files: durations, sizes, secrets.
pub mod options {
    pub use millstream_stage::options::*;
}

/// What is counted and measured.
pub mod metrics {
    pub use millstream_stage::metrics::*;
}

/// Systems that are away, and since when.
pub mod trouble {
    pub use millstream_stage::trouble::*;
}

/// Records that are refused, and how many of them.
pub mod refusals {
    pub use millstream_stage::reasons::*;
    pub use millstream_stage::refusals::*;
}

/// What a pipeline compiles to.
pub mod plan {
    pub use millstream_protocol::layout::{SubtaskId, subtasks};
    pub use millstream_stage::plan::*;
}

/// Checkpoints, savepoints and restarts: settings, statistics, and the report on what a restore would do.
pub mod checkpoint {
    pub use millstream_protocol::checkpoint_options::*;
    pub use millstream_protocol::checkpoint_stats::*;
    pub use millstream_protocol::job_settings::*;
    pub use millstream_protocol::job_snapshot::*;
    pub use millstream_protocol::log::Base;
    pub use millstream_protocol::restore_check::{OperatorReport, RestoreReport, StateFate, StateReport};
}

/// Where keyed state lives: on the heap, or with the feature `rocksdb` on the disk.
pub mod state_backend {
    pub use millstream_stage::state_backend::*;
    #[cfg(feature = "rocksdb")]
    pub use millstream_state::{FORMAT, RocksBackend, RocksOptions, RocksReader};
}

/// Records as bytes, for those that write an encoding of their own.
pub mod record {
    pub use millstream_record::record::*;
}

/// Keys, their hashes and their groups.
pub mod key {
    pub use millstream_record::key::*;
    pub use millstream_record::key_group::*;
}

/// What nearly every pipeline needs.
pub mod prelude {
    pub use std::time::Duration;

    pub use crate::execute::Execute;
    pub use millstream_api::{DataStream, Environment, KeyedStream};
    pub use millstream_operators::collection::{Collected, Collection};
    pub use millstream_operators::operators::{
        KeyedCoProcessFunction, KeyedProcessFunction, WatermarkStrategy,
    };
    pub use millstream_operators::state::{KeyedContext, States, Timer, TimerKind, Ttl, ValueState};
    pub use millstream_operators::window::{
        AggregateFunction, Average, Calendar, Count, CountTrigger, Cumulative, Global, Max, Min, Purging,
        Session, Sliding, Sum, TopN, Tumbling, Window,
    };
    pub use millstream_record::{Data, Error, ErrorKind, Key, Record, Result};
    pub use millstream_stage::dead_letter::DeadLetter;
    pub use millstream_stage::decode::TextLines;
    pub use millstream_stage::operator::SideTag;
    pub use millstream_stage::time::Time;
}

/// For generated code only: no part of the public API.
#[doc(hidden)]
pub mod __private {
    pub use millstream_json as json;
    pub use millstream_record as record;
}
