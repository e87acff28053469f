//! Decodes the entries of key groups that come in pieces.

use std::collections::BTreeMap;
use std::ops::Range;

use millstream_record::Result;
use millstream_record::key_group::KeyGroup;

use super::super::metadata::damaged;
use crate::wire::WireReader;

/// The number of the only state.
const STATE: u16 = 0;
/// Stands in the place of a number of a state.
const END_OF_GROUP: u16 = 0xffff;
/// The flag in the first byte of a key behind whose value a number follows.
const NUMBER_FOLLOWS: u8 = 0x80;

/// Takes entries: the key group, the number of the table within the stage, the entry's bytes.
type EmitAny<'a> = dyn FnMut(KeyGroup, usize, &[u8]) -> Result<()> + 'a;

/// The decoder, which holds back no more than one entry and one piece.
pub(super) struct EntryDecoder {
    groups: std::collections::btree_map::IntoIter<KeyGroup, Range<u64>>,
    /// The group that is being read, and how many of its bytes are still to come or to be decoded.
    group: Option<(KeyGroup, u64)>,
    next: Next,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Group,
    Entry,
    EndOfGroup,
}

/// An entry, and how many bytes it took.
struct Entry<'a> {
    table: usize,
    value: &'a [u8],
    is_last: bool,
    bytes: usize,
}

impl EntryDecoder {
    /// Of these groups, which follow each other.
    pub(super) fn new(groups: BTreeMap<KeyGroup, Range<u64>>) -> Self {
        let mut groups = groups.into_iter();
        let group = groups.next().map(length);
        Self { groups, group, next: Next::Group, bytes: Vec::new() }
    }

    /// Decodes as much as there is.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) for damaged bytes; those of `emit`.
    pub(super) fn push(&mut self, piece: &[u8], emit: &mut EmitAny<'_>) -> Result<()> {
        self.bytes.extend_from_slice(piece);
        let mut done = 0;
        while let Some(step) = self.step(done, emit)? {
            done += step;
        }
        self.bytes.drain(..done);
        Ok(())
    }

    /// Refuses bytes that end too early.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) if they do.
    pub(super) fn finish(&self) -> Result<()> {
        match self.group {
            None if self.bytes.is_empty() => Ok(()),
            _ => Err(damaged("its entries end too early")),
        }
    }

    /// One step from a place in the bytes: how far it went, or `None` where more bytes are needed.
    fn step(&mut self, from: usize, emit: &mut EmitAny<'_>) -> Result<Option<usize>> {
        let Some((group, left)) = self.group else { return Ok(None) };
        let bytes = &self.bytes[from..];
        let took = match self.next {
            Next::Entry => {
                let Some(entry) = entry(bytes, left)? else { return Ok(None) };
                emit(group, entry.table, entry.value)?;
                self.next = if entry.is_last { Next::EndOfGroup } else { Next::Entry };
                entry.bytes
            }
            Next::Group | Next::EndOfGroup => {
                let Some(&number) = bytes.first_chunk::<2>() else { return Ok(None) };
                self.mark(u16::from_be_bytes(number))?;
                number.len()
            }
        };
        self.passed(took as u64)?;
        Ok(Some(took))
    }

    fn mark(&mut self, number: u16) -> Result<()> {
        self.next = match (self.next, number) {
            (Next::Group, STATE) => Next::Entry,
            (Next::EndOfGroup, END_OF_GROUP) => Next::Group,
            _ => return Err(damaged(&format!("the number {number} stands between its entries"))),
        };
        Ok(())
    }

    /// The next group begins where this one ends, and nowhere else.
    fn passed(&mut self, bytes: u64) -> Result<()> {
        let Some((_, left)) = &mut self.group else { return Ok(()) };
        *left = left.checked_sub(bytes).ok_or_else(|| damaged("a key group is longer than it should be"))?;
        match (*left, self.next) {
            (0, Next::Group) => self.group = self.groups.next().map(length),
            (0, _) => return Err(damaged("a key group ends too early")),
            (_, Next::Group) => return Err(damaged("a key group is shorter than it should be")),
            _ => {}
        }
        Ok(())
    }
}

fn length((group, range): (KeyGroup, Range<u64>)) -> (KeyGroup, u64) {
    (group, range.end - range.start)
}

/// The entry at the front of the bytes, if it is there as a whole. `left` is what the group has.
fn entry(bytes: &[u8], left: u64) -> Result<Option<Entry<'_>>> {
    let mut rest = WireReader(bytes);
    let (Some(key), Some(value)) = (field(&mut rest, left)?, field(&mut rest, left)?) else {
        return Ok(None);
    };
    let Some((table, _)) = key.split_first_chunk::<4>() else { return Err(damaged("a key is too short")) };
    let mut table = *table;
    let is_last = table[0] & NUMBER_FOLLOWS != 0;
    table[0] &= !NUMBER_FOLLOWS;
    let bytes = bytes.len() - rest.0.len();
    Ok(Some(Entry { table: u32::from_be_bytes(table) as usize, value, is_last, bytes }))
}

/// A key or a value. A length beyond the group's end is not waited for.
fn field<'a>(bytes: &mut WireReader<'a>, left: u64) -> Result<Option<&'a [u8]>> {
    let Some(length) = bytes.0.first_chunk() else { return Ok(None) };
    let length = u32::from_be_bytes(*length);
    if u64::from(length) > left {
        return Err(damaged(&format!("an entry has the length {length}")));
    }
    if bytes.0.len() < length as usize + 4 {
        return Ok(None);
    }
    bytes.bytes().map(Some)
}
