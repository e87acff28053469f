//! The common values, without a branch for anything else.

use crate::cursor::{Kind, Slot};
use crate::scan::{ascii_stops, digit_stops, lanes};

/// The common values, with a comma or a closing brace right behind them: a string of up to 16 bytes of ASCII
/// without escapes, a number without sign and exponent whose digits are 16 at most on either side of the
/// point. Answers where the comma or brace is, which may be behind the end of the message: the caller must
/// look.
///
/// `at` may be 30 bytes behind the end of the message: no more than 34 bytes from there on are looked at.
#[inline(always)]
pub(crate) fn quick_value(data: &[u8], at: usize) -> Option<(Slot, usize)> {
    let (kind, start, end, behind) = if data[at] == b'"' {
        let start = at + 1;
        let end = start + ascii_stops(lanes(data, start)).trailing_zeros() as usize;
        if data[end] != b'"' {
            return None;
        }
        (Kind::Text, start, end, end + 1)
    } else {
        let end = quick_number(data, at)?;
        (Kind::Number, at, end, end)
    };
    let slot = Slot { kind, start: start as u32, end: end as u32 };
    matches!(data[behind], b',' | b'}').then_some((slot, behind))
}

#[inline(always)]
fn quick_number(data: &[u8], at: usize) -> Option<usize> {
    let whole = digit_stops(lanes(data, at)).trailing_zeros() as usize;
    if whole == 0 || (data[at] == b'0' && whole > 1) {
        return None;
    }
    let end = at + whole;
    if data[end] != b'.' {
        return Some(end);
    }
    let fraction = digit_stops(lanes(data, end + 1)).trailing_zeros() as usize;
    (fraction > 0).then_some(end + 1 + fraction)
}
