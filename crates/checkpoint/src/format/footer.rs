//! The first and the last bytes of a state file.

use millstream_record::{Error, Result};
use xxhash_rust::xxh3::xxh3_64;

use super::VERSION;

const MAGIC: [u8; 8] = *b"MSSTATE\n";

pub(super) const HEADER_BYTES: usize = 16;

pub(super) const FOOTER_BYTES: usize = 52;

/// What the end of a file says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) index_offset: u64,
    pub(super) index_bytes: u64,
    pub(super) index_checksum: u64,
    /// The checksum of everything before the footer.
    pub(super) file_checksum: u64,
}

pub(super) fn header() -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let checksum = xxh3_64(&bytes[..12]) as u32;
    bytes[12..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Refuses a file that does not begin as a state file of a version that is known here.
pub(super) fn check_header(bytes: &[u8]) -> Result<()> {
    let sound = bytes.len() == HEADER_BYTES
        && bytes[..8] == MAGIC
        && bytes[12..] == (xxh3_64(&bytes[..12]) as u32).to_le_bytes();
    if !sound {
        return Err(Error::data("its header is damaged, or it is no state file"));
    }
    check_version(u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]))
}

impl Footer {
    pub(super) fn encode(&self) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        let numbers = [self.index_offset, self.index_bytes, self.index_checksum, self.file_checksum];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes[32..36].copy_from_slice(&VERSION.to_le_bytes());
        bytes[36..44].copy_from_slice(&MAGIC);
        let checksum = xxh3_64(&bytes[..44]);
        bytes[44..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; FOOTER_BYTES]) -> Result<Self> {
        let number = |at: usize| {
            bytes[at..at + 8].iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
        };
        let (expected, actual) = (number(44), xxh3_64(&bytes[..44]));
        if expected != actual || bytes[36..44] != MAGIC {
            return Err(Error::data(format!(
                "its footer is damaged, or it was cut: checksum {expected:016x} expected, {actual:016x} found"
            )));
        }
        check_version(number(32) as u32)?;
        Ok(Self {
            index_offset: number(0),
            index_bytes: number(8),
            index_checksum: number(16),
            file_checksum: number(24),
        })
    }
}

fn check_version(version: u32) -> Result<()> {
    if version > VERSION {
        return Err(Error::configuration(format!(
            "it was written by a newer version of Millstream (format {version}): restore it with that one"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use millstream_record::ErrorKind;

    use super::*;

    #[test]
    fn any_flipped_bit_shows() {
        let footer = Footer { index_offset: 1, index_bytes: 2, index_checksum: 3, file_checksum: 4 };
        let bytes = footer.encode();
        assert_eq!(Footer::decode(&bytes).unwrap(), footer);
        for at in 0..FOOTER_BYTES {
            let mut bad = bytes;
            bad[at] ^= 0x10;
            assert_eq!(Footer::decode(&bad).unwrap_err().kind(), ErrorKind::Data, "{at}");
        }
        check_header(&header()).unwrap();
        for at in 0..HEADER_BYTES {
            let mut bad = header();
            bad[at] ^= 0x10;
            assert_eq!(check_header(&bad).unwrap_err().kind(), ErrorKind::Data, "{at}");
        }
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let mut bytes = header();
        bytes[8] = 9;
        let checksum = xxh3_64(&bytes[..12]) as u32;
        bytes[12..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(check_header(&bytes).unwrap_err().kind(), ErrorKind::Configuration);
    }
}
