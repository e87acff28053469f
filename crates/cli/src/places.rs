//! On which lines of a configuration file its parts stand, for messages.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// The lines of a file. Empty where nothing was read from a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Option<Node>);

#[derive(Clone, Debug)]
struct Node {
    line: u64,
    parts: Vec<(String, Node)>,
}

impl Places {
    /// Those of a text. A text that is no YAML has none.
    pub(crate) fn of(text: &str) -> Self {
        let options = serde_saphyr::options! { strict_booleans: true };
        Self(serde_saphyr::from_str_with_options::<Spanned<Parts>>(text, options).ok().map(Node::of))
    }

    /// The line of a part such as `["sinks", "1", "url"]`, or of the smallest part around it that stands in
    /// the file.
    pub(crate) fn line(&self, path: &[impl AsRef<str>]) -> Option<u64> {
        let mut node = self.0.as_ref()?;
        let mut line = None;
        for step in path {
            let Some((_, part)) = node.parts.iter().find(|(name, _)| name == step.as_ref()) else { break };
            (node, line) = (part, Some(part.line));
        }
        line
    }
}

impl Node {
    fn of(spanned: Spanned<Parts>) -> Self {
        let parts = spanned.value.0.into_iter().map(|(name, part)| (name, Self::of(part)));
        Self { line: spanned.referenced.line(), parts: parts.collect() }
    }
}

/// The parts of a map by key, those of a list by number; a scalar has none.
struct Parts(Vec<(String, Spanned<Parts>)>);

impl<'de> Deserialize<'de> for Parts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PartsVisitor).map(Self)
    }
}

struct PartsVisitor;

type Found = Vec<(String, Spanned<Parts>)>;

impl<'de> Visitor<'de> for PartsVisitor {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut found = Found::new();
        while let Some(entry) = map.next_entry()? {
            found.push(entry);
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
        let mut found = Found::new();
        while let Some(item) = list.next_element()? {
            found.push((found.len().to_string(), item));
        }
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        Ok(Found::new())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found, E> {
        Ok(Found::new())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Found, E> {
        Ok(Found::new())
    }

    fn visit_i128<E>(self, _: i128) -> Result<Found, E> {
        Ok(Found::new())
    }

    fn visit_u128<E>(self, _: u128) -> Result<Found, E> {
        Ok(Found::new())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
        Ok(Found::new())
    }

    fn visit_str<E>(self, _: &str) -> Result<Found, E> {
        Ok(Found::new())
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Found, E> {
        Ok(Found::new())
    }

    fn visit_none<E>(self) -> Result<Found, E> {
        Ok(Found::new())
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, some: D) -> Result<Found, D::Error> {
        IgnoredAny::deserialize(some).map(|_| Found::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# a comment
parallelism.default: 2
source: {type: kafka, topic: clicks}
sinks:
  - {type: sqlite, path: a.db}

  - type: redis
    url: redis://shop
empty:
";

    #[test]
    fn every_part_has_its_line() {
        let places = Places::of(TEXT);
        for (path, line) in [
            (&["parallelism.default"][..], 2),
            (&["source"], 3),
            (&["source", "topic"], 3),
            (&["sinks", "0"], 5),
            (&["sinks", "1"], 7),
            (&["sinks", "1", "url"], 8),
            (&["sinks", "1", "password"], 7),
        ] {
            assert_eq!(places.line(path), Some(line), "{path:?}");
        }
        assert_eq!(places.line(&["sources"]), None);
        assert_eq!(Places::of("a: [").line(&["a"]), None);
    }
}
