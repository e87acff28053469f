//! What should come out, by `serde_json` and the plain rules of the crate's documentation.

use std::fmt;

use serde_json::value::RawValue;
use serde_json::{Number, from_str};

use super::{Everything, NOW};

/// The record that the message should become, or `None` in it where it should be refused. No answer where the
/// judge has other rules than we: half surrogate pairs in keys, and long numbers with a fraction or an
/// exponent, which it rounds.
pub(crate) fn reference(message: &[u8]) -> Option<Option<Everything>> {
    let Ok(text) = std::str::from_utf8(message) else { return Some(None) };
    if text.to_lowercase().contains("\\ud") && from_str::<Pairs>(text).is_err() {
        return None;
    }
    let Ok(Pairs(pairs)) = from_str::<Pairs>(text) else { return Some(None) };
    let fields = Fields { pairs };
    match fields.record() {
        Ok(record) => Some(Some(record)),
        Err(Rejection::Refused) => Some(None),
        Err(Rejection::Unjudged) => None,
    }
}

enum Rejection {
    Refused,
    Unjudged,
}

use Rejection::{Refused, Unjudged};

/// All keys and values of an object in order, the values as they came.
struct Pairs(Vec<(String, Box<RawValue>)>);

impl<'de> serde::Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

struct Fields {
    pairs: Vec<(String, Box<RawValue>)>,
}

impl Fields {
    fn record(&self) -> Result<Everything, Rejection> {
        // Everything is looked at before the verdict: what cannot be judged may hide behind what is refused.
        let (text, id) = (self.name(&["text"]), self.name(&["id"]));
        let (long, octet) = (self.whole(&["long"]), self.whole(&["octet", "byte"]));
        let (double, flag, time) = (self.double(), self.flag(), self.whole(&["time"]));
        let record = Everything {
            text: text?.ok_or(Refused)?,
            id: id?.map(Into::into),
            long: long?.map(i64::try_from).transpose().map_err(|_| Refused)?,
            octet: octet?.map(u8::try_from).transpose().map_err(|_| Refused)?,
            double: double?,
            flag: flag?,
            time: time?.map(i64::try_from).transpose().map_err(|_| Refused)?,
        };
        let plausible = 946_684_800_000..=NOW + 86_400_000;
        if record.time.is_some_and(|time| !plausible.contains(&time)) { Err(Refused) } else { Ok(record) }
    }

    /// The only value of the field, if it is not null.
    fn one(&self, keys: &[&str]) -> Result<Option<&str>, Rejection> {
        let mut values = self.pairs.iter().filter(|(key, _)| keys.contains(&key.as_str()));
        let first = values.next().map(|(_, value)| value.get());
        if values.next().is_some() { Err(Refused) } else { Ok(first.filter(|value| *value != "null")) }
    }

    /// A text, or a number as a text.
    fn name(&self, keys: &[&str]) -> Result<Option<String>, Rejection> {
        let is_text = self.one(keys)?.is_some_and(|value| value.starts_with('"'));
        match self.text(keys)? {
            Some(number) if !is_text => plain(number).map(Some),
            text => Ok(text),
        }
    }

    fn text(&self, keys: &[&str]) -> Result<Option<String>, Rejection> {
        let Some(value) = self.one(keys)? else { return Ok(None) };
        match value.as_bytes()[0] {
            b'"' => from_str(value).map(Some).map_err(|_| Refused),
            b'-' | b'0'..=b'9' => Ok(Some(value.to_owned())),
            _ => Err(Refused),
        }
    }

    /// A number, or a string that holds one.
    fn number(&self, keys: &[&str]) -> Result<Option<String>, Rejection> {
        let Some(text) = self.text(keys)? else { return Ok(None) };
        let is_number = !text.contains(char::is_whitespace)
            && (from_str::<Number>(&text).is_ok()
                || from_str::<Box<RawValue>>(&text)
                    .is_ok_and(|_| !text.starts_with(['"', '[', '{', 't', 'f', 'n'])));
        if is_number { Ok(Some(text)) } else { Err(Refused) }
    }

    fn whole(&self, keys: &[&str]) -> Result<Option<i128>, Rejection> {
        let Some(text) = self.number(keys)? else { return Ok(None) };
        if let Ok(number) = text.parse::<i128>() {
            return Ok(Some(number));
        }
        let digits = text.chars().take_while(|c| !"eE".contains(*c)).filter(char::is_ascii_digit).count();
        let number = text.parse::<f64>().map_err(|_| Refused)?;
        let time = keys == ["time"];
        if digits > 15 || number.abs() > 9e15 || (number != 0.0 && number.abs() < 1e-300) {
            return Err(Unjudged);
        }
        if number.fract() != 0.0 && !time {
            return Err(Refused);
        }
        Ok(Some(number.floor() as i128))
    }

    fn double(&self) -> Result<Option<f64>, Rejection> {
        let Some(text) = self.number(&["double"])? else { return Ok(None) };
        text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Some).ok_or(Refused)
    }

    fn flag(&self) -> Result<bool, Rejection> {
        match self.one(&["flag"])? {
            None => Ok(false),
            Some(value) => match from_str::<serde_json::Value>(value).map_err(|_| Refused)? {
                serde_json::Value::Bool(flag) => Ok(flag),
                serde_json::Value::String(text) => text.parse().map_err(|_| Refused),
                _ => Err(Refused),
            },
        }
    }
}

/// A whole number in digits alone, as far as a double can tell; any other as it came.
fn plain(number: String) -> Result<String, Rejection> {
    if !number.contains(['.', 'e', 'E']) {
        return Ok(if number == "-0" { "0".to_owned() } else { number });
    }
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.chars().filter(char::is_ascii_digit).count();
    let zero = mantissa.chars().all(|c| "-0.".contains(c));
    let value = number.parse::<f64>().map_err(|_| Refused)?;
    if zero {
        return Ok("0".to_owned());
    }
    if digits > 15 || value.abs() > 9e15 || value.abs() < 1e-300 {
        return Err(Unjudged);
    }
    Ok(if value.fract() == 0.0 { (value as i128).to_string() } else { number })
}
