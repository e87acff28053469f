//! What a field makes of its value.

use std::borrow::Cow;

use compact_str::CompactString;

use crate::number::{Decimal, small};

/// A value that a message has for a field. `null` is none: it counts as missing.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// `true` or `false`.
    Bool(bool),
    /// A number's text as it came.
    Number(&'a str),
    /// A string, its escapes resolved.
    Text(Cow<'a, str>),
    /// An object or an array, as it came.
    Nested(&'a str),
}

/// A type that a field of a record can have.
pub trait FromValue: Sized {
    /// The field's value from the message's.
    ///
    /// # Errors
    /// The reason, which [`unfit`] can put into words.
    fn from_value(value: Value<'_>) -> Result<Self, String>;

    /// What stands for a missing or `null` value. By default there is nothing: the field is required.
    fn missing() -> Option<Self> {
        None
    }
}

/// `wants ..., has ...`: a reason why a value cannot be used.
#[cold]
pub fn unfit(wanted: &str, value: &Value<'_>) -> String {
    let has = match value {
        Value::Bool(value) => value.to_string(),
        Value::Number(text) => shortened(text),
        Value::Text(text) => format!("{:?}", shortened(text)),
        Value::Nested(text) if text.starts_with('{') => "an object".into(),
        Value::Nested(_) => "an array".into(),
    };
    format!("wants {wanted}, has {has}")
}

const SHOWN: usize = 40;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A missing or `null` value is `None`.
impl<T: FromValue> FromValue for Option<T> {
    #[inline]
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        T::from_value(value).map(Some)
    }
    fn missing() -> Option<Self> {
        Some(None)
    }
}

/// Strings, and numbers: ids may be `123` or `"123"`. Whole numbers are one text however they are written
/// (`42`, `42.0` and `4.2e1` are `"42"`), others stay as they came.
impl FromValue for CompactString {
    #[inline]
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        match value {
            Value::Text(text) => Ok(text.as_ref().into()),
            Value::Number(text) => Ok(as_text(text).as_ref().into()),
            Value::Bool(_) | Value::Nested(_) => Err(unfit("text", &value)),
        }
    }
}

/// Strings, and numbers, as for [`CompactString`].
impl FromValue for String {
    #[inline]
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        match value {
            Value::Text(text) => Ok(text.into_owned()),
            Value::Number(text) => Ok(as_text(text).into_owned()),
            Value::Bool(_) | Value::Nested(_) => Err(unfit("text", &value)),
        }
    }
}

// Producers that keep numbers as doubles write an id of 42 as 42.0.
#[inline]
fn as_text(number: &str) -> Cow<'_, str> {
    if number.bytes().all(|byte| byte.is_ascii_digit()) {
        Cow::Borrowed(number)
    } else {
        whole_as_text(number)
    }
}

#[cold]
fn whole_as_text(number: &str) -> Cow<'_, str> {
    let whole = Decimal::parse(number).and_then(Decimal::whole);
    whole.map_or(Cow::Borrowed(number), |whole| Cow::Owned(whole.to_string()))
}

/// `true` and `false`, also as strings.
impl FromValue for bool {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        match &value {
            Value::Bool(value) => Ok(*value),
            Value::Text(text) if text == "true" => Ok(true),
            Value::Text(text) if text == "false" => Ok(false),
            Value::Text(_) | Value::Number(_) | Value::Nested(_) => Err(unfit("true or false", &value)),
        }
    }
}

fn number<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    match value {
        Value::Number(text) => Some(text),
        Value::Text(text) => Some(text),
        Value::Bool(_) | Value::Nested(_) => None,
    }
}

macro_rules! whole {
    ($($number:ty),*) => {$(
        /// Numbers, also as strings, that are whole and in range however they are written (`1.5e1` is 15).
        impl FromValue for $number {
            #[inline]
            fn from_value(value: Value<'_>) -> Result<Self, String> {
                let text = number(&value);
                if let Some(Ok(number)) = text.and_then(small).map(Self::try_from) {
                    return Ok(number);
                }
                let whole = text.and_then(Decimal::parse).and_then(Decimal::whole);
                whole.and_then(|number| number.try_into().ok()).ok_or_else(|| {
                    unfit(&format!("a whole number from {} to {}", Self::MIN, Self::MAX), &value)
                })
            }
        }
    )*};
}
whole!(i64, i32, u64, u32, u16, u8);

