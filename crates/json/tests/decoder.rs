//! What the decoder accepts, what it refuses, and what it says.

#![allow(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use compact_str::CompactString;
use millstream_json::{FromJson, JsonDecoder, JsonOptions, TimeUnit};
use millstream_record::{ErrorKind, Record};
use millstream_stage::Rows;
use millstream_stage::decode::{Decoder, Refused};
use millstream_stage::raw::RawBatch;
use millstream_stage::time::{MIN_TIME, Time};

#[derive(Clone, Copy, Debug, Default, PartialEq, Record, FromJson)]
enum Behavior {
    #[default]
    #[json(name = "pv", alias = "click", alias = "1")]
    View,
    #[json(name = "buy")]
    Buy,
}

#[derive(Clone, Copy, Debug, PartialEq, Record, FromJson)]
enum Device {
    #[json(name = "pc")]
    Pc,
    #[json(other)]
    Other,
}

#[derive(Clone, Debug, PartialEq, Record, FromJson)]
struct Click {
    #[json(name = "userId", alias = "user_id")]
    user: CompactString,
    item: Option<i64>,
    #[json(default)]
    behavior: Behavior,
    device: Option<Device>,
    #[json(default)]
    r#type: String,
    #[json(time)]
    timestamp: i64,
}

/// An item without a time.
#[derive(Clone, Debug, PartialEq, Record, FromJson)]
struct Item {
    id: u32,
}

#[derive(Clone, Debug, PartialEq, Record, FromJson)]
struct Maybe {
    #[json(time)]
    at: Option<i64>,
}

const NOW: Time = 1_511_700_000_000;
const AT: Time = 1_511_658_000_000;

fn click(user: &str) -> Click {
    Click {
        user: user.into(),
        item: None,
        behavior: Behavior::View,
        device: None,
        r#type: String::new(),
        timestamp: AT,
    }
}

fn decoder<T: FromJson>() -> JsonDecoder<T> {
    JsonDecoder::new(&JsonOptions::default()).unwrap()
}

fn read(message: &str) -> Result<Click, String> {
    let decoded = decoder::<Click>().decode_message(message.as_bytes(), NOW);
    decoded.map(|(click, _)| click).map_err(|bad| bad.to_string())
}

#[test]
fn wanted_fields_are_read_in_any_order_and_others_are_skipped() {
    let all = r#"{"x":[{"userId":1}],"timestamp":"1511658000000","item":"17","type":"a\u00e9b","behavior":"buy",
        "userId":12345678901234567890,"device":"fridge","y":{"timestamp":[[]]}}"#;
    let wanted = Click {
        user: "12345678901234567890".into(),
        item: Some(17),
        behavior: Behavior::Buy,
        device: Some(Device::Other),
        r#type: "aéb".into(),
        timestamp: AT,
    };
    assert_eq!(read(all), Ok(wanted));
}

#[test]
fn missing_and_null_are_the_same_where_a_field_may_be_missing() {
    let plain = r#"{"user_id":"a","timestamp":1511658000000}"#;
    let nulls =
        r#"{"userId":"a","timestamp":1511658000000,"item":null,"behavior":null,"device":null,"type":null}"#;
    assert_eq!(read(plain), Ok(click("a")));
    assert_eq!(read(nulls), Ok(click("a")));
}

#[test]
fn white_space_is_allowed_wherever_json_allows_it() {
    assert_eq!(read(" \r\n{ \"userId\" :\t\"a\" , \"timestamp\" : 1511658000000 } \n"), Ok(click("a")));
    assert_eq!(read("{\"userId\": \"a\", \"timestamp\": 1511658000000}"), Ok(click("a")));
}

#[test]
fn a_byte_order_mark_is_skipped() {
    assert_eq!(read("\u{feff}{\"userId\": \"a\", \"timestamp\": 1511658000000}"), Ok(click("a")));
}

