//! The bytes of a cold store's keys and values.

use millstream_record::key_group::KeyGroup;
use millstream_record::{Error, Result};
use millstream_stage::time::Time;

/// What all keys of a table in a key group begin with.
pub(crate) fn prefix(group: KeyGroup, table: u8) -> Vec<u8> {
    let [high, low] = group.to_be_bytes();
    vec![high, low, table]
}

/// The first key behind all that begin with `prefix`.
pub(crate) fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![u8::MAX; prefix.len() + 1]
}

/// Appends a time so that bytes are in the order of times.
pub(crate) fn push_time(key: &mut Vec<u8>, time: Time) {
    key.extend(((time as u64) ^ (1 << 63)).to_be_bytes());
}

/// Reads what [`push_time`] wrote.
pub(crate) fn read_time(key: &mut &[u8]) -> Result<Time> {
    let (bytes, rest) =
        key.split_first_chunk().ok_or_else(|| Error::data("a cold key ends within a time"))?;
    *key = rest;
    Ok((u64::from_be_bytes(*bytes) ^ (1 << 63)) as Time)
}

/// A value that expires at some time, its entry yet to be appended.
pub(crate) fn pair(key: Vec<u8>, expiry: Time) -> (Vec<u8>, Vec<u8>) {
    (key, expiry.to_be_bytes().to_vec())
}

/// The entry in a value.
pub(crate) fn entry_of(value: &[u8]) -> Result<&[u8]> {
    value.get(8..).ok_or_else(|| Error::data("a cold value is shorter than its expiry"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_ranges_are_in_order() {
        let key = |time| {
            let mut key = prefix(7, 128);
            push_time(&mut key, time);
            key
        };
        let times = [Time::MIN, -1, 0, 1, Time::MAX];
        assert!(times.map(key).is_sorted());
        for time in times {
            assert_eq!(read_time(&mut &key(time)[3..]).unwrap(), time);
        }
        assert!(key(Time::MAX) < after(&prefix(7, 128)) && after(&prefix(7, 128)) < prefix(7, 130));
        assert_eq!(after(&[1, 255, 255]), [2]);
        assert_eq!(after(&prefix(7, 255)), [0, 8]);
    }
}
