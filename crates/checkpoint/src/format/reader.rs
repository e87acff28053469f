//! Reads a state file by section and key group.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use millstream_record::key_group::KeyGroup;
use millstream_record::{Error, Result};
use millstream_stage::snapshot::Emit;
use millstream_storage::Storage;
use xxhash_rust::xxh3::xxh3_64;

use super::block::{entries, unpack};
use super::footer::{FOOTER_BYTES, Footer, HEADER_BYTES, check_header};
use super::index::{self, BlockRef};
use super::runs::{Run, runs};
use super::writer::FileSummary;

/// The end of the file that is read first: for all but large files it holds the whole index.
const TAIL_BYTES: u64 = 64 << 10;

/// How many runs are read ahead.
const READ_AHEAD: usize = 2;

/// A state file in a storage: its index. Blocks are read when they are asked for.
#[derive(Debug)]
pub struct StateFile {
    storage: Storage,
    path: String,
    sections: BTreeMap<u16, Vec<BlockRef>>,
}

/// Entries of one block whose checksum was right.
#[derive(Debug)]
pub struct Entries {
    group: KeyGroup,
    bytes: Bytes,
}

impl StateFile {
    /// Reads the file's header, footer and index and compares it with what was written.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data), naming the file, when it is missing, cut,
    /// damaged or another one; those of the storage.
    pub async fn open(storage: &Storage, path: &str, written: FileSummary) -> Result<Self> {
        let read = Self::read(storage, path, written).await;
        read.map_err(|error| error.in_context(format_args!("state file {}/{path}", storage.url())))
    }

    async fn read(storage: &Storage, path: &str, written: FileSummary) -> Result<Self> {
        let bytes = written.bytes;
        if bytes < (HEADER_BYTES + FOOTER_BYTES) as u64 {
            return Err(Error::data(format!("{bytes} bytes are too few for it")));
        }
        let header = part(storage, path, 0..HEADER_BYTES as u64);
        let tail_start = bytes.saturating_sub(TAIL_BYTES);
        let (header, tail) = futures::try_join!(header, part(storage, path, tail_start..bytes))?;
        check_header(&header)?;
        let footer = tail.last_chunk::<FOOTER_BYTES>().ok_or_else(|| Error::data("it was cut"))?;
        let footer = Footer::decode(footer)?;
        if footer.file_checksum != written.checksum {
            return Err(mismatch(
                "it is not the file that was written",
                written.checksum,
                footer.file_checksum,
            ));
        }
        let range = footer.index_offset..footer.index_offset.saturating_add(footer.index_bytes);
        let index = match range.start.checked_sub(tail_start) {
            Some(at) if range.end <= bytes => tail.slice(at as usize..(range.end - tail_start) as usize),
            _ => part(storage, path, range).await?,
        };
        let sections = read_index(&index, &footer)?;
        Ok(Self { storage: storage.clone(), path: path.to_owned(), sections })
    }

    /// The entries of these key groups, block by block: in their order within a key group.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data), naming file and offset, for a damaged block;
    /// those of the storage.
    pub fn blocks(
        &self,
        section: u16,
        wanted: &Range<KeyGroup>,
    ) -> impl Stream<Item = Result<Vec<Entries>>> + Send + Unpin + '_ {
        let blocks = self.sections.get(&section).into_iter().flatten();
        let blocks = blocks.filter(|block| wanted.contains(&block.group)).copied();
        let runs = runs(blocks);
        Box::pin(stream::iter(runs).map(|run| self.run(run)).buffered(READ_AHEAD))
    }

    /// Reads all blocks and compares their checksums.
    ///
    /// # Errors
    /// See [`blocks`](Self::blocks).
    pub async fn verify(&self) -> Result<()> {
        for section in self.sections.keys() {
            let mut blocks = self.blocks(*section, &(0..KeyGroup::MAX));
            while let Some(run) = blocks.try_next().await? {
                for block in run {
                    block.emit(&mut |_, _, _| Ok(()))?;
                }
            }
        }
        Ok(())
    }

    async fn run(&self, run: Run) -> Result<Vec<Entries>> {
        let bytes =
            part(&self.storage, &self.path, run.range.clone()).await.map_err(|error| self.here(error))?;
        let cut = |block: &BlockRef| {
            let at = (block.offset - run.range.start) as usize;
            self.block(block, bytes.slice(at..at + block.stored as usize))
        };
        run.blocks.iter().map(cut).collect()
    }

    fn block(&self, block: &BlockRef, stored: Bytes) -> Result<Entries> {
        let what = || format!("the block at offset {} ({} bytes) is damaged", block.offset, block.stored);
        let actual = xxh3_64(&stored);
        if actual != block.checksum {
            return Err(self.here(mismatch(&what(), block.checksum, actual)));
        }
        let bytes = unpack(block.codec, stored, block.raw as usize);
        let bytes =
            bytes.ok_or_else(|| self.here(Error::data(format!("{}: it cannot be unpacked", what()))))?;
        Ok(Entries { group: block.group, bytes })
    }

    fn here(&self, error: Error) -> Error {
        error.in_context(format_args!("state file {}/{}", self.storage.url(), self.path))
    }
}

impl Entries {
    /// Hands over the entries.
    ///
    /// # Errors
    /// Returns the errors of `emit`.
    pub fn emit(&self, emit: &mut Emit<'_>) -> Result<()> {
        for entry in entries(&self.bytes) {
            // Its checksum was right: so it was written like that.
            let (table, entry) = entry.ok_or_else(|| Error::bug("a block of a state file cannot be read"))?;
            emit(self.group, table, entry)?;
        }
        Ok(())
    }
}

async fn part(storage: &Storage, path: &str, range: Range<u64>) -> Result<Bytes> {
    let bytes = storage.get_range(path, range).await?;
    bytes.ok_or_else(|| Error::data("it is missing"))
}

fn read_index(bytes: &[u8], footer: &Footer) -> Result<BTreeMap<u16, Vec<BlockRef>>> {
    let actual = xxh3_64(bytes);
    if actual != footer.index_checksum {
        let what = format!("its index at offset {} is damaged", footer.index_offset);
        return Err(mismatch(&what, footer.index_checksum, actual));
    }
    let blocks = index::decode(bytes).ok_or_else(|| Error::data("its index cannot be read"))?;
    let mut sections: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for block in blocks {
        sections.entry(block.section).or_default().push(block);
    }
    Ok(sections)
}

fn mismatch(what: &str, expected: u64, actual: u64) -> Error {
    Error::data(format!("{what}: checksum {expected:016x} expected, {actual:016x} found"))
}
