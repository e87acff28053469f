//! One engine for sinks that write asynchronously and with versions: what waits, what leaves when, and what
//! becomes of an answer.
//!
//! Such a sink's guarantee rests on three things: every item has an **id** that the record determines, every
//! write carries a **version** that grows (see [`Version`](millstream_stage::Version)), and what was not
//! acknowledged is **part of the snapshot** and sent again. A repeated write then changes nothing, so the
//! engine may repeat whatever it has no answer to, and a slow system holds no barrier.
//!
//! A connector brings a [`Mapping`] (a record becomes an item) and a [`Store`] (items become one request;
//! each item's verdict). Everything else is here, once for all connectors:
//!
//! | what | where |
//! |---|---|
//! | one item per id, the newest; an id that is on its way waits for its answer | `buffer` |
//! | requests in flight and their size: halved on failures, raised on success; pauses with jitter | `pace` |
//! | what is sent when, and when to be woken; nothing before the store is ready | `delivery` |
//! | written, stale, refused, to be repeated, to be halved | `delivery/answers` |
//! | whose fault a refusal of an unknown kind is | `suspects` |
//! | the snapshot, and what was restored | `delivery/restore` |
//! | how many rows wait, and since when | `ages` |
//! | one log line per trouble, metrics | `meters`, and [`trouble`](millstream_stage::trouble) |
//!
//! **What becomes of a refusal.** What lies in the store, in a part of it (an index that is closed) or in
//! between is waited for: the item is sent again with growing pauses, the log says so once, and other places
//! of the store go on meanwhile. What lies in one item alone is a dead letter. Where a store cannot tell
//! ([`Verdict::Unclear`]), the item waits as well; it becomes a dead letter when it was refused
//! [`MOST_REFUSALS`] times while other items of its [place](Item::place) were written, and never while
//! everything there is refused alike.
//!
//! The list `millstream_sim::conformance::sink` tries a connector with its system; `tests/delivery` tries the
//! engine with a scripted store.

mod ages;
mod buffer;
mod delivery;
mod item;
mod limits;
mod meters;
mod pace;
mod pending_item;
mod store;
mod suspects;
mod work;
mod writer;

pub use buffer::Items;
pub use item::Item;
pub use limits::Limits;
pub use store::{ItemError, Mapping, Names, NotReady, Reply, Restoring, Store, Verdict};
pub use suspects::MOST_REFUSALS;
pub use work::Work;
pub use writer::Writers;
