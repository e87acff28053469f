//! What several test programs share: a source that stops half-way, a job in several versions, and the jobs
//! of the golden savepoints.
#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod golden;
pub(crate) mod paused;
pub(crate) mod versions;
