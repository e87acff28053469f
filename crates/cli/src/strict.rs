//! Reads options out of YAML values and names, for a key that nobody knows, the nearest one that somebody
//! does.

use std::fmt::{self, Display};

use serde::de::value::StringDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;

/// Options that do not fit, in a sentence for the user, and where they are.
#[derive(Debug)]
pub(crate) struct Mistake {
    message: String,
    // From the inside out.
    path: Vec<String>,
}

impl Mistake {
    fn new(message: String) -> Self {
        Self { message, path: Vec::new() }
    }

    // Within this key of a map or this number of a list.
    fn within(mut self, step: impl Display) -> Self {
        self.path.push(step.to_string());
        self
    }

    /// The keys that lead to it; the last one may be the key that is not known.
    pub(crate) fn path(&self) -> Vec<String> {
        self.path.iter().rev().cloned().collect()
    }

    /// Names more keys that are known where it is.
    pub(crate) fn known_too(mut self, keys: &[&str]) -> Self {
        if let Some((start, known)) = self.message.split_once(KNOWN) {
            self.message = format!("{start}{KNOWN}{}, {known}", keys.join(", "));
        }
        self
    }

    /// The sentence alone.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mistake {}

impl de::Error for Mistake {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    // A value that may be a secret is not shown: a text where a number is wanted, and a number where a text
    // is.
    fn invalid_type(there: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        let wanted = wanted.to_string();
        let there = match there {
            Unexpected::Str(_) if !matches!(wanted.as_str(), "a sequence" | "a map") => "string".to_owned(),
            Unexpected::Bool(_) | Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_)
                if wanted == "a string" =>
            {
                return Self::new("invalid type: a text is needed here, put it in quotes".to_owned());
            }
            other => other.to_string(),
        };
        Self::new(format!("invalid type: {there}, expected {wanted}"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(unknown_key(field, expected)).within(field)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!(
            "{variant:?} is none of the choices{}; there are {}",
            nearest(variant, expected),
            expected.join(", ")
        ))
    }
}

const KNOWN: &str = "; known here: ";

/// What to say of a key that is not known.
pub(crate) fn unknown_key(key: &str, known: &[&str]) -> String {
    format!("unknown key {key:?}{}{KNOWN}{}", nearest(key, known), known.join(", "))
}

fn nearest(word: &str, known: &[&str]) -> String {
    let distance = |other: &&&str| strsim::damerau_levenshtein(word, other);
    let best = known.iter().min_by_key(distance);
    match best {
        Some(best) if distance(&best) <= 2 + word.len() / 3 => format!(", did you mean {best:?}?"),
        _ => String::new(),
    }
}

/// Options from a value.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<T, Mistake> {
    T::deserialize(Strict(value))
}

/// A value whose errors are [`Mistake`]s that say where they are.
struct Strict(Value);

impl IntoDeserializer<'_, Mistake> for Strict {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The entries of a map; a mistake in one of them learns its key.
struct Entries {
    left: serde_json::map::IntoIter,
    at_hand: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mistake> {
        self.at_hand = self.left.next();
        let Some((key, _)) = &self.at_hand else { return Ok(None) };
        let key: StringDeserializer<Mistake> = key.clone().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mistake> {
        let (key, value) = self.at_hand.take().unwrap_or_default();
        seed.deserialize(Strict(value)).map_err(|mistake| mistake.within(key))
    }
}

/// The items of a list; a mistake in one of them learns its number.
struct Items(std::iter::Enumerate<std::vec::IntoIter<Value>>);

impl<'de> SeqAccess<'de> for Items {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mistake> {
        let Some((number, item)) = self.0.next() else { return Ok(None) };
        seed.deserialize(Strict(item)).map(Some).map_err(|mistake| mistake.within(number))
    }
}

impl Strict {
    // A variable of the environment is a text, also where a number or a boolean is meant.
    fn plain(self) -> Self {
        let read = self.0.as_str().and_then(|text| serde_json::from_str(text).ok());
        read.filter(|value: &Value| value.is_number() || value.is_boolean()).map_or(self, Self)
    }
}

macro_rules! plain {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
            self.plain().deserialize_any(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Strict {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => visitor.visit_u64(value),
                (None, Some(value)) => visitor.visit_i64(value),
                _ => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => visitor.visit_seq(Items(items.into_iter().enumerate())),
            Value::Object(map) => visitor.visit_map(Entries { left: map.into_iter(), at_hand: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match self.0 {
            Value::String(text) => {
                let text: StringDeserializer<Mistake> = text.into_deserializer();
                text.deserialize_enum(name, variants, visitor)
            }
            other => other.deserialize_enum(name, variants, visitor).map_err(de::Error::custom),
        }
    }

    plain! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    #[allow(dead_code, reason = "read by the tests' Debug output alone")]
    struct Options {
        max_out_of_orderness: u64,
        sinks: Vec<Sink>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(tag = "type", rename_all = "kebab-case")]
    #[allow(dead_code, reason = "read by the tests' Debug output alone")]
    enum Sink {
        Redis(Redis),
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "read by the tests' Debug output alone")]
    struct Redis {
        url: String,
    }

    #[test]
    fn the_nearest_known_key_is_named_at_every_depth() {
        let right = json!({"max-out-of-orderness": 5, "sinks": [{"type": "redis", "url": "redis://a"}]});
        assert!(read::<Options>(right).is_ok());
        let top = read::<Options>(json!({"max-out-of-ordernes": 5})).unwrap_err().to_string();
        assert!(top.contains("did you mean \"max-out-of-orderness\"?"), "{top}");
        let deep = json!({"max-out-of-orderness": 5, "sinks": [{"type": "redis", "urk": "x"}]});
        let deep = read::<Options>(deep).unwrap_err().to_string();
        assert!(deep.contains("\"urk\", did you mean \"url\"?"), "{deep}");
        let kind = json!({"max-out-of-orderness": 5, "sinks": [{"type": "reddis"}]});
        let kind = read::<Options>(kind).unwrap_err().to_string();
        assert!(kind.contains("did you mean \"redis\"?"), "{kind}");
    }

    #[test]
    fn a_text_may_stand_for_a_number_but_not_the_reverse() {
        let number = json!({"max-out-of-orderness": "5", "sinks": []});
        assert_eq!(read::<Options>(number).unwrap().max_out_of_orderness, 5);
        for wrong in ["five", "", "\"5\"", "5s"] {
            let wrong = read::<Options>(json!({"max-out-of-orderness": wrong, "sinks": []})).unwrap_err();
            assert!(wrong.to_string().contains("invalid type: string"), "{wrong}");
        }
        assert!(read::<Redis>(json!({"url": 5})).is_err());
    }

    #[test]
    fn a_mistake_knows_where_it_is() {
        let path = |value| read::<Options>(value).unwrap_err().path().join(".");
        let redis = |key: &str| json!({"type": "redis", key: 1});
        assert_eq!(path(json!({"max-out-of-ordernes": 5})), "max-out-of-ordernes");
        assert_eq!(path(json!({"max-out-of-orderness": "x", "sinks": []})), "max-out-of-orderness");
        let deep = json!({"max-out-of-orderness": 5, "sinks": [{"type": "redis", "url": "a"}, redis("urk")]});
        assert_eq!(path(deep), "sinks.1.urk");
        let wrong = json!({"max-out-of-orderness": 5, "sinks": [redis("url")]});
        assert_eq!(path(wrong), "sinks.0");
    }
}
