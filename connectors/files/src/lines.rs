//! Cuts chunks of bytes into lines, whatever the chunks' borders.

use memchr::memchr;

/// How much of a line that is too long is kept.
const KEPT: usize = 64 << 10;

/// One line, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Counts from 1.
    pub(crate) number: u64,
    /// The line, or its beginning where it is too long.
    pub(crate) bytes: &'a [u8],
    /// How long it is; more than `bytes` where it is too long.
    pub(crate) length: u64,
}

impl Line<'_> {
    /// Whether bytes are missing.
    pub(crate) fn is_cut(&self) -> bool {
        self.length > self.bytes.len() as u64
    }
}

/// Lines end in `\n` or `\r\n`; the last one may lack it. Holds at most one line's beginning, of bounded
/// size.
#[derive(Debug)]
pub(crate) struct LineSplitter {
    longest: usize,
    // The beginning of a line whose end has not come yet, or (`given`) the line that was given last.
    partial: Vec<u8>,
    given: bool,
    // Bytes of that line so far, also those that were not kept.
    length: u64,
    offset: u64,
    lines: u64,
}

impl LineSplitter {
    /// Starts behind `lines` lines of `offset` bytes; cuts lines that are longer than `longest` bytes.
    pub(crate) fn new(longest: usize, offset: u64, lines: u64) -> Self {
        Self { longest, partial: Vec::new(), given: false, length: 0, offset, lines }
    }

    /// Bytes up to the end of the last line that was given.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Lines that were given.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// The next line that ends within `chunk[*at..]`; moves `at` behind it, or to the chunk's end when there
    /// is none.
    pub(crate) fn next<'a>(&'a mut self, chunk: &'a [u8], at: &mut usize) -> Option<Line<'a>> {
        self.forget_given();
        let rest = &chunk[*at..];
        let Some(end) = memchr(b'\n', rest) else {
            *at = chunk.len();
            self.keep(rest);
            return None;
        };
        *at += end + 1;
        let piece = &rest[..end];
        if self.length == 0 && end <= self.longest {
            let number = self.passed(end as u64 + 1);
            let bytes = without_return(piece);
            return Some(Line { number, bytes, length: bytes.len() as u64 });
        }
        self.keep(piece);
        let passed = self.length + 1;
        Some(self.give(passed))
    }

    /// The last line, where the file does not end in a line's end.
    pub(crate) fn finish(&mut self) -> Option<Line<'_>> {
        self.forget_given();
        let passed = self.length;
        (passed > 0).then(|| self.give(passed))
    }

    fn forget_given(&mut self) {
        if self.given {
            self.given = false;
            self.length = 0;
            self.partial.clear();
            self.partial.shrink_to(KEPT);
        }
    }

    // One byte beyond the longest line is kept: it may be the carriage return of its end.
    fn keep(&mut self, piece: &[u8]) {
        self.length += piece.len() as u64;
        if self.length <= self.longest as u64 + 1 {
            self.partial.extend_from_slice(piece);
            return;
        }
        let wanted = KEPT.min(self.longest);
        let missing = wanted.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&piece[..missing.min(piece.len())]);
        self.partial.truncate(wanted);
        self.partial.shrink_to(wanted);
    }

    fn give(&mut self, passed: u64) -> Line<'_> {
        self.given = true;
        let number = self.passed(passed);
        let whole = self.length == self.partial.len() as u64;
        let bytes = if whole { without_return(&self.partial) } else { &self.partial };
        let length = if whole { bytes.len() as u64 } else { self.length };
        let most = if length > self.longest as u64 { KEPT.min(self.longest) } else { self.longest };
        Line { number, bytes: &bytes[..bytes.len().min(most)], length }
    }

    fn passed(&mut self, bytes: u64) -> u64 {
        self.offset += bytes;
        self.lines += 1;
        self.lines
    }
}

/// Without the carriage return before a line's end.
pub(crate) fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // (number, bytes, length) of every line, and the offset behind it.
    type SplitLines = Vec<(u64, Vec<u8>, u64, u64)>;

    fn split(text: &[u8], chunks: &[usize], longest: usize) -> SplitLines {
        let mut lines = LineSplitter::new(longest, 0, 0);
        let (mut seen, mut rest, mut sizes) = (SplitLines::new(), text, chunks.iter().cycle());
        while !rest.is_empty() {
            let size = (*sizes.next().unwrap()).clamp(1, rest.len());
            let (chunk, following) = rest.split_at(size);
            let mut at = 0;
            while let Some(line) = lines.next(chunk, &mut at) {
                let line = (line.number, line.bytes.to_vec(), line.length);
                seen.push((line.0, line.1, line.2, lines.offset()));
            }
            assert_eq!(at, chunk.len());
            rest = following;
        }
        if let Some(line) = lines.finish() {
            let line = (line.number, line.bytes.to_vec(), line.length);
            seen.push((line.0, line.1, line.2, lines.offset()));
        }
        assert!(lines.finish().is_none());
        seen
    }

    fn naive(text: &[u8], longest: usize) -> SplitLines {
        let mut seen = SplitLines::new();
        let mut offset = 0;
        for (number, line) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
            offset += line.len() as u64;
            let content = line.strip_suffix(b"\n").unwrap_or(line);
            let content = content.strip_suffix(b"\r").unwrap_or(content);
            seen.push((number, content[..content.len().min(longest)].to_vec(), content.len() as u64, offset));
        }
        seen
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_lines_of_the_text(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            chunks in proptest::collection::vec(1_usize..20, 1..10),
        ) {
            prop_assert_eq!(split(&text, &chunks, 1000), naive(&text, 1000));
        }

        #[test]
        fn long_lines_are_cut_and_the_others_are_whole(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'a'), Just(b'b')], 0..300),
            chunks in proptest::collection::vec(1_usize..20, 1..10),
            longest in 1_usize..8,
        ) {
            let (seen, expected) = (split(&text, &chunks, longest), naive(&text, longest));
            prop_assert_eq!(seen.len(), expected.len());
            for (seen, expected) in seen.iter().zip(&expected) {
                let cut = expected.2 > longest as u64;
                prop_assert_eq!((seen.0, &seen.1, seen.3), (expected.0, &expected.1, expected.3));
                // The length of a line that is cut may count its carriage return.
                prop_assert!(seen.2 == expected.2 || cut && seen.2 == expected.2 + 1);
            }
        }
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let mut lines = LineSplitter::new(1 << 20, 0, 0);
        let chunk = vec![b'x'; 300 << 10];
        for _ in 0..100 {
            assert!(lines.next(&chunk, &mut 0).is_none());
            assert!(lines.partial.capacity() <= (2 << 20) + 2, "{}", lines.partial.capacity());
        }
        let line = lines.finish().unwrap();
        assert_eq!((line.bytes.len(), line.length, line.is_cut()), (KEPT, 100 * (300 << 10), true));
    }

    #[test]
    fn a_line_of_exactly_the_longest_size_is_whole_also_with_a_carriage_return() {
        for text in [&b"abc\r\nabc\nabc"[..], b"abc\nabc\nabc\r\n"] {
            for chunk in 1..8 {
                let seen = split(text, &[chunk], 3);
                assert!(seen.iter().all(|line| line.1 == b"abc" && line.2 == 3), "{seen:?}");
            }
        }
    }
}
