//! What a job is called in paths and in REST: 32 hexadecimal digits, as in Flink.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use millstream_record::{Error, Result};

/// Names a job for ever: it follows from the job's name alone, so that a new process finds what an old one
/// left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct JobId(u128);

impl JobId {
    /// The id of the job of this name (`pipeline.name`): XXH3, 128 bits.
    pub fn of(name: &str) -> Self {
        Self(xxh3_128(name.as_bytes()))
    }

    /// Its first six digits: part of a savepoint's name.
    pub fn short(&self) -> String {
        let mut digits = self.to_string();
        digits.truncate(6);
        digits
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({self})")
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.to_string()
    }
}

impl FromStr for JobId {
    type Err = Error;

    fn from_str(digits: &str) -> Result<Self> {
        let plain = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let id = u128::from_str_radix(digits, 16).ok().filter(|_| plain).map(Self);
        id.ok_or_else(|| {
            Error::configuration(format!("`{digits}` is no job id: it has 32 hexadecimal digits"))
        })
    }
}

impl TryFrom<String> for JobId {
    type Error = Error;

    fn try_from(digits: String) -> Result<Self> {
        digits.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_a_promise() {
        let id = JobId::of("clickstream");
        assert_eq!(id, JobId::of("clickstream"));
        assert_ne!(id, JobId::of("clickstream2"));
        assert_eq!(JobId::of("").to_string(), "99aa06d3014798d86001c324468d497f", "XXH3 of nothing");
        assert_eq!(id.to_string().parse::<JobId>().unwrap(), id);
        assert_eq!(id.short(), id.to_string()[..6]);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for bad in ["", "12", "+9aa06d3014798d86001c324468d497f", "g9aa06d3014798d86001c324468d497f"] {
            assert!(bad.parse::<JobId>().is_err(), "{bad:?}");
        }
    }
}
