//! A source that stops half-way, so that a test can take a savepoint there.

pub(crate) mod paused;
