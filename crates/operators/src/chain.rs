//! Links operators into the typed tree that is a stage: built back to front, one virtual call per operator
//! and batch.

mod chained;
mod exchange;
mod fanout;
mod input;
mod side;
mod sink_end;
mod source_head;
mod two_inputs;

pub use chained::Chained;
pub use exchange::{Exchanged, HashRows, hash_by};
pub use fanout::{Discard, Fanout};
pub use input::{Call, Head, InputStage, OneInput, forward};
pub use side::Side;
pub use sink_end::SinkEnd;
pub use source_head::SourceStage;
pub use two_inputs::TwoInputs;
