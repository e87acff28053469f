//! What a running job shows over HTTP: `/metrics` for Prometheus, a page that is pushed what happens, and
//! Flink's REST interface.
//!
//! Loopback needs no login; anything else needs a password, asked for by the browser (any user name will do)
//! and never logged.

mod auth;
mod live;
mod prometheus;
mod rest;
mod server;

pub use live::Live;
pub use prometheus::metrics;
pub use server::{Page, Server, ServerOptions};