#[test]
fn keys_may_be_written_with_escapes() {
    assert_eq!(read(r#"{"user\u0049d":"a","time\u0073tamp":1511658000000,"\ud83d":1}"#), Ok(click("a")));
}

#[test]
fn every_refusal_names_the_field_and_the_byte() {
    for (message, refusal) in [
        ("", "an empty message, at byte 0"),
        ("  ", "the message is cut off, at byte 2"),
        ("[]", "wants an object: '{', has '[', at byte 0"),
        ("\u{feff}{}", "field userId: is missing"),
        ("\u{feff}", "an empty message, at byte 0"),
        ("1,2,3", "wants an object: '{', has '1', at byte 0; it looks like a line of CSV"),
        (
            "\0\0\0\0*{\"userId\":\"a\"}",
            "wants an object: '{', has the byte 0x00, at byte 0; it is in a schema registry's frame (schema id 42, JSON behind it)",
        ),
        (r#"{"user":"a", "ts" : 1}"#, "field userId: is missing; the message has user, ts"),
        ("{}", "field userId: is missing"),
        (r#"{"userId":null}"#, "field userId: is null, at byte 10"),
        (r#"{"userId":"a","timestamp":"#, "the message is cut off, at byte 26"),
        (r#"{"userId":"a","timestamp":1511658000000"#, "the message is cut off, at byte 39"),
        (
            r#"{"userId":"a","timestamp":1511658000000}}"#,
            "wants nothing behind the object, has '}', at byte 40",
        ),
        (
            r#"{"userId":"a","timestamp":1511658000000} {"#,
            "wants nothing behind the object, has '{', at byte 41; it is several objects",
        ),
        (
            r#""{\"userId\":\"a\"}""#,
            "wants an object: '{', has '\"', at byte 0; it is a JSON object within a JSON text",
        ),
        (r#"{"userId":"a",}"#, "wants a key in quotes, has '}', at byte 14"),
        (r#"{"userId" "a"}"#, "wants ':', has '\"', at byte 10"),
        (r#"{"userId":"a" "b":1}"#, "wants ',' or '}', has '\"', at byte 14"),
        (r#"{"x":[1 2]}"#, "wants ',' or ']', has '2', at byte 8"),
        (r#"{"x":{"y":1]}"#, "wants ',' or '}', has ']', at byte 11"),
        (r#"{"x":tru}"#, "wants a value, has '}', at byte 8"),
        (r#"{"x":01}"#, "wants ',' or '}', has '1', at byte 6"),
        (r#"{"x":1.}"#, "wants a digit, has '}', at byte 7"),
        (r#"{"x":-}"#, "wants a digit, has '}', at byte 6"),
        (r#"{"x":"\x"}"#, "wants one of \"\\/bfnrtu behind a backslash, has 'x', at byte 7"),
        (r#"{"x":"\u12g4"}"#, "wants four hexadecimal digits behind \\u, has 'g', at byte 10"),
        ("{\"x\":\"a\nb\"}", "wants a string without raw control characters, has the byte 0x0a, at byte 7"),
        (r#"{"userId":"a","user_id":"b"}"#, "field userId: given twice, at byte 14"),
        (r#"{"userId":{"id":1}}"#, "field userId: is missing"),
        (r#"{"userId":"a","item":1.5}"#, "field item: wants a whole number"),
        (
            r#"{"userId":"a","behavior":"cart"}"#,
            "field behavior: wants one of pv, buy, has \"cart\", at byte 26",
        ),
    ] {
        let seen = read(message).unwrap_err();
        let fits = seen.starts_with(refusal) || message.contains("{\"id\"");
        assert!(fits, "{message}: {seen}, not {refusal}");
    }
    let nested = read(r#"{"userId":{"id":1}}"#).unwrap_err();
    assert_eq!(nested, "field userId: wants text, has an object, at byte 10");
    let half = read(r#"{"userId":"\ud83d","timestamp":1}"#).unwrap_err();
    assert!(half.starts_with("field userId: \\u escapes with half a surrogate pair"), "{half}");
}

#[test]
fn what_is_not_utf_8_is_refused_wherever_it_is() {
    for key_or_value in [&b"{\"x\":\"ab\xff\"}"[..], b"{\"a\xc3\":1}", b"{\"x\":[{\"y\":\"\xed\xa0\x80\"}]}"]
    {
        let bad = decoder::<Maybe>().decode_message(key_or_value, NOW).unwrap_err();
        assert!(bad.to_string().starts_with("not UTF-8, at byte"), "{bad}");
    }
    let bad = decoder::<Maybe>().decode_message(b"{\"x\":\"ab\xff\"}", NOW).unwrap_err();
    assert_eq!(bad.position(), Some(8));
}

#[test]
fn nesting_is_limited_and_costs_no_stack() {
    for depth in [127, 128, 10_000, 1_000_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let value = format!("{}0{}", open.repeat(depth - 1), close.repeat(depth - 1));
            let seen = decoder::<Maybe>().decode_message(format!("{{\"x\":{value}}}").as_bytes(), NOW);
            if depth == 127 {
                assert_eq!(seen.unwrap().0, Maybe { at: None });
            } else {
                let bad = seen.unwrap_err().to_string();
                assert!(bad.starts_with("nested deeper than 127 levels, at byte"), "{bad}");
            }
        }
    }
    let open_only = "[".repeat(1_000_000);
    assert!(decoder::<Maybe>().decode_message(open_only.as_bytes(), NOW).is_err());
}

#[test]
fn a_message_of_5_mb_is_read() {
    let long = "é\\n".repeat(1 << 20);
    let message = format!(r#"{{"userId":"a","type":"{long}","junk":"{long}","timestamp":1511658000000}}"#);
    assert!(message.len() > 5 << 20);
    assert_eq!(read(&message).unwrap().r#type, long.replace("\\n", "\n"));
}

#[test]
fn times_are_read_in_the_declared_unit_and_must_be_plausible() {
    let with = |unit| {
        let options = JsonOptions { time_unit: unit, ..JsonOptions::default() };
        JsonDecoder::<Maybe>::new(&options).unwrap()
    };
    let read = |unit, time: &str| with(unit).decode_message(format!("{{\"at\":{time}}}").as_bytes(), NOW);
    assert_eq!(read(TimeUnit::Seconds, "1511658000"), Ok((Maybe { at: Some(AT) }, AT)));
    assert_eq!(read(TimeUnit::Iso8601, "\"2017-11-26T01:00:00Z\""), Ok((Maybe { at: Some(AT) }, AT)));
    assert_eq!(read(TimeUnit::Milliseconds, "null"), Ok((Maybe { at: None }, MIN_TIME)));
    let late = read(TimeUnit::Seconds, "2125000000").unwrap_err().to_string();
    assert_eq!(
        late,
        "field at: 2037-05-03T21:46:40Z is after the latest plausible time 2017-11-27T12:40:00Z (this host's clock plus max-ahead); \
         check time-unit, the sender's clock and this host's clock, at byte 6"
    );
    let early = read(TimeUnit::Seconds, "-2135000000").unwrap_err().to_string();
    assert!(
        early.contains("1902-05-07T08:26:40Z is before the earliest plausible time 2000-01-01"),
        "{early}"
    );
    let day = 86_400_000;
    assert!(read(TimeUnit::Milliseconds, &(NOW + day).to_string()).is_ok());
    assert!(read(TimeUnit::Milliseconds, &(NOW + day + 1).to_string()).is_err());
}

#[test]
fn keys_are_mapped_by_the_options() {
    let options = r#"{"fields": {"id": "item_id"}}"#;
    let mut decoder = JsonDecoder::<Item>::new(&serde_json::from_str(options).unwrap()).unwrap();
    assert_eq!(decoder.decode_message(br#"{"id":"x","item_id":7}"#, NOW), Ok((Item { id: 7 }, MIN_TIME)));
    let unknown = serde_json::from_str(r#"{"fields": {"ID": "x"}}"#).unwrap();
    let error = JsonDecoder::<Item>::new(&unknown).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[test]
fn a_batch_becomes_rows_with_event_times_and_dead_letters_in_order() {
    let mut batch = RawBatch::new("clicks-3".into());
    for (position, user) in ["a", "", "b", "c"].into_iter().enumerate() {
        let message = format!(r#"{{"userId":"{user}","timestamp":{}}}"#, AT + position as i64);
        // The second is cut off, and the third would complete it.
        let end = if user.is_empty() { message.len() / 2 } else { message.len() };
        batch.push(&message.as_bytes()[..end], position as i64, 0);
    }
    let (mut rows, mut letters) = (Rows::default(), Rows::default());
    let mut decoder: Box<dyn Decoder<Click>> = decoder::<Click>().fresh();
    decoder.decode(&batch, NOW, &mut rows, &mut Refused::new("clicks", &batch, NOW, &mut letters));
    let users: Vec<_> = rows.rec.iter().map(|click| click.user.as_str()).collect();
    assert_eq!(users, ["a", "b", "c"]);
    assert_eq!(rows.ts, [AT, AT + 2, AT + 3]);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters.rec[0].id, "clicks/clicks-3/1/decode");
    assert!(letters.rec[0].reason.starts_with("the message is cut off"), "{}", letters.rec[0].reason);
}

#[test]
fn more_keys_than_are_remembered_are_still_read() {
    let mut decoder = decoder::<Item>();
    for message in 0..200 {
        let junk: String = (0..20).map(|key| format!("\"k{message}_{key}\":{key},")).collect();
        let text = format!("{{{junk}\"id\":{message}}}");
        assert_eq!(decoder.decode_message(text.as_bytes(), NOW), Ok((Item { id: message }, MIN_TIME)));
    }
    // Shuffled for so long that guessing stops, and regular for so long that it starts again.
    for message in 0..20_000_u32 {
        let (first, second) = if message % 3 == 0 { ("b", "c") } else { ("c", "b") };
        let text = format!("{{\"{first}\":1,\"{second}\":\"x\",\"id\":{message},\"a\":null}}");
        assert_eq!(decoder.decode_message(text.as_bytes(), NOW), Ok((Item { id: message }, MIN_TIME)));
    }
}
