//! Keyed state that is larger than memory: the cache above a [cold store](millstream_stage::state_backend).

mod cache;
mod frozen;
mod keys;

pub(crate) use cache::{Cache, ColdTable};
pub(crate) use keys::{after, entry_of, pair, prefix, push_time, read_time};
