//! Tests of operators, connectors and whole pipelines, in one thread and under a clock that moves when it is
//! told to.
//!
//! - [`conformance`]: the lists of checks that every source, every sink and every cold store passes.
//! - [`MemoryCold`]: the reference cold store, for tests of what lives above one.
//! - [`rig`]: one operator through everything that a driver may do to it.
//! - [`SeededDriver`]: a whole pipeline in an order that a seed chooses, with checkpoints, crashes and
//!   restarts.
//! - [`DrivenWriter`], [`DrivenReader`]: a sink's writer or a source's reader, driven by hand for a
//!   connector's own tests.
//!
//! Everything is driven in a [`World`]: [`Simulated`] (one thread, virtual time, a seed) or, with the feature
//! `tokio`, `TokioWorld` (a Tokio runtime and the machine's clock).

mod clock;
pub mod conformance;
mod driven_reader;
mod driven_stage;
mod driven_writer;
mod driver;
mod executor;
mod harness;
mod memory_cold;
mod pace;
pub mod rig;
#[cfg(feature = "tokio")]
mod tokio_world;
mod world;

pub use clock::VirtualClock;
pub use driven_reader::{DrivenReader, Reading};
pub use driven_writer::DrivenWriter;
pub use driver::{Broken, SeededDriver, SimOutcome};
pub use executor::Executor;
pub use harness::Harness;
pub use memory_cold::MemoryCold;
pub use pace::Pace;
#[cfg(feature = "tokio")]
pub use tokio_world::TokioWorld;
pub use world::{Signal, Simulated, World};
