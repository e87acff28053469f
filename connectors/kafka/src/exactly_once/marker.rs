//! What the brokers know about the last transaction of a writer id.

use std::fmt;

use super::writer_id::Stamp;

/// The metadata of the offset that is committed with each transaction. The offset itself is the checkpoint's
/// id, for whoever looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    /// The attempt that has written it.
    pub(crate) attempt: u64,
    /// Up to where output was written, if any was.
    pub(crate) written: Option<Stamp>,
}

const WORDS: &str = "millstream 1";

impl Marker {
    /// Whether what was frozen at this moment was written.
    pub(crate) fn covers(&self, stamp: Stamp) -> bool {
        self.written.is_some_and(|written| stamp <= written)
    }

    /// The offset to commit it with.
    pub(crate) fn offset(&self) -> i64 {
        self.written.map_or(0, |written| i64::try_from(written.checkpoint).unwrap_or(i64::MAX))
    }

    /// Reads the metadata; `None` where somebody else has written it.
    pub(crate) fn parse(metadata: &str) -> Option<Self> {
        let mut words = metadata.strip_prefix(WORDS)?.split_whitespace();
        let mut number = |name: &str| {
            if words.next()? == name { words.next()?.parse().ok() } else { None }
        };
        let attempt = number("attempt")?;
        let written = match (number("epoch"), number("checkpoint")) {
            (Some(epoch), Some(checkpoint)) => Some(Stamp { epoch, checkpoint }),
            _ => None,
        };
        Some(Self { attempt, written })
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{WORDS} attempt {}", self.attempt)?;
        let Some(Stamp { epoch, checkpoint }) = self.written else { return Ok(()) };
        write!(f, " epoch {epoch} checkpoint {checkpoint}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_read_as_it_was_written() {
        for written in [None, Some(Stamp { epoch: 3, checkpoint: 41 })] {
            let marker = Marker { attempt: 7, written };
            assert_eq!(Marker::parse(&marker.to_string()), Some(marker));
        }
        assert_eq!(Marker::parse(""), None);
        assert_eq!(Marker::parse("someone else's"), None);
    }

    #[test]
    fn a_marker_covers_what_is_not_later() {
        let stamp = |epoch, checkpoint| Stamp { epoch, checkpoint };
        let marker = Marker { attempt: 9, written: Some(stamp(2, 5)) };
        assert!(marker.covers(stamp(2, 5)) && marker.covers(stamp(1, 9)) && marker.covers(stamp(2, 4)));
        assert!(!marker.covers(stamp(2, 6)) && !marker.covers(stamp(3, 1)));
        assert!(!Marker { attempt: 9, written: None }.covers(stamp(1, 1)));
    }
}
