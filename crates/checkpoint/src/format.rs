//! State files: the keyed entries and long lists of one subtask, in blocks that can be read by key group.
//!
//! ```text
//! header   magic, version, checksum of both                                     16 bytes
//! blocks   entries of one section and key group: some 64 KiB, LZ4 or as they are
//! index    one line per block: section, group, codec, offset, lengths, checksum  33 bytes each
//! footer   where the index is, checksums of index, file and footer, version     52 bytes
//! ```
//!
//! A **section** is one operator's keyed state, or one list; what it is stands in the
//! [manifest](crate::manifest). An entry in a block is its table's number, its length (both LEB128) and its
//! bytes. Numbers are little endian, checksums XXH3 with 64 bits.
//!
//! Files are written front to back and read by range, both with bounded memory whatever the size:
//! [`StateFileWriter`] holds at most some 8 MiB of entries, [`StateFile`] reads runs of blocks of at most 4
//! MiB. Any damage is found before an entry is handed out, and named by file and offset.

mod block;
mod footer;
mod index;
mod reader;
mod runs;
mod writer;

pub use reader::{Entries, StateFile};
pub use writer::{FileSummary, SectionSummary, StateFileWriter};

/// The version of the format that is written; older ones are read for ever.
pub const VERSION: u32 = 1;

/// A block is closed when it has so many bytes, before compression.
const BLOCK_BYTES: usize = 64 << 10;

/// Entries that wait in unfinished blocks, all key groups together.
const BUFFER_BYTES: usize = 8 << 20;
