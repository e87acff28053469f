//! Dead letters as they are read back.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use millstream_stage::dead_letter::DeadLetter;

/// A dead letter that [`dead_letter_json`](crate::dead_letter_json) or
/// [`shorter_dead_letter_json`](crate::shorter_dead_letter_json) wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDeadLetter {
    /// The letter.
    pub letter: DeadLetter,
    /// The Kafka topic and partition that its message came from, where it came from one.
    pub partition: Option<(String, i32)>,
    /// Whether bytes are missing because it was too large for its place.
    pub is_cut: bool,
}

#[derive(Deserialize)]
struct Line {
    id: String,
    raw: String,
    source: String,
    split: String,
    position: i64,
    time: i64,
    stage: String,
    reason: String,
    topic: Option<String>,
    partition: Option<i32>,
    raw_bytes: Option<u64>,
}

impl StoredDeadLetter {
    /// Reads one line, or one message of a topic.
    ///
    /// ```
    /// use millstream_stage::dead_letter::DeadLetter;
    /// use millstream_files::{StoredDeadLetter, dead_letter_json};
    ///
    /// let letter = DeadLetter::of_value("clicks", "late", b"{}".to_vec(), 5, "its window was closed");
    /// let stored = StoredDeadLetter::parse(&dead_letter_json(&letter)).unwrap();
    /// assert_eq!((stored.letter, stored.is_cut), (letter, false));
    /// ```
    ///
    /// # Errors
    /// Why it is no dead letter.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let raw = BASE64_STANDARD.decode(&line.raw).map_err(|error| format!("raw: {error}"))?;
        let Line { id, source, split, position, time, stage, reason, .. } = line;
        Ok(Self {
            letter: DeadLetter { id, raw, source, split, position, time, stage, reason },
            partition: line.topic.zip(line.partition),
            is_cut: line.raw_bytes.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dead_letter_json, shorter_dead_letter_json};

    #[test]
    fn what_was_written_is_read_with_its_partition_and_whether_it_is_whole() {
        let letter = DeadLetter {
            split: "user-clicks-3".to_owned(),
            position: 7,
            ..DeadLetter::of_value("clicks", "decode", vec![0xff, b'"'], 5, "no \"JSON\"")
        };
        let json = dead_letter_json(&letter);
        let stored = StoredDeadLetter::parse(&json).unwrap();
        let partition = Some(("user-clicks".to_owned(), 3));
        assert_eq!(stored, StoredDeadLetter { letter, partition, is_cut: false });
        let shorter = StoredDeadLetter::parse(&shorter_dead_letter_json(&json).unwrap()).unwrap();
        assert!(shorter.is_cut && shorter.letter.raw == [0xff]);
        assert!(StoredDeadLetter::parse(b"{}").unwrap_err().contains("id"));
    }
}
