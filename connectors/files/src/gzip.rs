//! Unpacks gzip: any number of members, zeros behind them, and what can be trusted of a member that is
//! damaged.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

use crate::damage::Damage;

/// The first two bytes of gzip.
pub(crate) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How much of what was unpacked last is held back until its member's checksum has been seen: damage shows a
/// while behind its place.
pub(crate) const HELD_BACK: usize = 64 << 10;

/// The text of a gzip file. What it gives does not depend on how it is read, so that whoever comes back stops
/// at the same place: every member that is whole, and of a damaged one everything but the last [`HELD_BACK`]
/// bytes before the place where it shows.
pub(crate) struct Gunzip<R: Read> {
    state: State<R>,
    // Unpacked and not yet given, from `given` on.
    unpacked: Vec<u8>,
    given: usize,
    // Up to here the checksums of all members were right.
    checked: usize,
    hold_back: usize,
    // Where the member begins.
    member: u64,
}

enum State<R: Read> {
    // Before a member.
    Between(Packed<R>),
    Within(Box<GzDecoder<Packed<R>>>),
    Over(Option<Damage>),
}

impl<R: Read> Gunzip<R> {
    /// Unpacks `from`. What can be read only once is given at once: nobody comes back.
    pub(crate) fn new(from: R, hold_back: usize) -> Self {
        let from = Packed { from: BufReader::with_capacity(64 << 10, from), taken: 0 };
        let state = State::Between(from);
        Self { state, unpacked: Vec::new(), given: 0, checked: 0, hold_back, member: 0 }
    }

    // How many bytes may be given.
    fn ready(&self) -> usize {
        let trusted = match &self.state {
            State::Over(None) => self.unpacked.len(),
            _ => self.checked.max(self.unpacked.len().saturating_sub(self.hold_back)),
        };
        trusted.saturating_sub(self.given)
    }

    fn unpack(&mut self) -> io::Result<()> {
        self.forget_given();
        self.state = match std::mem::replace(&mut self.state, State::Over(None)) {
            State::Between(from) => self.begin(from)?,
            State::Within(member) => self.go_on(member)?,
            over @ State::Over(_) => over,
        };
        Ok(())
    }

    // Zeros are padding: tapes and file systems fill the last block with them.
    fn begin(&mut self, mut from: Packed<R>) -> io::Result<State<R>> {
        let is_first = from.taken == 0;
        loop {
            let bytes = from.fill_buf()?;
            if bytes.is_empty() {
                return Ok(State::Over(None));
            }
            let zeros = if is_first { 0 } else { bytes.iter().take_while(|byte| **byte == 0).count() };
            if zeros == 0 {
                break;
            }
            from.consume(zeros);
        }
        self.member = from.taken;
        // One byte alone may be the first of the two.
        if !MAGIC.starts_with(&from.fill_buf()?[..1]) {
            let what = if is_first { "it is no gzip" } else { "what follows here is no gzip" };
            return Ok(State::Over(Some(Damage::new(self.member, what))));
        }
        Ok(State::Within(Box::new(GzDecoder::new(from))))
    }

    fn go_on(&mut self, mut member: Box<GzDecoder<Packed<R>>>) -> io::Result<State<R>> {
        let from = self.unpacked.len();
        self.unpacked.resize(from + HELD_BACK, 0);
        let read = member.read(&mut self.unpacked[from..]);
        self.unpacked.truncate(from + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => {
                self.checked = self.unpacked.len();
                Ok(State::Between(member.into_inner()))
            }
            Ok(_) => Ok(State::Within(member)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(State::Within(member)),
            Err(error) if is_of_the_content(&error) => {
                let (at, begins) = (member.get_ref().taken, self.member);
                let what = format!("{error}, in the gzip member that begins at byte {begins}");
                Ok(State::Over(Some(Damage::new(at, what))))
            }
            Err(error) => Err(error),
        }
    }

    fn forget_given(&mut self) {
        if self.given < HELD_BACK && self.given < self.unpacked.len() {
            return;
        }
        self.unpacked.drain(..self.given);
        self.checked = self.checked.saturating_sub(self.given);
        self.given = 0;
    }
}

fn is_of_the_content(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof
    )
}

