//! The contract between a pipeline and whoever drives it: batches, time, sources, operators, sinks,
//! snapshots, and the plan.
//!
//! This crate owns no thread, no clock and no I/O runtime. Whoever runs a [`Stage`] hands those in through a
//! [`Context`]: the thread driver, the simulation, or Flink. Start reading at [`operator`] (how an operator
//! is made), then [`stage`] (what a driver calls) and [`plan`] (what a pipeline compiles to).

pub mod backoff;
pub mod batch;
pub mod chance;
pub mod context;
pub mod dead_letter;
pub mod decode;
pub mod id;
pub mod io;
pub mod metrics;
pub mod operator;
pub mod options;
pub mod origin;
mod output_location;
pub mod plan;
pub mod raw;
pub mod reasons;
pub mod refusals;
pub mod sink;
pub mod snapshot;
pub mod source;
pub mod split;
pub mod stage;
pub mod state_backend;
pub mod step;
pub mod time;
pub mod trouble;
pub mod unwritten;
pub mod version;
pub mod watermark;

pub use batch::{Batch, Rows};
pub use context::{Context, OpenContext};
pub use decode::{Decoder, Refused};
pub use operator::{Operator, Output, Push};
pub use split::SplitId;
pub use stage::{End, InputId, Stage};
pub use step::{Budget, Step};
pub use version::{Version, Versions};
pub use watermark::{WatermarkEvent, WatermarkMerger};
