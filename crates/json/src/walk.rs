//! One message from end to end: all of it is checked, and the wanted values are noted on the way.

use crate::bad::Bad;
use crate::cursor::{Cursor, Slot};
use crate::keys::{Found, KeyId, Keys, START};
use crate::quick::quick_value;
use crate::record::FieldSpec;

/// More fields than this are not supported: which were seen is one bit each.
pub(crate) const MAX_FIELDS: usize = 64;

/// Reads a message; fills the slot of each wanted field that it has. Answers which those are, one bit per
/// field. `slots` has one more slot than there are fields: values that nobody wants end there.
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
    if cursor.at < cursor.len { Err(more(cursor)) } else { Ok(seen) }
}

#[cold]
fn more(cursor: &Cursor<'_>) -> Bad {
    let bad = cursor.unexpected("nothing behind the object");
    match cursor.byte() {
        Ok(b'{') => bad.with_hint("it is several objects: write each as a message or line of its own"),
        _ => bad,
    }
}

/// How many keys of a message are named.
const NAMED: usize = 12;

/// The keys of an object, for people: as they are written, without those of nested objects, the first few.
#[cold]
pub(crate) fn names(data: &[u8], len: usize) -> Vec<String> {
    let mut cursor = Cursor::new(data, len);
    let mut names = Vec::new();
    while let Some(name) = next_name(&mut cursor) {
        if names.len() == NAMED {
            names.push("…".to_owned());
            break;
        }
        names.push(name);
    }
    names
}

fn next_name(cursor: &mut Cursor<'_>) -> Option<String> {
    cursor.space();
    if !matches!(cursor.byte().ok()?, b'{' | b',') {
        return None;
    }
    cursor.at += 1;
    cursor.space();
    if cursor.byte().ok()? != b'"' {
        return None;
    }
    let key = cursor.string().ok()?;
    cursor.colon().ok()?;
    cursor.spaced_value(1).ok()?;
    let key = &cursor.data[key.start as usize..key.end as usize];
    Some(String::from_utf8_lossy(&key[..key.len().min(40)]).into_owned())
}

fn empty(cursor: &mut Cursor<'_>) -> Result<bool, Bad> {
    let start = cursor.at;
    cursor.space();
    let empty = cursor.byte()? == b'}';
    // White space belongs to how the first key is written.
    cursor.at = if empty { cursor.at + 1 } else { start };
    Ok(empty)
}

/// What a [`Cursor`] holds, in registers: the buffer, the length of the message, the place.
type CursorParts<'a> = (&'a [u8], usize, usize);

/// The keys and values from behind the opening brace to behind the closing one.
///
/// The place is kept in a local here and not in the cursor: every byte depends on where the one before it
/// ended, and a detour by way of memory costs as much as the rest. The cursor comes in where something is not
/// as usual.
fn pairs(
    cursor: &mut Cursor<'_>,
    keys: &mut Keys,
    slots: &mut [Slot],
    fields: &'static [FieldSpec],
) -> Result<u64, Bad> {
    let guessing = keys.guessing();
    let (data, len, mut at) = (cursor.data, cursor.len, cursor.at);
    let (mut seen, mut previous, mut count) = (0_u64, START, 0);
    loop {
        let start = at;
        let (found, slot);
        (found, at) = key(keys, (data, len, at), previous, guessing)?;
        (slot, at) = match quick_value(data, at) {
            Some((slot, behind)) if behind < len => (slot, behind),
            _ => other_value(Cursor { data, len, at })?,
        };
        slots[usize::from(found.field)] = slot;
        if seen & found.bit != 0 {
            return Err(twice(&fields[usize::from(found.field)], start));
        }
        seen |= found.bit;
        previous = found.key;
        count += 1;
        at += 1;
        if data[at - 1] == b'}' {
            cursor.at = at;
            keys.count(if guessing { count } else { 0 });
            return Ok(seen);
        }
    }
}

/// A key and where its value is.
#[inline(always)]
fn key(
    keys: &mut Keys,
    (data, len, at): CursorParts<'_>,
    previous: KeyId,
    guessing: bool,
) -> Result<(Found, usize), Bad> {
    let guess = if guessing { keys.guess(previous, data, at) } else { None };
    match guess.or_else(|| keys.quick_find(data, at, previous, guessing)) {
        Some(key) => Ok(key),
        None => other_key(keys, Cursor { data, len, at }, previous, guessing),
    }
}

fn other_key(
    keys: &mut Keys,
    mut cursor: Cursor<'_>,
    previous: KeyId,
    guessing: bool,
) -> Result<(Found, usize), Bad> {
    Ok((keys.find(&mut cursor, previous, guessing)?, cursor.at))
}

/// A value and where the comma or brace behind it is. (Called with `?` right where the quick one is: a result
/// that both share would go by way of memory.)
fn other_value(mut cursor: Cursor<'_>) -> Result<(Slot, usize), Bad> {
    Ok((cursor.spaced_value(1)?, cursor.before_comma()?))
}

#[cold]
fn twice(field: &FieldSpec, start: usize) -> Bad {
    Bad::new("given twice").in_field(field.name).at(start)
}