impl<R: Read> Read for Gunzip<R> {
    /// # Errors
    /// A [`Damage`] behind everything that can be trusted, once; and those of the file.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.ready().min(into.len());
            if count > 0 {
                into[..count].copy_from_slice(&self.unpacked[self.given..self.given + count]);
                self.given += count;
                return Ok(count);
            }
            match &mut self.state {
                State::Over(damage) => return damage.take().map_or(Ok(0), |damage| Err(damage.into())),
                _ if into.is_empty() => return Ok(0),
                _ => self.unpack()?,
            }
        }
    }
}

/// The packed bytes, and how many were taken.
struct Packed<R> {
    from: BufReader<R>,
    taken: u64,
}

impl<R: Read> Read for Packed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        self.taken += count as u64;
        Ok(count)
    }
}

impl<R: Read> BufRead for Packed<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.from.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.taken += count as u64;
        self.from.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    // Random enough not to be packed away.
    fn text(size: usize) -> Vec<u8> {
        let mut state = 7_u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        std::iter::repeat_with(next).take(size).collect()
    }

    // Everything that can be read with buffers of one size, and the damage.
    fn unpacked(bytes: &[u8], size: usize) -> (Vec<u8>, Option<String>) {
        let mut from = Gunzip::new(bytes, HELD_BACK);
        let (mut all, mut buffer) = (Vec::new(), vec![0; size]);
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return (all, None),
                Ok(count) => all.extend_from_slice(&buffer[..count]),
                Err(error) => return (all, Some(Damage::of(error).unwrap().to_string())),
            }
        }
    }

    #[test]
    fn members_and_zeros_behind_and_between_them_are_read() {
        let (a, b) = (packed(b"a"), packed(b"b"));
        let zeros = [0; 70_000].as_slice();
        for bytes in [
            [a.as_slice(), &b].concat(),
            [&a, zeros, &b].concat(),
            [&a, &b, zeros].concat(),
            [packed(b"").as_slice(), &a, &b].concat(),
        ] {
            assert_eq!(unpacked(&bytes, 10), (b"ab".to_vec(), None));
        }
        assert_eq!(unpacked(b"", 10), (vec![], None));
    }

    #[test]
    fn what_is_whole_is_given_before_the_place_of_the_damage_is_named() {
        let (a, b) = (packed(b"a"), packed(b"b"));
        let at = a.len();
        for (bytes, says) in [
            ([a.as_slice(), b"junk"].concat(), format!("at byte {at}: what follows here is no gzip")),
            ([&a, &b[..b.len() - 3]].concat(), format!("at byte {}:", at + b.len() - 3)),
            ([&a, &b[..b.len() - 9]].concat(), format!("in the gzip member that begins at byte {at}")),
        ] {
            let (text, damage) = unpacked(&bytes, 10);
            assert_eq!(text, b"a");
            assert!(damage.as_ref().is_some_and(|damage| damage.contains(&says)), "{damage:?}: {says}");
        }
        assert!(unpacked(b"plain", 10).1.unwrap().contains("at byte 0: it is no gzip"));
    }

    #[test]
    fn of_a_large_damaged_member_only_the_last_bytes_are_held_back() {
        let text = text(1 << 20);
        let mut bytes = packed(&text);
        let last = bytes.len() - 5;
        bytes[last] ^= 1;
        let (seen, damage) = unpacked(&bytes, 100_000);
        assert!(damage.is_some());
        assert_eq!(seen.len(), text.len() - HELD_BACK);
        assert!(text.starts_with(&seen));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn the_same_is_given_however_it_is_read(cut in 0_usize..200_000, size in 500_usize..300_000) {
            let bytes = [packed(&text(90_000)), packed(&text(120_000))].concat();
            let bytes = &bytes[..cut.min(bytes.len())];
            prop_assert_eq!(unpacked(bytes, size), unpacked(bytes, 4096));
        }
    }
}
