//! The exact grammar of JSON (RFC 8259), read forward without recursion and without building anything.

use crate::bad::Bad;
use crate::scan::{LANES, ascii_stops, digit_stops, lanes, text_stops};

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
/// Invariant of all methods: they look at `data[at]` only while `at < len`, or find out about it before they
/// succeed; whole vectors may be loaded from any `at <= len` because the buffer goes on for 64 bytes.
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

    /// Any value, behind white space where there is some; nested ones to the depth that is left below `depth`
    /// open ones.
    pub(crate) fn spaced_value(&mut self, depth: u32) -> Result<Slot, Bad> {
        self.space();
        match self.byte()? {
            b'"' => self.string(),
            b'0'..=b'9' => self.number(),
            b'{' | b'[' => self.nested(depth),
            _ => self.rare(),
        }
    }

    /// Goes behind white space to a comma or closing brace, and answers where that is.
    pub(crate) fn before_comma(&mut self) -> Result<usize, Bad> {
        self.space();
        match self.byte()? {
            b',' | b'}' => Ok(self.at),
            _ => Err(self.unexpected("',' or '}'")),
        }
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

    /// A number by the whole grammar.
    pub(crate) fn number(&mut self) -> Result<Slot, Bad> {
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

    pub(crate) fn rare(&mut self) -> Result<Slot, Bad> {
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

    /// The colon behind a key, up to its value.
    pub(crate) fn colon(&mut self) -> Result<(), Bad> {
        self.space();
        self.expect(b':', "':'")?;
        self.space();
        Ok(())
    }

    // Every value in a message is followed by something: one that reaches the end is cut off.
    #[inline(always)]
    pub(crate) fn slot(&self, kind: Kind, start: usize, end: usize) -> Result<Slot, Bad> {
        if self.at >= self.len {
            return Err(self.truncated());
        }
        Ok(Slot { kind, start: start as u32, end: end as u32 })
    }
}
