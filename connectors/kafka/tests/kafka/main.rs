//! The source and the sink against real brokers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod bounds;
mod common;
mod exactly_once;
mod exactly_once_crashes;
mod pipeline;
mod positions;
mod rights;
mod sink;
mod sink_conformance;
mod source_conformance;
mod start;
mod transactions;
mod trouble;
mod windows;
