//! Recorded traffic once more: [`Replay`] around a source of lines.

mod config;
mod enumerator;
mod format;
mod reader;
mod shuffle;
mod source;
mod split;

pub use config::{ReplayOptions, Speed};
pub use format::{Format, JsonLines, TaobaoCsv};
pub use source::Replay;
