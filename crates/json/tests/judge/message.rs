//! Random messages: objects with wanted and other keys in any order, written in any of the ways that JSON
//! allows; and damage to them.

use proptest::prelude::*;
use proptest::sample::{Index, select};

const WANTED: [&str; 8] = ["text", "id", "long", "octet", "byte", "double", "flag", "time"];
const SPACES: [&str; 6] = ["", "", "", " ", "\t ", "\r\n"];

/// A whole message.
pub(crate) fn message() -> impl Strategy<Value = Vec<u8>> {
    let pair = prop_oneof![
        3 => select(&WANTED[..]).prop_flat_map(|key| (Just(key.to_owned()), fitting(key))),
        1 => (select(&WANTED[..]).prop_map(str::to_owned), value()),
        2 => (text(), value()),
    ];
    let pair = (spaced(pair.prop_map(|(key, value)| (quoted(&key), value))), any::<bool>());
    (prop::collection::vec(pair, 0..9), ".{0,20}", any::<u32>()).prop_map(|(pairs, id, seed)| {
        let mut parts: Vec<_> = pairs.into_iter().map(|(pair, _)| pair).collect();
        if seed % 8 != 0 && !parts.iter().any(|part| part.trim_start().starts_with("\"text\"")) {
            parts.insert(seed as usize % (parts.len() + 1), format!("\"text\":{}", quoted(&id)));
        }
        let space = SPACES[seed as usize % SPACES.len()];
        format!("{space}{{{}}}{space}", parts.join(",")).into_bytes()
    })
}

fn spaced(pair: impl Strategy<Value = (String, String)>) -> impl Strategy<Value = String> {
    let spaces = prop::array::uniform4(select(&SPACES[..]));
    (pair, spaces).prop_map(|((key, value), [a, b, c, d])| format!("{a}{key}{b}:{c}{value}{d}"))
}

/// A value that the field may well accept.
fn fitting(key: &str) -> BoxedStrategy<String> {
    match key {
        "text" | "id" => {
            prop_oneof![escaped(), "[0-9]{1,20}".prop_map(|digits| quoted(&digits)), number()].boxed()
        }
        "flag" => select(&["true", "false", "\"true\"", "null"][..]).prop_map(str::to_owned).boxed(),
        "time" => (946_684_700_000_i64..1_511_900_000_000).prop_map(|time| time.to_string()).boxed(),
        _ => prop_oneof![number(), number().prop_map(|number| format!("\"{number}\"")), "[0-9]{1,3}"].boxed(),
    }
}

fn value() -> impl Strategy<Value = String> {
    let leaf =
        prop_oneof![select(&["null", "true", "false"][..]).prop_map(str::to_owned), number(), escaped(),];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let space = select(&SPACES[..]);
        let pair = spaced((text().prop_map(|key| quoted(&key)), inner.clone()));
        prop_oneof![
            (prop::collection::vec(inner, 0..4), space.clone())
                .prop_map(|(items, space)| format!("[{space}{}]", items.join(&format!(",{space}")))),
            (prop::collection::vec(pair, 0..4), space)
                .prop_map(|(pairs, space)| format!("{{{space}{}}}", pairs.join(","))),
        ]
    })
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u8>().prop_map(|number| number.to_string()),
        "-?(0|[1-9][0-9]{0,8})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?",
        any::<f64>()
            .prop_filter("JSON has finite numbers", |number| number.is_finite())
            .prop_map(|n| n.to_string()),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,20}", "[a-zA-Z0-9 _/\"\\\\é€🛒\\n]{0,40}", any::<String>()]
}

/// A string with any of its characters written as escapes.
fn escaped() -> impl Strategy<Value = String> {
    (text(), any::<u64>()).prop_map(|(text, mask)| {
        let characters = text.chars().enumerate().map(|(index, character)| {
            if mask >> (index % 64) & 1 == 1 && mask % 3 == 0 { escape(character) } else { plain(character) }
        });
        format!("\"{}\"", characters.collect::<String>())
    })
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.chars().map(plain).collect::<String>())
}

fn plain(character: char) -> String {
    match character {
        '"' => "\\\"".into(),
        '\\' => "\\\\".into(),
        '\n' => "\\n".into(),
        '\0'..' ' => escape(character),
        other => other.into(),
    }
}

fn escape(character: char) -> String {
    character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}")).collect()
}

/// One change to a message.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    CutOff(Index),
    Flip(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Repeat(Index, Index),
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let byte = prop_oneof![select(&b"{}[]\",:\\u0.eE-+ tn\x00\x1f\x7f\xc3\xa9\xff"[..]), any::<u8>()];
    prop_oneof![
        any::<Index>().prop_map(Damage::CutOff),
        (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, 1 << bit)),
        (any::<Index>(), byte).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        any::<Index>().prop_map(Damage::Remove),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Repeat(from, to)),
    ]
}

impl Damage {
    pub(crate) fn to(&self, mut message: Vec<u8>) -> Vec<u8> {
        if message.is_empty() {
            return message;
        }
        let length = message.len();
        match self {
            Self::CutOff(at) => message.truncate(at.index(length)),
            Self::Flip(at, bit) => message[at.index(length)] ^= bit,
            Self::Insert(at, byte) => message.insert(at.index(length + 1), *byte),
            Self::Remove(at) => {
                message.remove(at.index(length));
            }
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(length), to.index(length));
                message.extend_from_within(from.min(to)..from.max(to));
            }
        }
        message
    }
}
