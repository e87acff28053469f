//! Shop traffic out of nothing, and recorded traffic once more.
//!
//! - [`ShopTraffic`]: an iterator of events of an online shop, the same ones for the same seed on every
//!   machine.
//! - [`GeneratorSource`]: the same as a source, at a rate or flat out.
//! - [`Replay`]: a source around another one, whose lines it gives at their own speed, shuffled within bounds
//!   and with broken records mixed in.

mod broken;
mod chance;
mod config;
mod encode;
mod enumerator;
mod event;
mod pace;
mod reader;
pub mod replay;
mod shape;
mod source;
mod split;
mod traffic;

pub use broken::BrokenKind;
pub use config::{Field, GeneratorOptions};
pub use event::{Behavior, ShopEvent};
pub use replay::{Replay, ReplayOptions};
pub use source::GeneratorSource;
pub use traffic::{Fault, ShopTraffic, Shot};
