//! What every driver and every connector of Millstream shares: batches, time, keys, the stage contract, state and the operators.
//!
//! This crate owns no thread, no clock and no I/O runtime. Whoever runs a [`stage::Stage`] hands those in through a context:
//! the thread driver, the simulation, or Flink. Start reading at [`operator`] (how an operator is made), then [`stage`]
//! (what a driver calls) and [`plan`] (what a pipeline compiles to).

pub mod backoff;
pub mod batch;
pub mod chain;
pub mod cold;
pub mod collection;
pub mod context;
pub mod dead_letter;
pub mod decode;
pub mod drive;
pub mod error;
pub mod figures;
mod firing;
pub mod id;
pub mod io;
pub mod key;
pub mod merge;
pub mod operator;
pub mod operators;
pub mod options;
pub mod origin;
pub mod plan;
pub mod raw;
pub mod record;
pub mod refusals;
pub mod schema;
pub mod sink;
pub mod snapshot;
pub mod source;
pub mod stage;
pub mod state;
pub mod table;
pub mod time;
pub mod trouble;
pub mod version;
pub mod window;

mod slot_index;

pub use batch::{Batch, Rows};
pub use context::{Context, OpenContext};
pub use decode::{Decoder, Refused};
pub use error::{Error, ErrorKind, Result};
pub use key::{Key, KeyGroup};
pub use millstream_derive::{Key, Record};
pub use operator::{Operator, Output, Push};
pub use record::{Data, Record};
pub use stage::{Budget, End, InputId, Mark, Stage, Step};
pub use version::{Version, Versions};

// The derives name this crate by its public path, also from within it.
extern crate self as millstream_core;
