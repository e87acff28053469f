//! Key groups: the units in which keyed state is stored, moved and rescaled.

use std::ops::Range;

/// The unit in which keyed state is stored, moved and rescaled.
pub type KeyGroup = u16;

/// Key groups of a job unless it asks for more.
pub const DEFAULT_KEY_GROUPS: u16 = 128;

/// The key group of a hash, out of `groups`.
pub fn key_group(hash: u64, groups: u16) -> KeyGroup {
    let middle = (hash >> 16) as u32;
    ((u64::from(middle) * u64::from(groups)) >> 32) as KeyGroup
}

/// The index, out of `parts`, that owns a key group. The same formula as Flink's `KeyGroupRangeAssignment`.
pub fn owner(group: KeyGroup, groups: u16, parts: u16) -> u16 {
    (u32::from(group) * u32::from(parts) / u32::from(groups)) as u16
}

/// The key groups that part `index` of `parts` owns.
pub fn owned_groups(index: u16, groups: u16, parts: u16) -> Range<KeyGroup> {
    let start = |index: u32| (index * u32::from(groups)).div_ceil(u32::from(parts)) as KeyGroup;
    start(u32::from(index))..start(u32::from(index) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key as _;

    #[test]
    fn ranges_tile_the_groups_and_agree_with_the_owner() {
        for groups in [1, 7, 128, 4096] {
            for parts in 1..=groups.min(40) {
                let mut next = 0;
                for index in 0..parts {
                    let range = owned_groups(index, groups, parts);
                    assert_eq!(range.start, next);
                    assert!(range.clone().all(|group| owner(group, groups, parts) == index));
                    next = range.end;
                }
                assert_eq!(next, groups);
            }
        }
    }

    #[test]
    fn groups_are_even() {
        let mut counts = [0; 128];
        for user in 0..128_000_i64 {
            counts[usize::from(key_group(user.key_hash(), 128))] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
