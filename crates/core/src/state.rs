//! Keyed state as user functions see it: named states, timers, and the context of one key.

mod cell;
mod context;
mod handles;
mod keyed;
mod timers;
mod watermark;

pub use cell::StateCell;
pub use context::KeyedContext;
pub use handles::{AggregatingState, ListState, MapState, ReducingState, ValueState};
pub use keyed::{KeyedStates, States};
pub use timers::{Timer, TimerKind};
pub(crate) use watermark::Watermark;
