//! clickstream
fn main() {}
