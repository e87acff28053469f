//! Keys and their stable hash.
//!
//! A key's hash is computed once, at `key_by`, and travels with the batch. Its middle bits choose the key
//! group, because a hash table uses the lowest and the highest ones.

use compact_str::CompactString;
use xxhash_rust::xxh3::xxh3_64;

use crate::record::Record;

/// The key of a keyed stream. Equal keys have equal hashes in every process and every version.
pub trait Key: Record + Eq + std::hash::Hash + Ord {
    /// A stable 64-bit hash (XXH3) of the key's canonical bytes.
    fn key_hash(&self) -> u64;
}

/// The hash of bytes: XXH3, 64 bits.
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// The hash of a compound key from the hashes of its parts, in order.
pub fn combine(left: u64, right: u64) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&left.to_le_bytes());
    bytes[8..].copy_from_slice(&right.to_le_bytes());
    xxh3_64(&bytes)
}

macro_rules! text_key {
    ($($text:ty),*) => {$(
        impl Key for $text {
            fn key_hash(&self) -> u64 {
                xxh3_64(self.as_bytes())
            }
        }
    )*};
}
text_key!(String, CompactString);

macro_rules! number_key {
    ($($number:ty),*) => {$(
        impl Key for $number {
            // Widened first, so that a key that grows from i32 to i64 keeps its group.
            fn key_hash(&self) -> u64 {
                xxh3_64(&i128::from(*self).to_le_bytes())
            }
        }
    )*};
}
number_key!(i32, i64, u16, u32, u64, bool);

impl Key for () {
    fn key_hash(&self) -> u64 {
        xxh3_64(&[])
    }
}

impl<K: Key> Key for Option<K> {
    fn key_hash(&self) -> u64 {
        self.as_ref().map_or(combine(0, 0), |key| combine(1, key.key_hash()))
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn key_hash(&self) -> u64 {
        combine(self.0.key_hash(), self.1.key_hash())
    }
}

impl<A: Key, B: Key, C: Key> Key for (A, B, C) {
    fn key_hash(&self) -> u64 {
        combine(combine(self.0.key_hash(), self.1.key_hash()), self.2.key_hash())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_a_promise() {
        assert_eq!("543462".to_string().key_hash(), CompactString::from("543462").key_hash());
        assert_eq!(
            "".to_string().key_hash(),
            0x2d06_8005_38d3_94c2,
            "XXH3 of nothing, from its specification"
        );
        assert_eq!(7_i32.key_hash(), 7_i64.key_hash());
    }
}
