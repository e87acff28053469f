//! The click stream of an online shop: events in, metrics out, with a page to watch them.
//!
//! Built on the `millstream` facade alone. [`pipeline`] is the whole job on one screen; each metric is a file
//! in [`jobs`].

pub mod app;
pub mod commands;
#[cfg(feature = "servers")]
pub mod drill;
pub mod dropping;
pub mod event;
pub mod jobs;
#[cfg(any(test, not(feature = "servers")))]
pub mod left_out;
pub mod options;
pub mod page;
pub mod parts;
pub mod pipeline;
pub mod results;
pub mod sinks;
pub mod sources;
#[cfg(feature = "servers")]
pub mod systems;
