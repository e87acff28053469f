//! How Flink names operators: the MurmurHash3 (x64, 128 bits) of the uid, as its `StreamGraphHasherV2` has
//! it.

use std::fmt;

/// An operator's id in Flink's metadata.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OperatorId(pub(super) [u8; 16]);

impl OperatorId {
    /// The id of the operator with this uid.
    pub(super) fn of_uid(uid: &str) -> Self {
        let (first, second) = murmur3(uid.as_bytes());
        let mut id = [0; 16];
        id[..8].copy_from_slice(&first.to_le_bytes());
        id[8..].copy_from_slice(&second.to_le_bytes());
        Self(id)
    }
}

/// As Flink shows it.
impl fmt::Display for OperatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for OperatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

/// With the seed 0.
fn murmur3(bytes: &[u8]) -> (u64, u64) {
    let (mut first, mut second) = (0_u64, 0_u64);
    let (blocks, tail) = bytes.as_chunks::<16>();
    for block in blocks {
        let (low, high) = halves(block);
        first = (first ^ mix_low(low)).rotate_left(27).wrapping_add(second);
        first = first.wrapping_mul(5).wrapping_add(0x52dc_e729);
        second = (second ^ mix_high(high)).rotate_left(31).wrapping_add(first);
        second = second.wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let mut last = [0; 16];
    last[..tail.len()].copy_from_slice(tail);
    let (low, high) = halves(&last);
    let length = bytes.len() as u64;
    first ^= mix_low(low) ^ length;
    second ^= mix_high(high) ^ length;
    first = first.wrapping_add(second);
    second = second.wrapping_add(first);
    first = finish(first);
    second = finish(second);
    first = first.wrapping_add(second);
    (first, second.wrapping_add(first))
}

fn halves(block: &[u8; 16]) -> (u64, u64) {
    let both = u128::from_le_bytes(*block);
    (both as u64, (both >> 64) as u64)
}

fn mix_low(low: u64) -> u64 {
    low.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

fn mix_high(high: u64) -> u64 {
    high.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

fn finish(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::OperatorId;

    #[test]
    fn uids_have_the_ids_that_flink_gives_them() {
        // What `StreamGraphHasherV2.generateUserSpecifiedHash` of Flink 2.2.1 answers.
        for (uid, id) in [
            ("", "00000000000000000000000000000000"),
            ("source", "e5a72f353fc1e6bbf3bd96a41384998c"),
            ("traffic-splits", "c2abd929a0e86fc4b37943eaf64689f0"),
            ("per-minute, 16 b", "4679f5cd3c13c41224edb3151432f3b5"),
            ("sessions of users in Zürich, by day", "607a63673a532f66e12f61b38ba8dc56"),
        ] {
            assert_eq!(OperatorId::of_uid(uid).to_string(), id, "{uid}");
        }
    }
}
