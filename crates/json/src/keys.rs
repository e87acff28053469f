//! The keys of messages: which are wanted, and what the next one will be.
//!
//! Messages of one topic look alike. Each key remembers which one followed it last and how that one was
//! written, with its quotes, colon and white space, so that a message like those before costs one comparison
//! per key. A wrong guess falls back on a look-up by the key's bytes, and many wrong guesses stop the
//! guessing for a while.

use crate::bad::Bad;
use crate::cursor::{Cursor, Kind, Slot};
use crate::scan::{ascii_stops, lanes};
use crate::text::unescape;

/// Keys beyond this many are read without being remembered.
const REMEMBERED: usize = 192;
/// Must be a power of two and above `REMEMBERED`, so that every search of the table ends at a hole.
const BUCKETS: usize = 256;
/// The longest written form that is compared in one go. A guess may be made right at the end of a message, so
/// a value may be looked for that far behind it; the padding has room for that and for the value's digits.
const WRITTEN: usize = 30;
/// Guesses are judged over this many keys ...
const TRIAL: u32 = 512;
/// ... and stopped for this many messages where more than a third were wrong.
const PAUSE: u32 = 4096;

/// The key before the first one.
pub(crate) const START: KeyId = 0;
/// A key that is wanted by nobody and not remembered.
const ANONYMOUS: KeyId = 1;

/// An index into the keys that are remembered.
pub(crate) type KeyId = u8;

/// A key, and what is known of the place where it was last seen.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Known {
    /// The first bytes of `"key":` as last written, from behind the comma to the value; compared under
    /// `mask`.
    written: [u128; 2],
    mask: [u128; 2],
    /// The first 16 bytes of the key, for the look-up.
    head: u128,
    text: Box<[u8]>,
    found: Found,
    written_len: u8,
    /// The key that came behind it.
    next: KeyId,
}

/// A key of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// The bit of the field that wants it; none where no field does.
    pub(crate) bit: u64,
    pub(crate) key: KeyId,
    /// The field that wants it; one past the last field where none does.
    pub(crate) field: u8,
}

/// All keys that a decoder knows.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// By id. As many as there can be ids, so that every id is in it.
    known: Box<[Known; 256]>,
    /// How many of them are in use.
    count: usize,
    /// By hash, open addressing; 0 is a hole.
    buckets: Box<[KeyId; BUCKETS]>,
    unwanted: u8,
    guesses: Guesses,
}

/// Whether guessing pays at present.
#[derive(Clone, Debug, Default)]
struct Guesses {
    made: u32,
    wrong: u32,
    pause: u32,
}

