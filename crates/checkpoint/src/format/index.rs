//! The index: where each block is.

use std::ops::Range;

use millstream_record::key_group::KeyGroup;

use super::block::Codec;

/// Bytes of one block's line in the index.
const LINE_BYTES: usize = 33;

/// One block of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockRef {
    pub(super) section: u16,
    pub(super) group: KeyGroup,
    pub(super) codec: Codec,
    pub(super) offset: u64,
    /// Bytes in the file.
    pub(super) stored: u32,
    /// Bytes before compression.
    pub(super) raw: u32,
    pub(super) entries: u32,
    /// XXH3 of the bytes in the file.
    pub(super) checksum: u64,
}

impl BlockRef {
    pub(super) fn range(&self) -> Range<u64> {
        self.offset..self.offset + u64::from(self.stored)
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.section.to_le_bytes());
        bytes.extend_from_slice(&self.group.to_le_bytes());
        bytes.push(self.codec.number());
        bytes.extend_from_slice(&self.offset.to_le_bytes());
        bytes.extend_from_slice(&self.stored.to_le_bytes());
        bytes.extend_from_slice(&self.raw.to_le_bytes());
        bytes.extend_from_slice(&self.entries.to_le_bytes());
        bytes.extend_from_slice(&self.checksum.to_le_bytes());
    }

    fn take(line: &[u8; LINE_BYTES]) -> Option<Self> {
        let number = |at: usize, bytes: usize| {
            line[at..at + bytes].iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
        };
        Some(Self {
            section: number(0, 2) as u16,
            group: number(2, 2) as u16,
            codec: Codec::of(line[4])?,
            offset: number(5, 8),
            stored: number(13, 4) as u32,
            raw: number(17, 4) as u32,
            entries: number(21, 4) as u32,
            checksum: number(25, 8),
        })
    }
}

pub(super) fn encode(blocks: &[BlockRef]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(blocks.len() * LINE_BYTES);
    blocks.iter().for_each(|block| block.put(&mut bytes));
    bytes
}

/// The blocks, in the order of the file; `None` where the bytes are no index.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<BlockRef>> {
    let (lines, rest) = bytes.as_chunks::<LINE_BYTES>();
    let blocks = lines.iter().map(BlockRef::take).collect::<Option<Vec<_>>>();
    blocks.filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back() {
        let block = |section, offset| BlockRef {
            section,
            group: 4095,
            codec: Codec::Lz4,
            offset,
            stored: 1 << 20,
            raw: u32::MAX,
            entries: 77,
            checksum: 0x0123_4567_89ab_cdef,
        };
        let blocks = vec![block(0, 16), block(65535, u64::from(u32::MAX) * 9)];
        let bytes = encode(&blocks);
        assert_eq!(decode(&bytes), Some(blocks));
        assert_eq!(decode(&bytes[1..]), None);
        assert_eq!(decode(&[]), Some(Vec::new()));
    }
}
