//! The exact grammar of JSON (RFC 8259), read forward without recursion and without building anything.

use crate::bad::Bad;
use crate::scan::{LANES, ascii_stops, digit_stops, lanes, text_stops};

/// How many objects and arrays may be open at once, the message's own object included.
pub(crate) const MAX_DEPTH: u32 = 127;

/// What a value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `null`
    #[default]
    Null,
    /// `true`
    True,
    /// `false`
    False,
    /// A number; the range is its text.
    Number,
    /// A string without escapes; the range is what is between the quotes, and is UTF-8.
    Text,
    /// A string with well-formed escapes; the range is UTF-8.
    Escaped,
    /// An object or an array; the range is all of it.
    Nested,
}

/// A value and where it stands in the message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slot {
    pub(crate) kind: Kind,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// A place in a message.
///
/// Invariant of all methods: they look at `data[at]` only while `at < len`, or find out about it before they succeed; whole vectors
/// may be loaded from any `at <= len` because the buffer goes on for 64 bytes.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    /// The message and what follows it in the buffer.
    pub(crate) data: &'a [u8],
    /// The length of the message.
    pub(crate) len: usize,
    /// The next byte.
    pub(crate) at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(data: &'a [u8], len: usize) -> Self {
        Self { data, len, at: 0 }
    }

    /// The byte here.
    #[inline(always)]
    pub(crate) fn byte(&self) -> Result<u8, Bad> {
        if self.at < self.len { Ok(self.data[self.at]) } else { Err(self.truncated()) }
    }

    /// Goes behind white space.
    #[inline]
    pub(crate) fn space(&mut self) {
        while self.at < self.len && matches!(self.data[self.at], b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    #[cold]
    pub(crate) fn truncated(&self) -> Bad {
        let reason = if self.len == 0 { "an empty message" } else { "the message is cut off" };
        Bad::new(reason).at(self.len)
    }

    /// `wanted` is not what is here.
    #[cold]
    pub(crate) fn unexpected(&self, wanted: &str) -> Bad {
        let Ok(byte) = self.byte() else { return self.truncated() };
        let has = if byte.is_ascii_graphic() {
            format!("'{}'", char::from(byte))
        } else {
            format!("the byte 0x{byte:02x}")
        };
        Bad::new(format!("wants {wanted}, has {has}")).at(self.at)
    }

    /// Takes exactly this byte.
    #[inline]
    pub(crate) fn expect(&mut self, byte: u8, wanted: &str) -> Result<(), Bad> {
        if self.byte()? != byte {
            return Err(self.unexpected(wanted));
        }
        self.at += 1;
        Ok(())
    }

    /// Any value, behind white space where there is some; nested ones to the depth that is left below `depth` open ones.
    #[inline(always)]
    pub(crate) fn value(&mut self, depth: u32) -> Result<Slot, Bad> {
        match self.byte()? {
            b'"' => self.string(),
            b'0'..=b'9' => self.digits(),
            b'{' | b'[' => self.nested(depth),
            b' ' | b'\t' | b'\n' | b'\r' => self.spaced_value(depth),
            _ => self.rare(),
        }
    }

    // A key that was guessed by its written form may have more space behind it than that.
    #[cold]
    fn spaced_value(&mut self, depth: u32) -> Result<Slot, Bad> {
        self.space();
        self.value(depth)
    }

    /// A string, from its opening quote. The common one is short, ASCII and has no escapes.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<Slot, Bad> {
        let start = self.at + 1;
        let end = start + ascii_stops(lanes(self.data, start)).trailing_zeros() as usize;
        if self.data[end] != b'"' {
            return self.long_string(start, end);
        }
        self.at = end + 1;
        self.slot(Kind::Text, start, end)
    }

    fn long_string(&mut self, start: usize, mut end: usize) -> Result<Slot, Bad> {
        loop {
            if end >= self.len {
                return Err(self.truncated());
            }
            let run = ascii_stops(lanes(self.data, end)).trailing_zeros() as usize;
            end += run;
            if run < LANES {
                break;
            }
        }
        self.at = end;
        if end < self.len && self.data[end] != b'"' {
            return self.special_string(start);
        }
        self.at = end + 1;
        self.slot(Kind::Text, start, end)
    }

    /// The rest of a string that has escapes or is not ASCII.
    #[cold]
    fn special_string(&mut self, start: usize) -> Result<Slot, Bad> {
        let mut kind = Kind::Text;
        loop {
            match self.byte()? {
                b'"' => break,
                b'\\' => {
                    kind = Kind::Escaped;
                    self.escape()?;
                }
                0..=0x1f => return Err(self.unexpected("a string without raw control characters")),
                _ => self.at += text_stops(lanes(self.data, self.at)).trailing_zeros() as usize,
            }
        }
        let end = self.at;
        if let Err(error) = simdutf8::compat::from_utf8(&self.data[start..end]) {
            return Err(Bad::new("not UTF-8").at(start + error.valid_up_to()));
        }
        self.at = end + 1;
        self.slot(kind, start, end)
    }

    fn escape(&mut self) -> Result<(), Bad> {
        self.at += 1;
        match self.byte()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.byte()?.is_ascii_hexdigit() {
                        return Err(self.unexpected("four hexadecimal digits behind \\u"));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.unexpected("one of \"\\/bfnrtu behind a backslash")),
        }
        Ok(())
    }

    /// A number that starts with a digit. The common one is an integer of up to 16 digits.
    #[inline(always)]
    fn digits(&mut self) -> Result<Slot, Bad> {
        let start = self.at;
        let run = digit_stops(lanes(self.data, start)).trailing_zeros() as usize;
        let end = start + run;
        let plain = matches!(self.data[end], b',' | b'}') && (run == 1 || self.data[start] != b'0');
        if !plain {
            return self.number();
        }
        self.at = end;
        self.slot(Kind::Number, start, end)
    }

    /// A number by the whole grammar.
    fn number(&mut self) -> Result<Slot, Bad> {
        let start = self.at;
        if self.byte()? == b'-' {
            self.at += 1;
        }
        match self.byte()? {
            b'0' => self.at += 1,
            _ => self.digit_run()?,
        }
        if self.here(b".") {
            self.at += 1;
            self.digit_run()?;
        }
        if self.here(b"eE") {
            self.at += 1;
            if self.here(b"+-") {
                self.at += 1;
            }
            self.digit_run()?;
        }
        self.slot(Kind::Number, start, self.at)
    }

    fn here(&self, bytes: &[u8]) -> bool {
        self.at < self.len && bytes.contains(&self.data[self.at])
    }

    fn digit_run(&mut self) -> Result<(), Bad> {
        if !self.byte()?.is_ascii_digit() {
            return Err(self.unexpected("a digit"));
        }
        while self.at < self.len {
            let run = digit_stops(lanes(self.data, self.at)).trailing_zeros() as usize;
            self.at += run;
            if run < LANES {
                return Ok(());
            }
        }
        Ok(())
    }

    fn rare(&mut self) -> Result<Slot, Bad> {
        match self.byte()? {
            b'-' => self.number(),
            b't' => self.word(b"true", Kind::True),
            b'f' => self.word(b"false", Kind::False),
            b'n' => self.word(b"null", Kind::Null),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<Slot, Bad> {
        let start = self.at;
        for byte in word {
            if self.byte()? != *byte {
                return Err(self.unexpected("a value"));
            }
            self.at += 1;
        }
        self.slot(kind, start, self.at)
    }

    /// An object or an array with all that is in it.
    fn nested(&mut self, depth: u32) -> Result<Slot, Bad> {
        let start = self.at;
        let mut open = Open { objects: 0, depth, below: depth };
        loop {
            if self.opens(&mut open)? {
                continue;
            }
            if self.closes(&mut open)? {
                return self.slot(Kind::Nested, start, self.at);
            }
        }
    }

    /// Reads one value of a nested one; whether it is an object or array that has values of its own.
    fn opens(&mut self, open: &mut Open) -> Result<bool, Bad> {
        let byte = self.byte()?;
        if byte != b'{' && byte != b'[' {
            match byte {
                b'"' => self.string()?,
                b'0'..=b'9' => self.number()?,
                _ => self.rare()?,
            };
            return Ok(false);
        }
        if open.depth == MAX_DEPTH {
            return Err(Bad::new(format!("nested deeper than {MAX_DEPTH} levels")).at(self.at));
        }
        self.at += 1;
        self.space();
        // `}` and `]` are two behind their opening in ASCII.
        if self.byte()? == byte + 2 {
            self.at += 1;
            return Ok(false);
        }
        open.push(byte == b'{');
        if byte == b'{' {
            self.key()?;
        }
        Ok(true)
    }

    /// Goes behind a value within a nested one: to the next value, or out of all of them (true).
    fn closes(&mut self, open: &mut Open) -> Result<bool, Bad> {
        while open.depth > open.below {
            self.space();
            match (self.byte()?, open.in_object()) {
                (b',', in_object) => {
                    self.at += 1;
                    self.space();
                    if in_object {
                        self.key()?;
                    }
                    return Ok(false);
                }
                (b'}', true) | (b']', false) => {
                    self.at += 1;
                    open.depth -= 1;
                }
                (_, true) => return Err(self.unexpected("',' or '}'")),
                (_, false) => return Err(self.unexpected("',' or ']'")),
            }
        }
        Ok(true)
    }

    /// A key that nobody asks for, with its colon, up to its value.
    fn key(&mut self) -> Result<(), Bad> {
        if self.byte()? != b'"' {
            return Err(self.unexpected("a key in quotes"));
        }
        self.string()?;
        self.colon()
    }

    /// The colon behind a key, up to its value.
    pub(crate) fn colon(&mut self) -> Result<(), Bad> {
        self.space();
        self.expect(b':', "':'")?;
        self.space();
        Ok(())
    }

    // Every value in a message is followed by something: one that reaches the end is cut off.
    #[inline(always)]
    fn slot(&self, kind: Kind, start: usize, end: usize) -> Result<Slot, Bad> {
        if self.at >= self.len {
            return Err(self.truncated());
        }
        Ok(Slot { kind, start: start as u32, end: end as u32 })
    }
}

/// The objects and arrays that are open around a value.
struct Open {
    // Bit n: whether the one at depth n is an object. MAX_DEPTH bits are in use.
    objects: u128,
    depth: u32,
    below: u32,
}

impl Open {
    fn push(&mut self, object: bool) {
        let bit = 1 << self.depth;
        self.objects = if object { self.objects | bit } else { self.objects & !bit };
        self.depth += 1;
    }

    fn in_object(&self) -> bool {
        self.objects >> (self.depth - 1) & 1 == 1
    }
}
