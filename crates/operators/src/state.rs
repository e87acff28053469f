//! Keyed state as user functions see it: named states, timers, and the context of one key.

mod cell;
mod clock_timers;
mod context;
mod frozen;
mod handles;
mod keyed;
mod meter;
mod rows;
mod states;
mod timer_index;
mod timers;
mod ttl;

pub use cell::StateCell;
pub(crate) use clock_timers::ClockTimers;
pub use context::KeyedContext;
pub use handles::{AggregatingState, ListState, MapState, ReducingState, ValueState};
pub use keyed::KeyedStates;
pub(crate) use meter::Meter;
pub use states::{States, StatesWithTtl};
pub(crate) use timer_index::OfKey;
pub use timers::{Timer, TimerKind};
pub use ttl::Ttl;
