//! Where records go that could not be used.

use millstream::connectors::files::{AtStart, FilesSink, FilesSinkOptions};
#[cfg(feature = "servers")]
use millstream::connectors::files::{dead_letter_json, shorter_dead_letter_json};
#[cfg(feature = "servers")]
use millstream::connectors::kafka::{DeliveryGuarantee, KafkaSink};
use millstream::prelude::*;

#[cfg(feature = "servers")]
use super::last_resort::LastResort;
use crate::options::DeadLetterOptions;

/// Ends all dead letters in the configured place, in one subtask.
///
/// None vanishes. A letter that is too large for its topic is written with half of its bytes, or a quarter,
/// and so on, and marked as cut; where the topic refuses it even so, or for another reason, the job stops.
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
        #[cfg(feature = "servers")]
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
        #[cfg(not(feature = "servers"))]
        DeadLetterOptions::LeftOut(left_out) => match *left_out {},
    }
}

/// What every topic takes unless its `max.message.bytes` was lowered.
#[cfg(feature = "servers")]
const FITS: usize = 900_000;

// A transaction is written whole or not at all: what a topic might refuse is cut before.
#[cfg(feature = "servers")]
fn fitting(mut letter: Vec<u8>) -> Vec<u8> {
    while letter.len() > FITS
        && let Some(shorter) = shorter_dead_letter_json(&letter)
    {
        letter = shorter;
    }
    letter
}
