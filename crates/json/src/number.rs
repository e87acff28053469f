//! Exact numbers from their text: whole numbers as they are, times down to the millisecond.

/// A run of up to 16 digits without a leading zero: the common number.
#[inline]
pub(crate) fn small(text: &str) -> Option<i64> {
    let digits = text.as_bytes();
    match digits {
        [b'0', _, ..] => None,
        [first @ .., _, _, _, _, _, _, _, _] if first.len() <= 8 => wide(digits),
        _ if digits.len() < 8 => narrow(digits),
        _ => None,
    }
}

/// Up to 7 digits, one by one.
#[inline]
fn narrow(digits: &[u8]) -> Option<i64> {
    let mut value = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    (!digits.is_empty()).then_some(value)
}

/// 8 to 16 digits: the first 8, and the last 8 without those that are among the first.
#[inline]
fn wide(digits: &[u8]) -> Option<i64> {
    const POWERS: [i64; 9] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
    let first = u64::from_le_bytes(*digits.first_chunk()?);
    let last = u64::from_le_bytes(*digits.last_chunk()?);
    let more = digits.len() - 8;
    let (first, last) = (eight(first)?, eight(last)?);
    // Of the last 8 as a number, the digits that both have are the upper ones.
    let fresh = last % POWERS[more];
    Some(first * POWERS[more] + fresh)
}

/// The number that 8 digits are, the first in the lowest byte.
#[inline]
fn eight(digits: u64) -> Option<i64> {
    const ALL: u64 = 0x0101_0101_0101_0101;
    let values = digits.wrapping_sub(ALL * 0x30);
    // A byte that is no digit has its top bit set before or after 118 is added; a borrow comes from such a
    // byte alone.
    if (values | values.wrapping_add(ALL * 0x76)) & (ALL * 0x80) != 0 {
        return None;
    }
    let pairs = (values * 10 + (values >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some(((fours * 10_000 + (fours >> 32)) & 0xffff_ffff) as i64)
}

/// A number by the grammar of JSON: `mantissa * 10^exponent`, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    mantissa: i128,
    exponent: i32,
}

/// Digits that a mantissa has room for.
const MOST_DIGITS: u32 = 38;

impl Decimal {
    /// `None` for what is no JSON number, or has more than 38 digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (number, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, parse_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (number, ""),
        };
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if whole.is_empty() || leading_zero || whole.len() + fraction.len() > MOST_DIGITS as usize {
            return None;
        }
        let mantissa = whole.bytes().chain(fraction.bytes()).try_fold(0_i128, |value, digit| {
            digit.is_ascii_digit().then(|| value * 10 + i128::from(digit - b'0'))
        })?;
        let mantissa = if unsigned.len() < text.len() { -mantissa } else { mantissa };
        Some(Self { mantissa, exponent: exponent - fraction.len() as i32 })
    }

    /// The whole number that this is, if it is one: `1.50e2` is 150.
    pub(crate) fn whole(self) -> Option<i128> {
        let (value, rest) = self.split()?;
        (rest == 0).then_some(value)
    }

    /// The largest whole number that is not above this, after a shift of the decimal point to the right.
    pub(crate) fn floor_shifted(mut self, digits: i32) -> Option<i128> {
        self.exponent += digits;
        self.split().map(|(value, _)| value)
    }

    /// Whole part (rounded down) and whether there is more.
    fn split(self) -> Option<(i128, i128)> {
        let power = 10_i128.checked_pow(self.exponent.unsigned_abs().min(MOST_DIGITS + 1));
        match (self.mantissa, power) {
            (0, _) => Some((0, 0)),
            (_, Some(power)) if self.exponent >= 0 => Some((self.mantissa.checked_mul(power)?, 0)),
            (_, Some(power)) => Some((self.mantissa.div_euclid(power), self.mantissa.rem_euclid(power))),
            (_, None) if self.exponent > 0 => None,
            // Less than one unit: 0 or -1, and something is left.
            (mantissa, None) => Some((mantissa.signum().min(0), 1)),
        }
    }
}

// The exponent, capped at a value far beyond every number that fits.
fn parse_exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value = digits.parse::<i32>().map_or(100_000, |value| value.min(100_000));
    Some(if text.starts_with('-') { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Option<i128> {
        Decimal::parse(text).and_then(Decimal::whole)
    }

    #[test]
    fn whole_numbers_are_exact_however_they_are_written() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("1.50e2", 150),
            ("12000e-3", 12),
            ("-7.0", -7),
            ("0e999999999999", 0),
            ("18446744073709551615", i128::from(u64::MAX)),
            ("-9223372036854775808", i128::from(i64::MIN)),
        ] {
            assert_eq!(whole(text), Some(value), "{text}");
        }
    }

    #[test]
    fn fractions_and_what_is_too_large_are_no_whole_numbers() {
        for text in ["1.5", "1e-1", "1e-99999999", "-0.001", "1e39", "1e999999999999"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    #[test]
    fn what_json_does_not_call_a_number_is_none() {
        for text in [
            "", "-", "+1", "01", "1.", ".5", "1e", "1e+", "1e1.5", " 1", "1 ", "0x1", "--1", "NaN", "1_0",
            "٣",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
            assert_eq!(small(text), None, "{text}");
        }
    }

    #[test]
    fn seconds_become_milliseconds_rounded_down() {
        for (text, millis) in [
            ("1511658000", 1_511_658_000_000),
            ("1511658000.123456789", 1_511_658_000_123),
            ("1.511658000999999E9", 1_511_658_000_999),
            ("-0.0001", -1),
            ("1e-40", 0),
        ] {
            assert_eq!(
                Decimal::parse(text).and_then(|number| number.floor_shifted(3)),
                Some(millis),
                "{text}"
            );
        }
    }

    #[test]
    fn small_numbers_have_up_to_16_digits_and_nothing_else() {
        for length in 1..=20 {
            let number = "9876543210123456789012"[..length].to_owned();
            assert_eq!(small(&number), number.parse().ok().filter(|_| length <= 16), "{number}");
            for (index, other) in
                (0..length).flat_map(|index| ["/", ":", " ", "\0", "-"].map(|other| (index, other)))
            {
                let mut spoilt = number.clone();
                spoilt.replace_range(index..=index, other);
                assert_eq!(small(&spoilt), None, "{spoilt}");
            }
        }
        assert_eq!((small("0"), small("-1")), (Some(0), None));
    }
}
