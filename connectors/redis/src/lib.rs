//! Redis as a sink: every result is a key of its own, replaced as a whole.
//!
//! A record becomes a [`RedisWrite`]: a hash, a string, or a ranking (a sorted set that is swapped in whole).
//! Value, version and expiry are written in one atomic step, a script on the server, which changes nothing if
//! a newer version is there: of a later write of the same attempt, or of any write of a later attempt. A
//! repeated write is the same write again.
//!
//! | value | where its version is | both expire |
//! |---|---|---|
//! | hash | in its field [`VERSION_FIELD`] | together |
//! | string, ranking | under a key of its own, [`version_key`] | together |
//!
//! Versions are [`Version`](millstream_stage::version::Version)s in their text form: 16 hexadecimal digits,
//! compared as strings.
//!
//! **What readers can rely on:** idempotent and fenced. Redis itself may lose acknowledged writes
//! (replication is asynchronous, its log is flushed once a second by default): what must outlive a fail-over
//! belongs in a second store too.
//!
//! **Failures.** A lost connection, a server that is loading, full, read-only or busy, and a login or right
//! that is lost while the job runs are tried again with growing pauses, for as long as `retry-for` says; so
//! is a server that is away at the start, for `start-timeout`. A key of another type is a dead letter; so is
//! a write that is refused for another reason while others are taken. At the start a wrong login, missing
//! rights, and a node of a Redis Cluster stop the job with an error that says so. A write of a later attempt
//! stops this one: it is fenced.
//!
//! Metrics: `bytes_out` and `latency` when a write was acknowledged; `retries`, writes that were sent again;
//! `stale`, writes that were refused because a newer one was there.

mod certificates;
mod check;
mod client;
mod config;
mod encode;
mod forget;
mod rehearsal;
mod retry;
mod sink;
mod store;
mod write;

pub use check::check;
pub use config::{RedisOptions, Url};
pub use forget::forget;
pub use sink::RedisSink;
pub use write::{KEY_FIELD, RedisWrite, VERSION_FIELD, version_key};
