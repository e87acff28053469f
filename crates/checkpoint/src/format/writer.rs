//! Writes a state file front to back.

use std::ops::Range;

use bytes::Bytes;
use millstream_record::Result;
use millstream_record::key_group::KeyGroup;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use super::block::Block;
use super::footer::{Footer, header};
use super::index::{self, BlockRef};
use super::{BLOCK_BYTES, BUFFER_BYTES};

/// A state file in the making. Its bytes go to `S` piece by piece; memory stays bounded whatever the size.
pub struct StateFileWriter<S> {
    sink: S,
    offset: u64,
    hash: Xxh3Default,
    index: Vec<BlockRef>,
    section: u16,
    seen: SectionSummary,
    // By key group: a look-up for each entry.
    open: Vec<Block>,
    open_bytes: usize,
}

/// What was written of one section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SectionSummary {
    /// Its number in the file.
    pub section: u16,
    /// From its first key group to its last one; empty without entries.
    pub groups: Range<KeyGroup>,
    /// Its entries.
    pub entries: u64,
}

/// What a finished file is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSummary {
    /// Its length.
    pub bytes: u64,
    /// XXH3 of everything before its footer, which also holds it.
    pub checksum: u64,
}

impl<S: FnMut(Bytes) -> Result<()>> StateFileWriter<S> {
    /// Begins a file and its section 0.
    ///
    /// # Errors
    /// Returns the errors of the sink, as all other calls do.
    pub fn new(sink: S) -> Result<Self> {
        let mut writer = Self {
            sink,
            offset: 0,
            hash: Xxh3Default::new(),
            index: Vec::new(),
            section: 0,
            seen: SectionSummary::default(),
            open: Vec::new(),
            open_bytes: 0,
        };
        writer.put(Bytes::copy_from_slice(&header()))?;
        Ok(writer)
    }

    /// Adds an entry to the section that is open. Entries of one key group keep their order.
    ///
    /// # Errors
    /// Returns the errors of the sink, and an error for an entry that is too large.
    pub fn entry(&mut self, group: KeyGroup, table: u16, entry: &[u8]) -> Result<()> {
        let place = usize::from(group);
        if place >= self.open.len() {
            self.open.resize_with(place + 1, Block::default);
        }
        let block = &mut self.open[place];
        self.open_bytes += block.push(table, entry)?;
        let full = block.bytes.len() >= BLOCK_BYTES;
        self.seen.count(group);
        if full {
            self.close(group)?;
        } else if self.open_bytes >= BUFFER_BYTES {
            self.close_all()?;
        }
        Ok(())
    }

    /// Ends the section; the next entry belongs to the next one.
    ///
    /// # Errors
    /// Returns the errors of the sink.
    pub fn end_section(&mut self) -> Result<SectionSummary> {
        self.close_all()?;
        self.section += 1;
        let next = SectionSummary { section: self.section, ..SectionSummary::default() };
        Ok(std::mem::replace(&mut self.seen, next))
    }

    /// Ends the file.
    ///
    /// # Errors
    /// Returns the errors of the sink.
    pub fn finish(mut self) -> Result<FileSummary> {
        self.close_all()?;
        let index = index::encode(&self.index);
        let (index_offset, index_bytes) = (self.offset, index.len() as u64);
        let index_checksum = xxh3_64(&index);
        self.put(index.into())?;
        let file_checksum = self.hash.digest();
        let footer = Footer { index_offset, index_bytes, index_checksum, file_checksum };
        self.put(Bytes::copy_from_slice(&footer.encode()))?;
        Ok(FileSummary { bytes: self.offset, checksum: file_checksum })
    }

    fn close_all(&mut self) -> Result<()> {
        (0..self.open.len()).try_for_each(|group| self.close(group as KeyGroup))
    }

    fn close(&mut self, group: KeyGroup) -> Result<()> {
        let block = std::mem::take(&mut self.open[usize::from(group)]);
        if block.entries == 0 {
            return Ok(());
        }
        let (raw, entries) = (block.bytes.len(), block.entries);
        self.open_bytes -= raw;
        let (codec, stored) = block.packed();
        self.index.push(BlockRef {
            section: self.section,
            group,
            codec,
            offset: self.offset,
            stored: stored.len() as u32,
            raw: raw as u32,
            entries,
            checksum: xxh3_64(&stored),
        });
        self.put(stored)
    }

    fn put(&mut self, bytes: Bytes) -> Result<()> {
        self.hash.update(&bytes);
        self.offset += bytes.len() as u64;
        (self.sink)(bytes)
    }
}

impl SectionSummary {
    fn count(&mut self, group: KeyGroup) {
        let first = if self.entries == 0 { group } else { self.groups.start.min(group) };
        self.groups = first..self.groups.end.max(group + 1);
        self.entries += 1;
    }
}
