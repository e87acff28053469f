//! `serde_json` judges: the same messages are accepted, with the same values, whole and after every kind of
//! damage.

#![allow(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod message;
mod reference;

use millstream_json::{FromJson, JsonDecoder, JsonOptions};
use millstream_record::Record;
use millstream_stage::Rows;
use millstream_stage::decode::{Decoder, Refused};
use millstream_stage::raw::RawBatch;
use proptest::prelude::*;

use message::{damage, message};
use reference::reference;

/// One field of each type.
#[derive(Clone, Debug, PartialEq, Record, FromJson)]
struct Everything {
    text: String,
    id: Option<compact_str::CompactString>,
    long: Option<i64>,
    #[json(alias = "byte")]
    octet: Option<u8>,
    double: Option<f64>,
    #[json(default)]
    flag: bool,
    #[json(time)]
    time: Option<i64>,
}

const NOW: i64 = 1_511_700_000_000;

/// Decodes all messages as one batch: each is followed by the next one's bytes.
fn decode(messages: &[Vec<u8>], decoder: &mut JsonDecoder<Everything>) -> Vec<Result<Everything, String>> {
    let mut batch = RawBatch::new("s".into());
    for (position, message) in messages.iter().enumerate() {
        batch.push(message, position as i64, 0);
    }
    let (mut rows, mut letters) = (Rows::default(), Rows::default());
    decoder.decode(&batch, NOW, &mut rows, &mut Refused::new("s", &batch, NOW, &mut letters));
    assert_eq!(rows.len() + letters.len(), messages.len(), "each message is a row or a dead letter");
    let mut rows = rows.rec.into_iter();
    let mut letters = letters.rec.into_iter().peekable();
    let one = |position| match letters.next_if(|letter| letter.position == position as i64) {
        Some(letter) => Err(letter.reason),
        None => rows.next().ok_or_else(|| "neither a row nor a dead letter".into()),
    };
    (0..messages.len()).map(one).collect()
}

fn agree(messages: &[Vec<u8>]) -> Result<(), TestCaseError> {
    let mut decoder = JsonDecoder::new(&JsonOptions::default()).unwrap();
    for decoded in [decode(messages, &mut decoder), decode(messages, &mut decoder)] {
        for (message, decoded) in messages.iter().zip(decoded) {
            if let Some(wanted) = reference(message) {
                let same = decoded.as_ref().ok() == wanted.as_ref();
                prop_assert!(same, "{}: {decoded:?}, not {wanted:?}", String::from_utf8_lossy(message));
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn whole_messages_have_the_same_values(messages in prop::collection::vec(message(), 1..12)) {
        agree(&messages)?;
    }

    #[test]
    fn damaged_messages_are_refused_or_have_the_same_values(
        messages in prop::collection::vec((message(), prop::collection::vec(damage(), 0..3)), 1..12)
    ) {
        let damaged: Vec<_> = messages
            .into_iter()
            .map(|(message, damages)| damages.iter().fold(message, |message, damage| damage.to(message)))
            .collect();
        agree(&damaged)?;
    }

    #[test]
    fn any_bytes_are_refused_or_read(messages in prop::collection::vec(any::<Vec<u8>>(), 1..12)) {
        agree(&messages)?;
    }
}

#[test]
fn every_prefix_and_every_single_byte_change_of_a_message_is_judged_alike() {
    let message = br#"{"text":"a\u00e9","id":12,"long":-1.50e1,"x":{"y":[1,"\"",null]},"double":1e3, "time" : 1511658000000}"#;
    let prefixes = (0..message.len()).map(|end| message[..end].to_vec());
    let changes = (0..message.len()).flat_map(|at| {
        (0..=255_u8).map(move |byte| {
            let mut changed = message.to_vec();
            changed[at] = byte;
            changed
        })
    });
    let all: Vec<_> = prefixes.chain(changes).collect();
    agree(&all).unwrap();
}
