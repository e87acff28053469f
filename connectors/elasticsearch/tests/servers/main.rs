//! The sink against real servers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail as the test does")]

mod bad_days;
mod cluster;
mod conformance;
mod login;
mod maintenance;
mod overload;
mod targets;
mod versions;
