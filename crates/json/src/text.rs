//! Strings with escapes.

/// The text of a string whose escapes are well formed, as the cursor left it; it must be UTF-8.
///
/// # Errors
/// The reason: half a surrogate pair stands for no character.
pub(crate) fn unescape(escaped: &[u8]) -> Result<String, &'static str> {
    let mut text = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        text.extend_from_slice(&rest[..at]);
        rest = one(&rest[at + 1..], &mut text)?;
    }
    text.extend_from_slice(rest);
    String::from_utf8(text).map_err(|_| "not UTF-8")
}

const HALF: &str = "\\u escapes with half a surrogate pair, which is no character";

/// Appends what an escape stands for; answers what follows it.
fn one<'a>(escape: &'a [u8], text: &mut Vec<u8>) -> Result<&'a [u8], &'static str> {
    let (kind, rest) = escape.split_first().ok_or(HALF)?;
    let byte = match kind {
        b'u' => return unicode(rest, text),
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        itself => *itself,
    };
    text.push(byte);
    Ok(rest)
}

fn unicode<'a>(escape: &'a [u8], text: &mut Vec<u8>) -> Result<&'a [u8], &'static str> {
    let (first, rest) = hex(escape).ok_or(HALF)?;
    let (code, rest) = match first {
        0xd800..0xdc00 => {
            let (second, rest) = rest.strip_prefix(b"\\u").and_then(hex).ok_or(HALF)?;
            let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400).ok_or(HALF)?;
            (0x1_0000 + ((first - 0xd800) << 10) + low, rest)
        }
        code => (code, rest),
    };
    let character = char::from_u32(code).ok_or(HALF)?;
    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(rest)
}

fn hex(digits: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = digits.split_at_checked(4)?;
    let code = digits.iter().try_fold(0, |code, digit| Some(code << 4 | char::from(*digit).to_digit(16)?))?;
    Some((code, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_escape_is_what_it_stands_for() {
        let text = unescape(br#"a\"\\\/\b\f\n\r\t\u00e9\u20AC\ud83d\uded2z"#).unwrap();
        assert_eq!(text, "a\"\\/\u{8}\u{c}\n\r\té€\u{1f6d2}z");
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text() {
        for escaped in [r"\ud83d", r"\ud83dx", r"\ud83d\n", r"\ud83d\u0041", r"\uded2", r"\ud83d\ud83d"] {
            assert_eq!(unescape(escaped.as_bytes()), Err(HALF), "{escaped}");
        }
    }
}