impl Keys {
    /// Keys with the field that each belongs to; there are `fields` fields.
    pub(crate) fn new<'k>(wanted: impl Iterator<Item = (&'k str, u8)>, fields: u8) -> Self {
        let known =
            (0..=KeyId::MAX).map(|id| Known::unwritten(b"", Found { bit: 0, key: id, field: fields }));
        let known: Box<[Known]> = known.collect();
        let mut keys = Self {
            known: known.try_into().expect("there are 256 ids"),
            count: 2,
            buckets: Box::new([0; BUCKETS]),
            unwanted: fields,
            guesses: Guesses::default(),
        };
        for (key, field) in wanted {
            keys.insert(key.as_bytes(), field);
        }
        keys
    }

    /// Whether this message's keys should be guessed. Asked once per message.
    pub(crate) fn guessing(&mut self) -> bool {
        let guesses = &mut self.guesses;
        if guesses.pause > 0 {
            guesses.pause -= 1;
            return false;
        }
        if guesses.made >= TRIAL {
            let pause = if guesses.wrong * 3 > guesses.made { PAUSE } else { 0 };
            *guesses = Guesses { made: 0, wrong: 0, pause };
        }
        true
    }

    /// The key that came behind `previous` last time, if the message goes on with it, written as it was then;
    /// and where its value is.
    #[inline(always)]
    pub(crate) fn guess(&self, previous: KeyId, data: &[u8], at: usize) -> Option<(Found, usize)> {
        let guess = self.known[usize::from(previous)].next;
        let known = &self.known[usize::from(guess)];
        known.is_at(data, at).then(|| (known.found, at + usize::from(known.written_len)))
    }

    /// A key of up to 16 bytes of ASCII that is remembered, with one space at most before it and behind its
    /// colon; and where its value is.
    #[inline(always)]
    pub(crate) fn quick_find(
        &mut self,
        data: &[u8],
        start: usize,
        previous: KeyId,
        guessing: bool,
    ) -> Option<(Found, usize)> {
        let at = start + usize::from(data[start] == b' ');
        let bytes = lanes(data, at + 1);
        let length = ascii_stops(bytes).trailing_zeros() as usize;
        let end = at + 1 + length;
        if data[at] != b'"' || data[end] != b'"' || data[end + 1] != b':' {
            return None;
        }
        let head = u128::from_le_bytes(*bytes) & ONES[length];
        let key = self.buckets[bucket(head, length)];
        let known = &self.known[usize::from(key)];
        if known.head != head || known.text.len() != length {
            return None;
        }
        let found = known.found;
        let value = end + 2 + usize::from(data[end + 2] == b' ');
        if guessing && key != 0 {
            self.learn(key, previous, data, start, value);
        }
        Some((found, value))
    }

    /// Reads a key and its colon; leaves the cursor at the value. A key whose guess was wrong is guessed
    /// better next time.
    pub(crate) fn find(
        &mut self,
        cursor: &mut Cursor<'_>,
        previous: KeyId,
        guessing: bool,
    ) -> Result<Found, Bad> {
        let start = cursor.at;
        cursor.space();
        if cursor.byte()? != b'"' {
            return Err(cursor.unexpected("a key in quotes"));
        }
        let key = cursor.string()?;
        cursor.colon()?;
        let found = self.look_up(cursor, key);
        if guessing {
            self.learn(found, previous, cursor.data, start, cursor.at);
        }
        Ok(self.known[usize::from(found)].found)
    }

    /// A guess was wrong: after `previous` came `key`, written from `start` to `end`.
    #[inline(always)]
    fn learn(&mut self, key: KeyId, previous: KeyId, data: &[u8], start: usize, end: usize) {
        self.guesses.wrong += 1;
        self.known[usize::from(previous)].next = key;
        let known = &mut self.known[usize::from(key)];
        if usize::from(known.written_len) != end - start {
            known.remember(data, start, end);
        }
    }

    /// Counts the keys of a message that was guessed.
    pub(crate) fn count(&mut self, keys: u32) {
        self.guesses.made += keys;
    }

    fn look_up(&mut self, cursor: &Cursor<'_>, key: Slot) -> KeyId {
        let (start, end) = (key.start as usize, key.end as usize);
        let text = &cursor.data[start..end];
        if key.kind == Kind::Escaped {
            return self.look_up_escaped(text);
        }
        let head = head(&cursor.data[start..], text.len());
        match self.search(head, text) {
            Ok(known) => known,
            Err(_) if self.count >= REMEMBERED => ANONYMOUS,
            Err(_) => self.insert(text, self.unwanted),
        }
    }

    // What is written with escapes is rare: it is compared, but not remembered.
    #[cold]
    fn look_up_escaped(&self, text: &[u8]) -> KeyId {
        let Ok(text) = unescape(text) else { return ANONYMOUS };
        self.search(head_of(text.as_bytes()), text.as_bytes()).unwrap_or(ANONYMOUS)
    }

    /// The key, or the bucket where it belongs.
    #[inline]
    fn search(&self, head: u128, text: &[u8]) -> Result<KeyId, usize> {
        let mut bucket = bucket(head, text.len());
        loop {
            let id = self.buckets[bucket];
            if id == 0 {
                return Err(bucket);
            }
            if self.known[usize::from(id)].is(head, text) {
                return Ok(id);
            }
            bucket = (bucket + 1) % BUCKETS;
        }
    }

    fn insert(&mut self, text: &[u8], field: u8) -> KeyId {
        let id = KeyId::try_from(self.count).expect("fewer keys than ids are remembered");
        if let Err(bucket) = self.search(head_of(text), text) {
            self.buckets[bucket] = id;
        }
        let bit = if field == self.unwanted { 0 } else { 1 << field };
        self.known[self.count] = Known::unwritten(text, Found { bit, key: id, field });
        self.count += 1;
        id
    }
}

impl Known {
    /// A key whose written form is not known yet: all bits are compared with bytes that no message has.
    fn unwritten(text: &[u8], found: Found) -> Self {
        Self {
            written: [u128::MAX; 2],
            mask: [u128::MAX; 2],
            written_len: 0,
            next: ANONYMOUS,
            found,
            head: head_of(text),
            text: text.into(),
        }
    }

    /// Whether the message goes on with this key as it was last written.
    #[inline(always)]
    fn is_at(&self, data: &[u8], at: usize) -> bool {
        if (load(data, at) ^ self.written[0]) & self.mask[0] != 0 {
            return false;
        }
        self.written_len <= 16 || (load(data, at + 16) ^ self.written[1]) & self.mask[1] == 0
    }

    /// Whether this is the key's text.
    #[inline(always)]
    fn is(&self, head: u128, text: &[u8]) -> bool {
        self.head == head && self.text.len() == text.len() && (text.len() <= 16 || *self.text == *text)
    }

    /// Takes over how the key was written. Another form of the same length replaces nothing: guesses will be
    /// wrong, not the result.
    #[cold]
    fn remember(&mut self, data: &[u8], start: usize, end: usize) {
        let length = end - start;
        if length > WRITTEN || self.found.key == ANONYMOUS {
            return;
        }
        self.written = [load(data, start), load(data, start + 16)];
        self.mask = [ONES[length.min(16)], ONES[length.saturating_sub(16)]];
        self.written_len = length as u8;
    }
}

#[inline(always)]
fn load(data: &[u8], at: usize) -> u128 {
    u128::from_le_bytes(*lanes(data, at))
}

/// As many bytes of ones as the index says.
const ONES: [u128; 17] = {
    let mut ones = [0; 17];
    let mut bytes = 1;
    while bytes <= 16 {
        ones[bytes] = ones[bytes - 1] << 8 | 0xff;
        bytes += 1;
    }
    ones
};

/// The first 16 bytes of a key of `length` that is followed by at least as many readable ones.
#[inline(always)]
fn head(padded: &[u8], length: usize) -> u128 {
    load(padded, 0) & ONES[length.min(16)]
}

/// The same for a key that nothing follows.
fn head_of(text: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    let length = text.len().min(16);
    bytes[..length].copy_from_slice(&text[..length]);
    u128::from_le_bytes(bytes)
}

#[inline(always)]
fn bucket(head: u128, length: usize) -> usize {
    let mixed = (head as u64) ^ ((head >> 64) as u64).rotate_left(23) ^ length as u64;
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
}
