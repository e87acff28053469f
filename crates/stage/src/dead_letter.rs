//! Where a record goes that cannot go on: nothing is dropped silently.

use std::fmt::Display;

use crate::raw::RawRecord;
use crate::time::Time;

/// A record that a stage refused, with all that is needed to understand and to replay it.
#[derive(Clone, Debug, PartialEq, Eq, millstream_record::Record)]
pub struct DeadLetter {
    /// Deterministic: the same record refused again, by the same stage, has the same id.
    pub id: String,
    /// The bytes as they came, or the encoded value where those are no longer known.
    #[record(bytes)]
    pub raw: Vec<u8>,
    /// The name of the source, or of the operator that refused it where the source is no longer known.
    pub source: String,
    /// The split, such as topic and partition; empty where it is no longer known.
    pub split: String,
    /// Offset or line within the split; -1 where it is no longer known.
    pub position: i64,
    /// When it was refused, processing time.
    pub time: Time,
    /// What refused it: `decode`, `late`, `elasticsearch`, ...
    pub stage: String,
    /// Why, in a sentence.
    pub reason: String,
}

impl DeadLetter {
    /// A message that could not be decoded.
    pub fn at_decode(
        source: &str,
        split: &str,
        message: RawRecord<'_>,
        time: Time,
        reason: impl Display,
    ) -> Self {
        Self::of_message("decode", (source, split), message, time, reason)
    }

    /// A message, by source and split, that `stage` refused, or the record that was decoded from it.
    pub fn of_message(
        stage: &str,
        (source, split): (&str, &str),
        message: RawRecord<'_>,
        time: Time,
        reason: impl Display,
    ) -> Self {
        Self {
            id: format!("{source}/{split}/{}/{stage}", message.position),
            raw: message.bytes.to_vec(),
            source: source.to_owned(),
            split: split.to_owned(),
            position: message.position,
            time,
            stage: stage.to_owned(),
            reason: reason.to_string(),
        }
    }

    /// A value that was refused later on; its bytes are what identifies it.
    pub fn of_value(operator: &str, stage: &str, value: Vec<u8>, time: Time, reason: impl Display) -> Self {
        let hash = millstream_record::key::hash_bytes(&value);
        Self {
            id: format!("{operator}/{stage}/{hash:016x}"),
            raw: value,
            source: operator.to_owned(),
            split: String::new(),
            position: -1,
            time,
            stage: stage.to_owned(),
            reason: reason.to_string(),
        }
    }
}
