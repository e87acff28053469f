//! The sink that writes exactly once.
//!
//! **What happens.** The writer keeps the messages of an *interval* (what came between two checkpoints) in
//! memory. At a barrier the interval becomes part of the snapshot, as committables. Once the checkpoint is
//! complete, everything up to it is written in one Kafka transaction, together with a *marker*: an offset
//! that is committed for a consumer group of the sink's own, whose metadata says which checkpoint of which
//! attempt was written. Messages and marker become visible together or not at all. After a restore the marker
//! says which of the restored committables were written already.
//!
//! **Why nothing is written twice.** What subtask `s` has put into a snapshot is written by transactional id
//! `…-s` alone, marked in that id's group alone, and each attempt has one writer that initialises the id
//! before it looks at the marker: subtask `s`, or after scaling down to `n`, subtask `s % n`. The
//! initialisation ends or aborts what an older attempt has open, and fences it: the marker that is read
//! afterwards can no longer change but by our own hand.
//!
//! **Lineages.** Checkpoint ids and epochs grow along one job's log, and say nothing across two. So each
//! writer carries when it was first started without state, and each lineage has a marker of its own: who
//! starts from nothing, or forks a job from a savepoint, is not held up by what another history has marked.
//!
//! Start reading at `writer.rs`; `ledger.rs` decides, `transaction.rs` and `start.rs` talk to the brokers,
//! away from the stage's thread.

mod group;
mod interval;
mod ledger;
mod marker;
mod reports;
mod start;
mod transaction;
mod writer;
mod writer_id;

pub(crate) use writer::TransactionalWriter;
