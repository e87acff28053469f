//! Whole numbers in as few bytes as they need: seven bits in each byte, the low ones first, and a set high
//! bit says that another byte follows. Avro's binary form and the files of checkpoints use them.

/// Appends a number: 1 to 10 bytes.
#[inline]
pub fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes a number off the front; `None`, and nothing taken, when the bytes end within it or it is longer than
/// 10 bytes.
#[inline]
pub fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_and_leaves_what_follows() {
        for (number, length) in [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (u64::MAX, 10)] {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            assert_eq!(bytes.len(), length, "{number}");
            bytes.push(9);
            let mut rest = &bytes[..];
            assert_eq!((take(&mut rest), rest), (Some(number), &[9][..]));
        }
    }

    #[test]
    fn a_number_that_is_cut_off_or_too_long_is_none() {
        for bad in [&[][..], &[0x80], &[0xff, 0xff], &[0xff; 12]] {
            let mut rest = bad;
            assert_eq!((take(&mut rest), rest), (None, bad));
        }
    }
}
