//! The version that every external write carries, so that a store can refuse what is older than what it
//! holds.
//!
//! A version is a positive 63-bit number: the job's epoch in the upper 23 bits, a sequence in the lower 40.
//! Any write of a newer attempt therefore wins over any write of an older one, however the replay was
//! batched, and within an attempt the later write wins. Within an epoch a document is written by one subtask
//! alone (the stream is keyed), so a sequence per writer grows per document too.
//!
//! **When it overflows.** The sequence lasts for 2^40 writes of one writer (127 days at 100,000 a second);
//! then [`Versions::take`] asks for a restart, which takes a new epoch and starts at 0 again. The epoch lasts
//! for 2^23 attempts (one every ten seconds for 2.6 years); then a job must get a new directory and new
//! documents, and [`Version::new`] says so.

use std::fmt;
use std::str::FromStr;

use millstream_record::{Error, Result};

const SEQUENCE_BITS: u32 = 40;

/// Orders the writes of a job: by epoch, then by sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(i64);

impl Version {
    /// The highest epoch that a version can hold.
    pub const MAX_EPOCH: u64 = (1 << (63 - SEQUENCE_BITS)) - 1;
    /// The highest sequence that a version can hold.
    pub const MAX_SEQUENCE: u64 = (1 << SEQUENCE_BITS) - 1;
    /// How many characters [`Display`](fmt::Display) writes, always.
    pub const WIDTH: usize = 16;

    /// The version of a write.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for an epoch,
    /// [`ErrorKind::Restart`](millstream_record::ErrorKind::Restart) for a sequence above the highest one.
    pub fn new(epoch: u64, sequence: u64) -> Result<Self> {
        if epoch > Self::MAX_EPOCH {
            return Err(Error::configuration(format!(
                "epoch {epoch} does not fit into a version (highest: {}): give the job a new directory, and new documents to write",
                Self::MAX_EPOCH
            )));
        }
        if sequence > Self::MAX_SEQUENCE {
            return Err(Error::restart(format!(
                "this attempt has used all {} versions of its epoch {epoch}: a restart takes a new one",
                Self::MAX_SEQUENCE
            )));
        }
        Ok(Self((epoch << SEQUENCE_BITS | sequence) as i64))
    }

    /// The number: never negative, so that it fits Elasticsearch's `version` and SQLite's integers.
    pub fn as_i64(self) -> i64 {
        self.0
    }

    /// The attempt that wrote.
    pub fn epoch(self) -> u64 {
        self.0 as u64 >> SEQUENCE_BITS
    }

    /// The write within the attempt.
    pub fn sequence(self) -> u64 {
        self.0 as u64 & Self::MAX_SEQUENCE
    }
}

/// Sixteen lower-case hexadecimal digits: compared as strings they order like the versions. (Lua's numbers
/// would lose the lowest bits.)
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Reads what [`Display`](fmt::Display) wrote.
impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.len() == Self::WIDTH && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = if digits { i64::from_str_radix(text, 16).ok() } else { None };
        number
            .map(Self)
            .ok_or_else(|| Error::data(format!("{text:?} is no version: 16 hexadecimal digits wanted")))
    }
}

/// Numbers one writer's writes.
#[derive(Clone, Debug)]
pub struct Versions {
    epoch: u64,
    next: u64,
}

impl Versions {
    /// The versions of an epoch, from sequence 0 on.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when the epoch is above the
    /// highest one.
    pub fn new(epoch: u64) -> Result<Self> {
        Version::new(epoch, 0)?;
        Ok(Self { epoch, next: 0 })
    }

    /// A version above all that were given out before.
    ///
    /// # Errors
    /// [`ErrorKind::Restart`](millstream_record::ErrorKind::Restart) when the epoch has no more of them.
    pub fn take(&mut self) -> Result<Version> {
        let version = Version::new(self.epoch, self.next)?;
        self.next += 1;
        Ok(version)
    }
}

#[cfg(test)]
mod tests {
    use millstream_record::ErrorKind;

    use super::*;

    const EPOCHS: [u64; 5] = [0, 1, 2, 4_000_000, Version::MAX_EPOCH];
    const SEQUENCES: [u64; 5] = [0, 1, 255, 1 << 39, Version::MAX_SEQUENCE];

    fn ascending() -> Vec<Version> {
        let all = EPOCHS.iter().flat_map(|epoch| SEQUENCES.map(|sequence| (*epoch, sequence)));
        all.map(|(epoch, sequence)| Version::new(epoch, sequence).unwrap()).collect()
    }

    #[test]
    fn numbers_and_strings_order_by_epoch_then_sequence() {
        for pair in ascending().windows(2) {
            assert!(pair[0] < pair[1]);
            assert!(0 <= pair[0].as_i64() && pair[0].as_i64() < pair[1].as_i64());
            assert!(pair[0].to_string() < pair[1].to_string());
        }
    }

    #[test]
    fn every_part_comes_back() {
        for version in ascending() {
            assert_eq!(Version::new(version.epoch(), version.sequence()).unwrap(), version);
            assert_eq!(version.to_string().len(), Version::WIDTH);
            assert_eq!(version.to_string().parse::<Version>().unwrap(), version);
        }
        for wrong in ["", "1", "-00000000000000f", "ffffffffffffffff", "00000000000000000"] {
            assert_eq!(wrong.parse::<Version>().unwrap_err().kind(), ErrorKind::Data, "{wrong:?}");
        }
    }

    #[test]
    fn overflow_says_what_to_do() {
        let epoch = Version::new(Version::MAX_EPOCH + 1, 0).unwrap_err();
        assert_eq!(epoch.kind(), ErrorKind::Configuration);
        let mut versions = Versions { epoch: 3, next: Version::MAX_SEQUENCE };
        assert_eq!(versions.take().unwrap().sequence(), Version::MAX_SEQUENCE);
        assert_eq!(versions.take().unwrap_err().kind(), ErrorKind::Restart);
        assert!(versions.take().is_err(), "it must not start again at 0");
    }
}