/// Numbers, also as strings, in the range of a double, which rounds them as usual.
impl FromValue for f64 {
    fn from_value(value: Value<'_>) -> Result<Self, String> {
        // A number has passed the grammar already; a string may hold anything.
        let text = match &value {
            Value::Number(text) => Some(*text),
            Value::Text(text) => Some(text.as_ref()).filter(|text| is_number(text)),
            Value::Bool(_) | Value::Nested(_) => None,
        };
        let number = text.and_then(|text| text.parse().ok()).filter(|number: &Self| number.is_finite());
        number.ok_or_else(|| unfit("a number", &value))
    }
}

// Rust's own grammar has JSON's and more: signs, dots at the ends, leading zeros, infinity and NaN.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let leading_zero = matches!(digits, [b'0', b'0'..=b'9', ..]);
    let dots = digits.windows(2).any(|pair| pair[0] == b'.' && !pair[1].is_ascii_digit());
    digits.first().is_some_and(u8::is_ascii_digit) && !leading_zero && !dots && digits.last() != Some(&b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<T: FromValue>(text: &str) -> Result<T, String> {
        T::from_value(Value::Text(text.into()))
    }

    #[test]
    fn numbers_come_as_numbers_or_as_strings_where_nothing_is_lost() {
        assert_eq!(text("42"), Ok(42_i64));
        assert_eq!(i64::from_value(Value::Number("-9223372036854775808")), Ok(i64::MIN));
        assert_eq!(u64::from_value(Value::Number("18446744073709551615")), Ok(u64::MAX));
        assert_eq!(i32::from_value(Value::Number("4.2e1")), Ok(42));
        assert_eq!(text("1.25"), Ok(1.25));
        assert_eq!(f64::from_value(Value::Number("-1e3")), Ok(-1000.0));
        assert_eq!(text::<u8>("256"), Err("wants a whole number from 0 to 255, has \"256\"".into()));
        for number in ["", "1.5", "007", "+1", "9223372036854775808", "abc", " 1"] {
            assert!(text::<i64>(number).is_err(), "{number}");
        }
        for number in ["", "1.", ".5", "00.5", "+1", "inf", "NaN", "1e999", "1.e5", " 1", "-"] {
            assert!(text::<f64>(number).is_err(), "{number}");
        }
    }

    #[test]
    fn whole_numbers_are_one_text_however_they_are_written_and_others_stay_as_they_came() {
        for (number, text) in [
            ("42", "42"),
            ("42.0", "42"),
            ("4.2e1", "42"),
            ("-7.00", "-7"),
            ("-0", "0"),
            ("0e1", "0"),
            ("1e20", "100000000000000000000"),
            ("1.50", "1.50"),
            ("1e999", "1e999"),
            (
                "123456789012345678901234567890123456789012345",
                "123456789012345678901234567890123456789012345",
            ),
        ] {
            assert_eq!(CompactString::from_value(Value::Number(number)), Ok(text.into()), "{number}");
            assert_eq!(String::from_value(Value::Number(number)), Ok(text.into()), "{number}");
        }
        assert_eq!(text::<String>("42.0"), Ok("42.0".into()), "a string is what it is");
    }

    #[test]
    fn text_refuses_what_is_neither_text_nor_number() {
        assert_eq!(String::from_value(Value::Nested("{}")), Err("wants text, has an object".into()));
        assert_eq!(CompactString::from_value(Value::Bool(true)), Err("wants text, has true".into()));
    }

    #[test]
    fn truth_is_a_word() {
        assert_eq!((text("true"), bool::from_value(Value::Bool(false))), (Ok(true), Ok(false)));
        assert!(text::<bool>("True").is_err());
        assert!(bool::from_value(Value::Number("1")).is_err());
    }

    #[test]
    fn long_values_are_shortened_in_reasons() {
        let reason = text::<i64>(&"é".repeat(100)).unwrap_err();
        assert!(reason.ends_with(&format!("{}…\"", "é".repeat(SHOWN))), "{reason}");
    }
}
