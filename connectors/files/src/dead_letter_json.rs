//! A dead letter as one line of JSON, in files and topics alike.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;

use millstream_stage::dead_letter::DeadLetter;

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    raw: String,
    source: &'a str,
    split: &'a str,
    position: i64,
    time: i64,
    stage: &'a str,
    reason: &'a str,
    #[serde(flatten)]
    kafka: Option<KafkaPosition<'a>>,
}

#[derive(Serialize)]
struct KafkaPosition<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
}

/// One JSON object, without a line's end: `id`, `raw` (the bytes in base64), `source`, `split`, `position`,
/// `time` (epoch milliseconds), `stage`, `reason`; and `topic`, `partition`, `offset` where the split is a
/// Kafka partition, named `topic-partition`.
///
/// ```
/// use millstream_stage::dead_letter::DeadLetter;
///
/// let letter = DeadLetter::of_value("clicks", "late", b"{}".to_vec(), 5, "its window was closed");
/// let json = String::from_utf8(millstream_files::dead_letter_json(&letter)).unwrap();
/// assert!(json.ends_with(r#""raw":"e30=","source":"clicks","split":"","position":-1,"time":5,"stage":"late","reason":"its window was closed"}"#));
/// ```
pub fn dead_letter_json(letter: &DeadLetter) -> Vec<u8> {
    let line = Line {
        id: &letter.id,
        raw: BASE64_STANDARD.encode(&letter.raw),
        source: &letter.source,
        split: &letter.split,
        position: letter.position,
        time: letter.time,
        stage: &letter.stage,
        reason: &letter.reason,
        kafka: kafka_position(letter),
    };
    serde_json::to_vec(&line).expect("texts and numbers are always JSON")
}

// A topic's name never has a slash; files are named by absolute paths and generated splits have one too.
fn kafka_position(letter: &DeadLetter) -> Option<KafkaPosition<'_>> {
    let (topic, partition) = letter.split.rsplit_once('-')?;
    if topic.is_empty() || topic.contains('/') || letter.position < 0 {
        return None;
    }
    Some(KafkaPosition { topic, partition: partition.parse().ok()?, offset: letter.position })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn letter(split: &str, position: i64) -> Value {
        let letter = DeadLetter {
            id: "clicks/x/7/decode".into(),
            raw: vec![0xff, b'"', b'\n'],
            source: "clicks".into(),
            split: split.into(),
            position,
            time: 1_511_658_000_000,
            stage: "decode".into(),
            reason: "no \"JSON\"".into(),
        };
        let line = dead_letter_json(&letter);
        assert!(!line.contains(&b'\n'));
        serde_json::from_slice(&line).unwrap()
    }

    #[test]
    fn every_field_is_there() {
        let expected = json!({
            "id": "clicks/x/7/decode", "raw": "/yIK", "source": "clicks", "split": "/data/a-1", "position": 7,
            "time": 1_511_658_000_000_i64, "stage": "decode", "reason": "no \"JSON\"",
        });
        assert_eq!(letter("/data/a-1", 7), expected);
    }

    #[test]
    fn a_kafka_partition_is_named() {
        let seen = letter("user-clicks-3", 7);
        assert_eq!(
            (&seen["topic"], &seen["partition"], &seen["offset"]),
            (&json!("user-clicks"), &json!(3), &json!(7))
        );
        for (split, position) in
            [("-", 1), ("", -1), ("clicks-3", -1), ("clicks-x", 1), ("-3", 1), ("generator/shop-1", 1)]
        {
            assert_eq!(letter(split, position).get("topic"), None, "{split}");
        }
    }
}
