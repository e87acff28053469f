//! A dead letter that is too large for the place where it is to go.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

/// The same letter, as [`dead_letter_json`](crate::dead_letter_json) writes it, with the first half of its
/// bytes. `raw_bytes` marks it as cut and says how many there were; source, split and position still tell
/// where all of them are. `None` where nothing is left to cut.
///
/// ```
/// use millstream_stage::dead_letter::DeadLetter;
/// use millstream_files::{dead_letter_json, shorter_dead_letter_json};
///
/// let letter = dead_letter_json(&DeadLetter::of_value("clicks", "kafka", b"{abc".to_vec(), 5, "no JSON"));
/// let shorter = shorter_dead_letter_json(&letter).unwrap();
/// let shorter: serde_json::Value = serde_json::from_slice(&shorter).unwrap();
/// assert_eq!((shorter["raw"].as_str(), shorter["raw_bytes"].as_i64()), (Some("e2E="), Some(4)));
/// ```
pub fn shorter_dead_letter_json(letter: &[u8]) -> Option<Vec<u8>> {
    let mut letter: Map<String, Value> = serde_json::from_slice(letter).ok()?;
    let raw = BASE64_STANDARD.decode(letter.get("raw")?.as_str()?).ok()?;
    let half = raw.get(..raw.len() / 2).filter(|_| !raw.is_empty())?;
    letter.entry("raw_bytes").or_insert_with(|| raw.len().into());
    letter.insert("raw".to_owned(), BASE64_STANDARD.encode(half).into());
    serde_json::to_vec(&letter).ok()
}

#[cfg(test)]
mod tests {
    use millstream_stage::dead_letter::DeadLetter;

    use super::*;
    use crate::dead_letter_json;

    #[test]
    fn it_is_halved_until_nothing_is_left() {
        let letter = DeadLetter::of_value("clicks", "kafka", vec![7; 5], 5, "no JSON");
        let mut json = dead_letter_json(&letter);
        for left in [2, 1, 0] {
            json = shorter_dead_letter_json(&json).unwrap();
            let seen: Value = serde_json::from_slice(&json).unwrap();
            assert_eq!(BASE64_STANDARD.decode(seen["raw"].as_str().unwrap()).unwrap().len(), left);
            assert_eq!(
                (&seen["raw_bytes"], &seen["id"]),
                (&Value::from(5), &Value::from(letter.id.as_str()))
            );
        }
        assert_eq!(shorter_dead_letter_json(&json), None);
        assert_eq!(shorter_dead_letter_json(b"no letter"), None);
    }
}
