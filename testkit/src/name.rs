//! Names that no other test uses.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::wait;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// `prefix` with a suffix that no other call on this machine returns: for topics, indices and keys on a
/// shared server.
///
/// Letters, digits and `-` only, lower case if `prefix` is: valid as a topic, an index and a key.
pub fn unique_name(prefix: &str) -> String {
    let count = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{:x}-{:x}-{count}", wait::epoch_seconds(), process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_differ_and_are_lower_case() {
        let (one, two) = (unique_name("clicks"), unique_name("clicks"));
        assert_ne!(one, two);
        assert_eq!(one, one.to_lowercase());
    }
}
