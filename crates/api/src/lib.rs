//! The DataStream API: builders that make a [`Plan`](millstream_stage::plan::Plan).
//!
//! Nothing runs here. A stream is a node in a graph; each call adds an operator behind it;
//! [`Environment::plan`] checks the whole and compiles it. Operators between two exchanges become one stage.

mod connected;
mod environment;
mod graph;
mod keyed;
mod node;
mod stream;
mod windowed;
mod windows;

pub use connected::ConnectedStreams;
pub use environment::Environment;
pub use keyed::KeyedStream;
pub use stream::{DataStream, SinkHandle};
pub use windowed::WindowedStream;
pub use windows::{SpecOf, WindowParts, Windows};
