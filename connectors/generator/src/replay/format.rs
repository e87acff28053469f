//! What a recorded line says, as an event in JSON.

use std::borrow::Cow;

use serde::Deserialize;

use millstream_stage::time::Time;
use millstream_stage::time::iso8601::instant_or_utc;

use crate::encode::signed;

/// Makes an event of a recorded line.
pub trait Format: Send + Sync + 'static {
    /// Appends the event as JSON, on one line, and gives its time. A line that is no event is appended as it
    /// is and has no time: what is wrong with it is for the reader of the replay to find out.
    fn convert(&self, line: &[u8], out: &mut Vec<u8>) -> Option<Time>;
}

/// Lines `user,item,category,behavior,seconds` without a header, as published by Taobao.
#[derive(Clone, Copy, Debug, Default)]
pub struct TaobaoCsv;

impl Format for TaobaoCsv {
    fn convert(&self, line: &[u8], out: &mut Vec<u8>) -> Option<Time> {
        let event = taobao(line);
        let Some((texts, time)) = event else {
            out.extend(line);
            return None;
        };
        let names = ["{\"userId\":\"", "\",\"itemId\":\"", "\",\"categoryId\":\"", "\",\"behavior\":\""];
        for (name, text) in names.iter().zip(texts) {
            out.extend(name.bytes());
            out.extend(text.bytes());
        }
        out.extend(b"\",\"timestamp\":");
        signed(out, time);
        out.push(b'}');
        Some(time)
    }
}

// Ids and behaviours are plain words: nothing in them needs escaping.
fn taobao(line: &[u8]) -> Option<([&str; 4], Time)> {
    let line = std::str::from_utf8(line).ok()?;
    let mut fields = line.split(',').map(|field| unquoted(field.trim()));
    let mut next = || fields.next().filter(|field| !field.is_empty());
    let texts = [next()?, next()?, next()?, next()?];
    let seconds: Time = next()?.parse().ok()?;
    let plain =
        |text: &&str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let whole = fields.next().is_none() && texts.iter().all(plain);
    Some((texts, seconds.checked_mul(1000)?)).filter(|_| whole)
}

fn unquoted(field: &str) -> &str {
    let inner = field.strip_prefix('"').and_then(|field| field.strip_suffix('"'));
    inner.unwrap_or(field)
}

/// Lines of JSON, given as they are. Their time is in `timestamp` or `ts`: epoch milliseconds, however the
/// number is written, or a text such as `2017-11-26T01:00:00Z`.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonLines;

impl Format for JsonLines {
    fn convert(&self, line: &[u8], out: &mut Vec<u8>) -> Option<Time> {
        out.extend(line);
        let times: Times<'_> = serde_json::from_slice(line).ok()?;
        times.timestamp.or(times.ts)?.time()
    }
}

#[derive(Deserialize)]
struct Times<'a> {
    #[serde(borrow)]
    timestamp: Option<TimestampValue<'a>>,
    #[serde(borrow)]
    ts: Option<TimestampValue<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TimestampValue<'a> {
    Millis(Time),
    Number(f64),
    #[serde(borrow)]
    Text(Cow<'a, str>),
}

impl TimestampValue<'_> {
    fn time(self) -> Option<Time> {
        match self {
            Self::Millis(time) => Some(time),
            // Larger ones are times of no calendar.
            Self::Number(millis) => (millis.abs() < 1e15).then_some(millis.floor() as Time),
            Self::Text(text) => text.parse().ok().or_else(|| instant_or_utc(&text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(format: &impl Format, line: &str) -> (String, Option<Time>) {
        let mut out = Vec::new();
        let time = format.convert(line.as_bytes(), &mut out);
        (String::from_utf8(out).unwrap(), time)
    }

    #[test]
    fn a_csv_row_becomes_an_event() {
        let (json, time) = convert(&TaobaoCsv, "543462,1715,1464116,pv,1511658000");
        let expected = r#"{"userId":"543462","itemId":"1715","categoryId":"1464116","behavior":"pv","timestamp":1511658000000}"#;
        assert_eq!((json.as_str(), time), (expected, Some(1_511_658_000_000)));
        let quoted = convert(&TaobaoCsv, r#""543462","1715", "1464116","pv","1511658000""#);
        assert_eq!((quoted.0.as_str(), quoted.1), (expected, time));
    }

    #[test]
    fn what_is_no_event_stays_as_it_is() {
        let overflow = "1,2,3,pv,9223372036854775807";
        for line in [
            "",
            "1,2,3,pv",
            "1,2,3,pv,x",
            "1,2,3,pv,5,6",
            "1,,3,pv,5",
            "1,\"\",3,pv,5",
            "1,2,3,p\"v,5",
            overflow,
        ] {
            assert_eq!(convert(&TaobaoCsv, line), (line.to_owned(), None));
        }
        for line in ["{}", "", "{\"timestamp\":null}", "{\"timestamp\":\"soon\"}", "[1]"] {
            assert_eq!(convert(&JsonLines, line), (line.to_owned(), None));
        }
    }

    #[test]
    fn times_of_json_lines() {
        for line in [
            r#"{"timestamp": 1511658000000, "userId": {"a": 1}}"#,
            r#"{"timestamp": "1511658000000"}"#,
            r#"{"timestamp": 1511658000000.25}"#,
            r#"{"timestamp": 1.511658E12}"#,
            r#"{"ts": "2017-11-26T01:00:00"}"#,
            r#"{"ts": "2017-11-26T01:00:00\u005a"}"#,
            r#"{"ts": "2017-11-26T01:00:00Z"}"#,
            r#"{"ts": "2017-11-26T09:00:00+08:00"}"#,
        ] {
            assert_eq!(convert(&JsonLines, line), (line.to_owned(), Some(1_511_658_000_000)));
        }
    }
}
