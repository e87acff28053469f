//! The operators, one per file. `filter.rs` is the one to read first.

pub mod dead_letters;
pub mod decode;
pub mod either;
pub mod filter;
pub mod flat_map;
pub mod fold_batch;
pub mod inspect;
pub mod late;
pub mod map;
pub mod process;
pub mod process_two;
pub mod watermarks;

pub use dead_letters::DeadLetters;
pub use decode::{DEAD_LETTERS, Decode};
pub use either::Either;
pub use filter::Filter;
pub use flat_map::FlatMap;
pub use fold_batch::FoldBatch;
pub use inspect::Inspect;
pub use late::{Late, LateFor, OneLetter};
pub use map::Map;
pub use process::{KeyedProcessFunction, Process};
pub use process_two::{KeyedCoProcessFunction, ProcessTwo};
pub use watermarks::{AssignWatermarks, WatermarkStrategy};
