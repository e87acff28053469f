//! What the application's tests share: the program, events, and brute-force references.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test program uses its own part")]

pub mod brute_force;
pub mod program;
pub mod recording;
pub mod schema;
pub mod stores;
pub mod window;
