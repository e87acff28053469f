//! A document on its way: an item of the delivery engine.

use compact_str::CompactString;
use millstream_delivery::Item;
use millstream_record::key::{combine, hash_bytes};
use millstream_record::record::{from_bytes, to_bytes};
use millstream_record::{Record, Result};
use millstream_stage::Version;

use crate::encode;

/// A document that was not acknowledged yet.
#[derive(Debug)]
pub(crate) struct Write {
    index: CompactString,
    id: CompactString,
    /// Both lines of the bulk request, ready to send.
    lines: Vec<u8>,
    /// Where the second line begins.
    body_at: usize,
}

impl Write {
    pub(crate) fn new(index: CompactString, id: CompactString, version: Version, body: &[u8]) -> Self {
        let (lines, body_at) = encode::lines(&index, &id, version, body);
        Self { index, id, lines, body_at }
    }

    /// Both lines of the bulk request.
    pub(crate) fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// The JSON body.
    fn body(&self) -> &[u8] {
        &self.lines[self.body_at..self.lines.len() - 1]
    }

    /// Reads what [`Item::freeze`] wrote.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) when it is damaged.
    pub(crate) fn thaw(item: &[u8]) -> Result<(Self, Version)> {
        let Unacknowledged { index, id, epoch, sequence, body } = from_bytes(item)?;
        let version = Version::new(epoch, sequence)?;
        Ok((Self::new(index.into(), id.into(), version, &body), version))
    }
}

impl Item for Write {
    fn hash(&self) -> u64 {
        combine(hash_bytes(self.index.as_bytes()), hash_bytes(self.id.as_bytes()))
    }

    fn same_id(&self, other: &Self) -> bool {
        self.id == other.id && self.index == other.index
    }

    fn bytes(&self) -> usize {
        self.lines.len()
    }

    fn memory(&self) -> usize {
        self.lines.len() + self.index.len() + self.id.len()
    }

    fn place(&self) -> &str {
        &self.index
    }

    fn title(&self) -> String {
        format!("document {:?} of index {:?}", self.id, self.index)
    }

    fn value(&self) -> Vec<u8> {
        self.body().to_vec()
    }

    fn freeze(&self, version: Version) -> Vec<u8> {
        to_bytes(&Unacknowledged {
            index: self.index.to_string(),
            id: self.id.to_string(),
            epoch: version.epoch(),
            sequence: version.sequence(),
            body: self.body().to_vec(),
        })
    }
}

/// The form in snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Record)]
struct Unacknowledged {
    index: String,
    id: String,
    epoch: u64,
    sequence: u64,
    body: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_the_first_version_left_is_read_for_ever() {
        let item = b"\x0cclicks\x04u1\x04\xd8\x04\x04\xf6\x01\xfa\x01\x00";
        let (write, version) = Write::thaw(item).unwrap();
        assert_eq!((write.place(), write.id.as_str()), ("clicks", "u1"));
        assert_eq!((version.epoch(), version.sequence(), write.body()), (2, 300, &b"{}"[..]));
        assert_eq!(write.freeze(version), item);
    }

    #[test]
    fn documents_are_told_apart_by_index_and_id() {
        let write = |index: &str, id: &str, body: &[u8]| {
            Write::new(index.into(), id.into(), Version::new(1, 1).unwrap(), body)
        };
        let (one, newer) = (write("a", "1", b"{}"), write("a", "1", b"{\"n\":1}"));
        assert!(one.same_id(&newer) && one.hash() == newer.hash());
        for other in [write("b", "1", b"{}"), write("a", "2", b"{}")] {
            assert!(!one.same_id(&other));
        }
    }
}
