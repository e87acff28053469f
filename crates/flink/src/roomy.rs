//! Runs calls that need more stack than a thread of Java's has.
//!
//! A Java thread has one MiB. What starts a job (plans, storages, brokers, restores) goes deeper, and a stack
//! that overflows in native code ends the whole process without a word. Calls of a stage that runs are flat.

use std::thread::{Builder, scope};

use millstream_record::{Error, Result};

const STACK_BYTES: usize = 16 << 20;

/// Makes a call on a thread of its own, and waits for it.
pub(crate) fn roomy<T: Send>(call: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    scope(|scope| {
        let thread = Builder::new().name("millstream-native".to_owned()).stack_size(STACK_BYTES);
        let thread = thread.spawn_scoped(scope, || millstream_runtime::catch_panic(call));
        let thread =
            thread.map_err(|error| Error::restart("no thread can be started for it").caused_by(error))?;
        let panicked = |panic: String| Err(Error::bug(format!("native code panicked: {panic}")));
        thread.join().unwrap_or_else(|_| Err("no message".to_owned())).unwrap_or_else(panicked)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn deep(left: usize) -> usize {
        let bytes = std::hint::black_box([0_u8; 1024]);
        if left == 0 { bytes.len() } else { deep(left - 1) + usize::from(bytes[0]) }
    }

    #[test]
    fn a_call_may_go_deep_and_may_panic() {
        // 4 MiB at least.
        assert_eq!(roomy(|| Ok(deep(4096))).unwrap(), 1024);
        let panicked = roomy::<()>(|| panic!("no such thing")).unwrap_err();
        assert!(panicked.chain().contains("no such thing"), "{}", panicked.chain());
    }
}
