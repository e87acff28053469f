//! Where records go that could not be used.

use millstream::connectors::files::{AtStart, FilesSink, FilesSinkOptions, dead_letter_json};
use millstream::connectors::kafka::KafkaSink;
use millstream::prelude::*;

use crate::options::DeadLetterOptions;

/// Ends all dead letters in the configured place, in one subtask.
pub fn sink_dead_letters(letters: &DataStream<DeadLetter>, options: &DeadLetterOptions) {
    match options {
        DeadLetterOptions::Files(file) => {
            let options = FilesSinkOptions {
                path: file.path.clone(),
                at_start: AtStart::Append,
                ..FilesSinkOptions::default()
            };
            letters.sink_to("dead-letters", FilesSink::dead_letters(options));
        }
        DeadLetterOptions::Kafka(options) => {
            let sink = KafkaSink::new(options.clone(), |letter: &DeadLetter, _, message| {
                message.key().extend_from_slice(letter.id.as_bytes());
                message.value().extend_from_slice(&dead_letter_json(letter));
            });
            letters.sink_to("dead-letters", sink);
        }
    }
}
