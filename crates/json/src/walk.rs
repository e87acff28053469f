//! One message from end to end: all of it is checked, and the wanted values are noted on the way.

use crate::bad::Bad;
use crate::cursor::{Cursor, Slot};
use crate::keys::{Keys, START};
use crate::record::FieldSpec;

/// More fields than this are not supported: which were seen is one bit each.
pub(crate) const MAX_FIELDS: usize = 64;

/// Reads a message; fills the slot of each wanted field that it has. Answers which those are, one bit per field.
/// `slots` has one more slot than there are fields: values that nobody wants end there.
pub(crate) fn walk(
    cursor: &mut Cursor<'_>,
    keys: &mut Keys,
    slots: &mut [Slot],
    fields: &'static [FieldSpec],
) -> Result<u64, Bad> {
    cursor.space();
    cursor.expect(b'{', "an object: '{'")?;
    let seen = if empty(cursor)? { 0 } else { pairs(cursor, keys, slots, fields)? };
    cursor.space();
    if cursor.at < cursor.len {
        return Err(cursor.unexpected("nothing behind the object"));
    }
    Ok(seen)
}

fn empty(cursor: &mut Cursor<'_>) -> Result<bool, Bad> {
    let start = cursor.at;
    cursor.space();
    let empty = cursor.byte()? == b'}';
    // White space belongs to how the first key is written.
    cursor.at = if empty { cursor.at + 1 } else { start };
    Ok(empty)
}

/// The keys and values from behind the opening brace to behind the closing one.
fn pairs(
    cursor: &mut Cursor<'_>,
    keys: &mut Keys,
    slots: &mut [Slot],
    fields: &'static [FieldSpec],
) -> Result<u64, Bad> {
    let guessing = keys.guessing();
    let (mut seen, mut previous, mut count) = (0_u64, START, 0);
    loop {
        let start = cursor.at;
        let (key, field) = keys.read(cursor, previous, guessing)?;
        slots[usize::from(field)] = cursor.value(1)?;
        let bit = if usize::from(field) < fields.len() { 1 << field } else { 0 };
        if seen & bit != 0 {
            return Err(twice(&fields[usize::from(field)], start));
        }
        seen |= bit;
        previous = key;
        count += 1;
        if !comma(cursor)? {
            keys.count(if guessing { count } else { 0 });
            return Ok(seen);
        }
    }
}

/// Goes behind the comma (true) or the closing brace (false).
#[inline(always)]
fn comma(cursor: &mut Cursor<'_>) -> Result<bool, Bad> {
    let mut byte = cursor.byte()?;
    if byte != b',' && byte != b'}' {
        cursor.space();
        byte = cursor.byte()?;
    }
    match byte {
        b',' | b'}' => {
            cursor.at += 1;
            Ok(byte == b',')
        }
        _ => Err(cursor.unexpected("',' or '}'")),
    }
}

#[cold]
fn twice(field: &FieldSpec, start: usize) -> Bad {
    Bad::new("given twice").in_field(field.name).at(start)
}
