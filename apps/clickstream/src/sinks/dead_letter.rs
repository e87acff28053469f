//! Where records go that could not be used.

use millstream::connectors::files::{
    AtStart, FilesSink, FilesSinkOptions, dead_letter_json, shorter_dead_letter_json,
};
use millstream::connectors::kafka::{DeliveryGuarantee, KafkaSink};
use millstream::prelude::*;

use super::last_resort::LastResort;
use crate::options::DeadLetterOptions;

/// Ends all dead letters in the configured place, in one subtask.
///
/// None vanishes. A letter that is too large for its topic is written with half of its bytes, or a quarter, and so on, and marked as cut;
/// where the topic refuses it even so, or for another reason, the job stops.
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
            let cut = options.delivery_guarantee == DeliveryGuarantee::ExactlyOnce;
            let sink = KafkaSink::new(options.clone(), move |letter: &DeadLetter, _, message| {
                let json = dead_letter_json(letter);
                message.key().extend_from_slice(letter.id.as_bytes());
                message.value().extend_from_slice(&if cut { fitting(json) } else { json });
            });
            let refused = letters.sink_to("dead-letters", sink.with_shorter(shorter_dead_letter_json));
            refused.dead_letters().sink_to("refused-dead-letters", LastResort);
        }
    }
}

/// What every topic takes unless its `max.message.bytes` was lowered.
const FITS: usize = 900_000;

// A transaction is written whole or not at all: what a topic might refuse is cut before.
fn fitting(mut letter: Vec<u8>) -> Vec<u8> {
    while letter.len() > FITS
        && let Some(shorter) = shorter_dead_letter_json(&letter)
    {
        letter = shorter;
    }
    letter
}
