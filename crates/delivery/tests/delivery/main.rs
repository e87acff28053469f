#![allow(clippy::unwrap_used, reason = "tests")]
//! The engine on a scripted store: slow, refusing items or whole requests, answering by half, losing answers,
//! executing twice, never answering, away at the start. In virtual time, so that every wake-up is seen.

mod faults;
mod list;
mod places;
mod refusals;
mod restores;
mod script;
mod waits;
