//! One block: entries of one key group, as bytes.

use bytes::Bytes;
use millstream_record::{Error, Result, varint};

/// No entry may be larger: it would have to be in memory several times.
const MAX_ENTRY_BYTES: usize = 1 << 30;

/// How a block's bytes are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    /// The bytes as they are.
    Plain,
    /// LZ4, one block without a frame.
    Lz4,
}

impl Codec {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Lz4 => 1,
        }
    }

    pub(super) fn of(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Plain),
            1 => Some(Self::Lz4),
            _ => None,
        }
    }
}

/// Entries that wait to become a block.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    pub(super) entries: u32,
}

impl Block {
    pub(super) fn push(&mut self, table: u16, entry: &[u8]) -> Result<usize> {
        if entry.len() > MAX_ENTRY_BYTES {
            let (bytes, most) = (entry.len(), MAX_ENTRY_BYTES);
            return Err(Error::data(format!("an entry of keyed state has {bytes} bytes, more than {most}")));
        }
        let before = self.bytes.len();
        varint::put(&mut self.bytes, u64::from(table));
        varint::put(&mut self.bytes, entry.len() as u64);
        self.bytes.extend_from_slice(entry);
        self.entries += 1;
        Ok(self.bytes.len() - before)
    }

    /// The bytes to store: compressed where that saves an eighth at least.
    pub(super) fn packed(self) -> (Codec, Bytes) {
        let packed = lz4_flex::block::compress(&self.bytes);
        if packed.len() < self.bytes.len() - self.bytes.len() / 8 {
            (Codec::Lz4, packed.into())
        } else {
            (Codec::Plain, self.bytes.into())
        }
    }
}

/// What [`Block::packed`] packed; `None` when it does not have `raw` bytes.
pub(super) fn unpack(codec: Codec, stored: Bytes, raw: usize) -> Option<Bytes> {
    let bytes = match codec {
        Codec::Plain => stored,
        Codec::Lz4 => lz4_flex::block::decompress(&stored, raw).ok()?.into(),
    };
    (bytes.len() == raw).then_some(bytes)
}

/// The entries of a block's bytes, with their tables. Ends early, with a `None`, where the bytes make no
/// sense.
pub(super) fn entries(mut bytes: &[u8]) -> impl Iterator<Item = Option<(u16, &[u8])>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let entry = take_entry(&mut bytes);
        if entry.is_none() {
            bytes = &[];
        }
        Some(entry)
    })
}

fn take_entry<'a>(bytes: &mut &'a [u8]) -> Option<(u16, &'a [u8])> {
    let table = u16::try_from(varint::take(bytes)?).ok()?;
    let length = usize::try_from(varint::take(bytes)?).ok()?;
    let (entry, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some((table, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(items: &[(u16, Vec<u8>)]) -> Codec {
        let mut block = Block::default();
        for (table, entry) in items {
            block.push(*table, entry).unwrap();
        }
        let raw = block.bytes.len();
        let (codec, stored) = block.packed();
        let bytes = unpack(codec, stored, raw).unwrap();
        let read: Vec<_> = entries(&bytes).map(|entry| entry.unwrap()).collect();
        let wanted: Vec<_> = items.iter().map(|(table, entry)| (*table, entry.as_slice())).collect();
        assert_eq!(read, wanted);
        codec
    }

    #[test]
    fn entries_come_back_packed_or_plain() {
        assert_eq!(round_trip(&[(3, b"abc".to_vec()), (65535, Vec::new())]), Codec::Plain);
        assert_eq!(round_trip(&[(0, vec![7; 5000]), (1, vec![8; 300])]), Codec::Lz4);
    }

    #[test]
    fn nonsense_ends_with_none_and_never_panics() {
        for bad in [&[0x80][..], &[0, 9, 1], &[0xff; 12], &[0xff, 0xff, 0x7f, 0]] {
            assert_eq!(entries(bad).last(), Some(None), "{bad:?}");
        }
        assert!(unpack(Codec::Lz4, Bytes::from_static(&[0xf0, 1, 2]), 90).is_none());
        assert!(unpack(Codec::Plain, Bytes::from_static(b"abc"), 4).is_none());
    }
}
