//! The operators, windows and keyed state of a pipeline, and the chains that operators are linked to.
//!
//! Start reading at [`operators::Filter`], then [`chain`] and [`state`].

pub mod aggregate_function;
pub mod chain;
mod cold;
pub mod collection;
mod firing;
mod group_watermarks;
mod key_selector;
mod opened;
pub mod operators;
pub mod state;
pub mod table;
pub mod window;

pub use key_selector::KeySelector;
