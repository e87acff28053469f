//! The keys of messages: which are wanted, and what the next one will be.
//!
//! Messages of one topic look alike. Each key remembers which one followed it last and how that one was written, with its quotes,
//! colon and white space, so that a message like those before costs one comparison per key. A wrong guess falls back on a look-up
//! by the key's bytes, and many wrong guesses stop the guessing for a while.

use crate::bad::Bad;
use crate::cursor::{Cursor, Kind, Slot};
use crate::text::unescape;

/// Keys beyond this many are read without being remembered.
const REMEMBERED: usize = 192;
/// Must be a power of two and above `REMEMBERED`, so that every search of the table ends at a hole.
const BUCKETS: usize = 256;
/// The longest written form that is compared in one go.
const WRITTEN: usize = 32;
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
struct Known {
    /// The first bytes of `"key":` as last written, from behind the comma to the value; compared under `mask`.
    written: [u128; 2],
    mask: [u128; 2],
    written_len: usize,
    /// The key that came behind it.
    next: KeyId,
    /// The field that wants it; one past the last field where none does.
    field: u8,
    /// The first 16 bytes of the key, for the look-up.
    head: u128,
    text: Box<[u8]>,
}

/// All keys that a decoder knows.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    known: Vec<Known>,
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
        let mut keys = Self {
            known: Vec::new(),
            buckets: Box::new([0; BUCKETS]),
            unwanted: fields,
            guesses: Guesses::default(),
        };
        for _ in [START, ANONYMOUS] {
            keys.known.push(Known::unwritten(b"", fields));
        }
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

    /// Reads a key and its colon; leaves the cursor at the value. Answers the key and the field that wants it.
    #[inline(always)]
    pub(crate) fn read(
        &mut self,
        cursor: &mut Cursor<'_>,
        previous: KeyId,
        guessing: bool,
    ) -> Result<(KeyId, u8), Bad> {
        if guessing {
            let guess = self.known[usize::from(previous)].next;
            let known = &self.known[usize::from(guess)];
            if known.is_at(cursor) {
                cursor.at += known.written_len;
                return Ok((guess, known.field));
            }
        }
        self.find(cursor, previous, guessing)
    }

    fn find(&mut self, cursor: &mut Cursor<'_>, previous: KeyId, guessing: bool) -> Result<(KeyId, u8), Bad> {
        let start = cursor.at;
        cursor.space();
        if cursor.byte()? != b'"' {
            return Err(cursor.unexpected("a key in quotes"));
        }
        let key = cursor.string()?;
        cursor.colon()?;
        let found = self.look_up(cursor, key);
        let field = self.known[usize::from(found)].field;
        if guessing {
            self.known[usize::from(previous)].next = found;
            self.known[usize::from(found)].remember(cursor, start);
            self.guesses.wrong += 1;
        }
        Ok((found, field))
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
            Err(_) if self.known.len() >= REMEMBERED => ANONYMOUS,
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
        let id = KeyId::try_from(self.known.len()).expect("fewer keys than buckets are remembered");
        if let Err(bucket) = self.search(head_of(text), text) {
            self.buckets[bucket] = id;
        }
        self.known.push(Known::unwritten(text, field));
        id
    }
}

impl Known {
    /// A key whose written form is not known yet: all bits are compared with bytes that no message has.
    fn unwritten(text: &[u8], field: u8) -> Self {
        Self {
            written: [u128::MAX; 2],
            mask: [u128::MAX; 2],
            written_len: 0,
            next: ANONYMOUS,
            field,
            head: head_of(text),
            text: text.into(),
        }
    }

    /// Whether the message goes on with this key as it was last written.
    #[inline(always)]
    fn is_at(&self, cursor: &Cursor<'_>) -> bool {
        let (first, second) = (load(cursor.data, cursor.at), load(cursor.data, cursor.at + 16));
        ((first ^ self.written[0]) & self.mask[0]) | ((second ^ self.written[1]) & self.mask[1]) == 0
    }

    /// Whether this is the key's text.
    #[inline(always)]
    fn is(&self, head: u128, text: &[u8]) -> bool {
        self.head == head && self.text.len() == text.len() && (text.len() <= 16 || *self.text == *text)
    }

    /// Takes over how the key was written, from `start` to the cursor.
    fn remember(&mut self, cursor: &Cursor<'_>, start: usize) {
        let length = cursor.at - start;
        if length > WRITTEN || cursor.at > cursor.len || self.text.is_empty() {
            return;
        }
        self.written = [load(cursor.data, start), load(cursor.data, start + 16)];
        self.mask = [ones(length), ones(length.saturating_sub(16))];
        self.written_len = length;
    }
}

#[inline(always)]
fn load(data: &[u8], at: usize) -> u128 {
    u128::from_le_bytes(*crate::scan::lanes(data, at))
}

/// As many bytes of ones, 16 at most.
#[inline(always)]
fn ones(bytes: usize) -> u128 {
    if bytes >= 16 { u128::MAX } else { (1 << (8 * bytes)) - 1 }
}

/// The first 16 bytes of a key of `length` that is followed by at least as many readable ones.
#[inline(always)]
fn head(padded: &[u8], length: usize) -> u128 {
    load(padded, 0) & ones(length)
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
