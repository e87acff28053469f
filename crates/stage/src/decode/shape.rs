//! What a message looks like that is not what its decoder expects: the first bytes tell the usual mistakes
//! apart.

use std::fmt;

/// The bytes with which UTF-8 text may begin; they are no part of it.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a message looks like; it prints as a sentence with advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Two bytes per character.
    Utf16,
    /// The frame of a schema registry's serializers: a zero byte, the schema's id in 4 bytes, the value.
    RegistryFrame {
        /// The schema's id in the registry.
        schema_id: u32,
        /// Whether the value is a JSON object; else it is most likely Avro or Protobuf.
        json: bool,
    },
    /// Packed by gzip.
    Gzip,
    /// A JSON object.
    Json,
    /// A JSON array, or one of the lines of one.
    JsonArray,
    /// A JSON object that was encoded once more, as a text.
    JsonInText,
    /// Values with separators between them.
    Csv,
    /// Several lines that end in carriage returns alone.
    CarriageReturns,
}

impl Shape {
    /// What these bytes look like, if they look like anything known.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        match text {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some(Self::Utf16),
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            _ if is_wide(text) => Some(Self::Utf16),
            // Ids count from 1.
            [0, a, b, c, d, value @ ..] if !value.is_empty() && [*a, *b, *c, *d] != [0; 4] => {
                let schema_id = u32::from_be_bytes([*a, *b, *c, *d]);
                Some(Self::RegistryFrame { schema_id, json: is_object(value) })
            }
            _ if has_bare_returns(text) => Some(Self::CarriageReturns),
            _ if is_of_an_array(text) => Some(Self::JsonArray),
            _ if is_object(text) => Some(Self::Json),
            _ if is_quoted_object(text) => Some(Self::JsonInText),
            _ if is_separated(text) => Some(Self::Csv),
            _ => None,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utf16 => f.write_str("it is UTF-16 text: convert it to UTF-8"),
            Self::RegistryFrame { schema_id, json } => write!(
                f,
                "it is in a schema registry's frame (schema id {schema_id}, {} behind it): have its producer write without the registry's \
                 serializer, or convert the topic",
                if *json { "JSON" } else { "Avro or Protobuf" }
            ),
            Self::Gzip => f.write_str(
                "it is packed by gzip: unpack it, or let its producer use the topic's own compression",
            ),
            Self::JsonArray => {
                f.write_str("it is an array, or a part of one: write one object per line (jq -c '.[]')")
            }
            Self::Json => f.write_str("it is a JSON object: check the source's format"),
            Self::JsonInText => f.write_str(
                "it is a JSON object within a JSON text: have its producer encode it once, and not twice",
            ),
            Self::CarriageReturns => f.write_str(
                "its lines end in carriage returns alone: convert them to line feeds (tr '\\r' '\\n')",
            ),
            Self::Csv => f.write_str("it looks like a line of CSV: check the source's format"),
        }
    }
}

// Characters of ASCII as two bytes each, in either order.
fn is_wide(text: &[u8]) -> bool {
    let Some(start) = text.first_chunk::<4>() else { return false };
    matches!(start, [1..=0x7f, 0, 1..=0x7f, 0] | [0, 1..=0x7f, 0, 1..=0x7f])
}

// A last one is the rest of a line's end.
fn has_bare_returns(text: &[u8]) -> bool {
    text.trim_ascii_end().windows(2).any(|pair| pair[0] == b'\r' && pair[1] != b'\n')
}

fn is_of_an_array(text: &[u8]) -> bool {
    text.trim_ascii_start().first() == Some(&b'[')
        || is_object(text) && text.trim_ascii_end().ends_with(b"},")
}

fn is_object(text: &[u8]) -> bool {
    text.trim_ascii_start().first() == Some(&b'{')
}

fn is_quoted_object(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    text.starts_with(b"\"{") && text.ends_with(b"}\"") && text.windows(2).any(|pair| pair == b"\\\"")
}

fn is_separated(text: &[u8]) -> bool {
    let start = &text[..text.len().min(1000)];
    let is_text = start.iter().all(|byte| *byte >= b' ' || *byte == b'\t');
    let separators = |separator| start.iter().filter(|byte| **byte == separator).count();
    is_text && b",;\t|".iter().any(|separator| separators(*separator) >= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_mistakes_are_told_apart() {
        let utf16 = |bom: bool, text: &str| {
            let units = bom.then_some(0xfeff).into_iter().chain(text.encode_utf16());
            units.flat_map(u16::to_le_bytes).collect::<Vec<_>>()
        };
        let frame = |json| Some(Shape::RegistryFrame { schema_id: 42, json });
        for (bytes, shape) in [
            (utf16(true, "{\"a\":1}"), Some(Shape::Utf16)),
            (utf16(false, "{\"a\":1}"), Some(Shape::Utf16)),
            (utf16(true, "é"), Some(Shape::Utf16)),
            (b"\0{\0}".to_vec(), Some(Shape::Utf16)),
            (b"\0\0\0\0\x2a{}".to_vec(), frame(true)),
            (b"\0\0\0\0\x2a\x04u1\x02i".to_vec(), frame(false)),
            (b"\0\0\0\0\x2a".to_vec(), None),
            (b"\x1f\x8b\x08\0".to_vec(), Some(Shape::Gzip)),
            (b" {\"a\": [1,2,3]}".to_vec(), Some(Shape::Json)),
            (b"\xef\xbb\xbf{}".to_vec(), Some(Shape::Json)),
            (b"1,2,3,pv,1764000000".to_vec(), Some(Shape::Csv)),
            (b"1\t2\t3".to_vec(), Some(Shape::Csv)),
            (br#""{\"a\":1,\"b\":2,\"c\":3}""#.to_vec(), Some(Shape::JsonInText)),
            (b"{\"a\":1}\r{\"a\":2}\r".to_vec(), Some(Shape::CarriageReturns)),
            (b"{\"a\":1,\r\n\"b\":2}\r".to_vec(), Some(Shape::Json)),
            (b"[1,2,3]".to_vec(), Some(Shape::JsonArray)),
            (b"{\"a\":1},\r".to_vec(), Some(Shape::JsonArray)),
            (vec![0; 100], None),
            (b"not json, at all".to_vec(), None),
            (b"".to_vec(), None),
        ] {
            assert_eq!(Shape::of(&bytes), shape, "{bytes:?}");
        }
    }

    #[test]
    fn a_frame_says_its_schema() {
        let says = Shape::of(b"\0\0\0\x01\0{}").unwrap().to_string();
        assert!(says.contains("schema registry's frame (schema id 256, JSON behind it)"), "{says}");
    }
}
