//! Objects and arrays within a message: checked and skipped, to a limited depth and without recursion.

use crate::bad::Bad;
use crate::cursor::{Cursor, Kind, Slot};

/// How many objects and arrays may be open at once, the message's own object included.
pub(crate) const MAX_DEPTH: u32 = 127;

impl Cursor<'_> {
    /// An object or an array with all that is in it.
    pub(crate) fn nested(&mut self, depth: u32) -> Result<Slot, Bad> {
        let start = self.at;
        let mut open = OpenContainers { objects: 0, depth, below: depth };
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
    fn opens(&mut self, open: &mut OpenContainers) -> Result<bool, Bad> {
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
    fn closes(&mut self, open: &mut OpenContainers) -> Result<bool, Bad> {
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
}

/// The objects and arrays that are open around a value.
struct OpenContainers {
    // Bit n: whether the one at depth n is an object. MAX_DEPTH bits are in use.
    objects: u128,
    depth: u32,
    below: u32,
}

impl OpenContainers {
    fn push(&mut self, object: bool) {
        let bit = 1 << self.depth;
        self.objects = if object { self.objects | bit } else { self.objects & !bit };
        self.depth += 1;
    }

    fn in_object(&self) -> bool {
        self.objects >> (self.depth - 1) & 1 == 1
    }
}
