//! Ways in which a record can be broken.

use memchr::memmem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a record is broken. Only `null-user` is an event to a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BrokenKind {
    /// Its end is missing.
    Truncated,
    /// It has a byte that is no UTF-8.
    #[serde(rename = "not-utf8")]
    NotUtf8,
    /// `userId` is null: the event belongs to no user.
    NullUser,
    /// `timestamp` is a word.
    WrongType,
    /// It is no JSON at all.
    Garbage,
}

impl BrokenKind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Truncated, Self::NotUtf8, Self::NullUser, Self::WrongType, Self::Garbage];

    /// Appends `json`, broken; `place` is any number and chooses where.
    pub(crate) fn write(self, json: &[u8], place: u32, out: &mut Vec<u8>) {
        match self {
            Self::Truncated => truncate(json, place, out),
            Self::NotUtf8 => {
                let at = memmem::find(json, b":\"").map_or(json.len().min(1), |at| at + 2);
                out.extend([&json[..at], &[0xff], &json[at..]].concat());
            }
            Self::NullUser => replace(json, b"\"userId\":", b"null", place, out),
            Self::WrongType => replace(json, b"\"timestamp\":", b"\"yesterday\"", place, out),
            Self::Garbage => out.extend(format!("%garbage {place:08x}").bytes()),
        }
    }
}

// At least the first byte stays and at least the last one goes.
fn truncate(json: &[u8], place: u32, out: &mut Vec<u8>) {
    let most = json.len().saturating_sub(2).max(1);
    let kept = 1 + place as usize % most;
    out.extend(&json[..kept.min(json.len())]);
}

// Another value for the key; a record without it loses its end instead.
fn replace(json: &[u8], key: &[u8], value: &[u8], place: u32, out: &mut Vec<u8>) {
    let Some(start) = memmem::find(json, key).map(|at| at + key.len()) else {
        return truncate(json, place, out);
    };
    let length = value_length(&json[start..]);
    out.extend([&json[..start], value, &json[start + length..]].concat());
}

// Of a text, a number or a word.
fn value_length(json: &[u8]) -> usize {
    let spaces = json.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let value = &json[spaces..];
    if value.first() != Some(&b'"') {
        return spaces + value.iter().take_while(|byte| !matches!(byte, b',' | b'}' | b']')).count();
    }
    let mut escaped = false;
    let text = value[1..].iter().take_while(|byte| {
        let ends = **byte == b'"' && !escaped;
        escaped = **byte == b'\\' && !escaped;
        !ends
    });
    (spaces + 2 + text.count()).min(json.len())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const EVENT: &[u8] = br#"{"userId": "a\"b", "timestamp":5,"page":"home"}"#;

    fn broken(kind: BrokenKind, json: &[u8], place: u32) -> Vec<u8> {
        let mut out = Vec::new();
        kind.write(json, place, &mut out);
        out
    }

    #[test]
    fn each_kind_is_what_it_says() {
        for place in 0..100 {
            assert!(serde_json::from_slice::<Value>(&broken(BrokenKind::Truncated, EVENT, place)).is_err());
            assert!(serde_json::from_slice::<Value>(&broken(BrokenKind::Garbage, EVENT, place)).is_err());
            assert!(std::str::from_utf8(&broken(BrokenKind::NotUtf8, EVENT, place)).is_err());
        }
        let user: Value = serde_json::from_slice(&broken(BrokenKind::NullUser, EVENT, 0)).unwrap();
        assert_eq!(user, json!({"userId": null, "timestamp": 5, "page": "home"}));
        let time: Value = serde_json::from_slice(&broken(BrokenKind::WrongType, EVENT, 0)).unwrap();
        assert_eq!(time, json!({"userId": "a\"b", "timestamp": "yesterday", "page": "home"}));
    }

    #[test]
    fn other_lines_break_too() {
        for line in [&b"{}"[..], b"1,2", b"{\"userId\":\"", b"x"] {
            for kind in BrokenKind::ALL {
                let out = broken(kind, line, 3);
                assert!(!out.is_empty() && !out.contains(&b'\n'), "{kind:?} of {line:?}");
            }
        }
    }
}
