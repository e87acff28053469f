//! Values past their time are dropped when RocksDB rewrites a file anyway.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use millstream_stage::time::{MIN_TIME, Time};

/// How far time has come for each table: watermark or processing time, whichever its values' expiry is meant
/// in.
pub(crate) struct Expiry([AtomicI64; 256]);

impl Default for Expiry {
    fn default() -> Self {
        Self([const { AtomicI64::new(MIN_TIME) }; 256])
    }
}

impl Expiry {
    /// Time of a table goes on.
    pub(crate) fn advance(&self, table: u8, now: Time) {
        self.0[usize::from(table)].fetch_max(now, Relaxed);
    }

    /// Whether a pair may go. One without an expiry stays.
    pub(crate) fn is_over(&self, key: &[u8], value: &[u8]) -> bool {
        let (Some(table), Some(expiry)) = (key.get(2), value.first_chunk::<8>()) else { return false };
        let expiry = Time::from_be_bytes(*expiry);
        expiry != Time::MAX && expiry <= self.0[usize::from(*table)].load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_has_its_own_time() {
        let expiry = Expiry::default();
        expiry.advance(1, 100);
        let over = |table: u8, at: Time| expiry.is_over(&[0, 7, table, 42], &at.to_be_bytes());
        assert!(over(1, 100) && over(1, 99));
        assert!(!over(1, 101) && !over(0, 1));
        expiry.advance(1, Time::MAX);
        assert!(over(1, Time::MAX - 1));
        assert!(!over(1, Time::MAX), "never means never, even at the end of all input");
        assert!(!expiry.is_over(&[0, 7], &[]), "not a pair of a table");
    }
}
