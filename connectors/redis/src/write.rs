//! What a record becomes in Redis.

use std::time::Duration;

use compact_str::{CompactString, ToCompactString};
use millstream_stage::id::fitting;

/// The field of a hash that holds the version of its last write.
pub const VERSION_FIELD: &str = "_version";

/// The field of a hash that holds its key in full, where that is too long and was shortened.
pub const KEY_FIELD: &str = "_key";

/// One key's new value, written as a whole.
///
/// A key of more than 512 bytes is shortened as [`fitting`] says, to the id that the row has in every store;
/// a hash then has the key in full in its field [`KEY_FIELD`].
///
/// ```
/// use millstream_redis::RedisWrite;
/// use std::time::Duration;
///
/// let row = RedisWrite::hash("user_clicks:42:1511658000000").field("count", 7).field("window_end", 1511658060000_i64);
/// let total = RedisWrite::string("pv:today", "1024").expires_in(Duration::from_secs(86_400));
/// let hot = RedisWrite::ranking("hot_items:1511658000000").member("812879", 31.0).member("2338453", 30.0);
/// assert_eq!(hot.key(), "hot_items:1511658000000");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RedisWrite {
    pub(crate) key: CompactString,
    pub(crate) value: Value,
    pub(crate) expiry: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Hash(Vec<(CompactString, CompactString)>),
    Text(String),
    Ranking(Vec<(CompactString, f64)>),
}

impl RedisWrite {
    /// A hash, without fields yet. It replaces the whole hash: a field that this write does not have is gone
    /// afterwards. Its version is kept in the field [`VERSION_FIELD`].
    pub fn hash(key: impl Into<CompactString>) -> Self {
        let key = key.into();
        let short = fitting(key.clone());
        let fields = if short == key { Vec::new() } else { vec![(KEY_FIELD.into(), key)] };
        Self { key: short, value: Value::Hash(fields), expiry: None }
    }

    /// A string. Its version is kept under [`version_key`].
    pub fn string(key: impl Into<CompactString>, text: impl Into<String>) -> Self {
        Self::new(key, Value::Text(text.into()))
    }

    /// A sorted set, without members yet. Readers see the old list or the new one, never a part; one without
    /// members removes the list. Its version is kept under [`version_key`].
    pub fn ranking(key: impl Into<CompactString>) -> Self {
        Self::new(key, Value::Ranking(Vec::new()))
    }

    fn new(key: impl Into<CompactString>, value: Value) -> Self {
        Self { key: fitting(key.into()), value, expiry: None }
    }

    /// Adds a field to a hash, the last one of a name counts; on anything else it does nothing.
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "numbers and texts read better without a reference")]
    pub fn field(mut self, name: impl Into<CompactString>, value: impl ToCompactString) -> Self {
        if let Value::Hash(fields) = &mut self.value {
            fields.push((name.into(), value.to_compact_string()));
        }
        self
    }

    /// Adds a member to a ranking, which Redis orders by score, then by name; on anything else it does
    /// nothing.
    #[must_use]
    pub fn member(mut self, name: impl Into<CompactString>, score: f64) -> Self {
        if let Value::Ranking(members) = &mut self.value {
            members.push((name.into(), score));
        }
        self
    }

    /// Another expiry than the sink's, in whole seconds; zero for a key that stays. Counted from the write.
    #[must_use]
    pub fn expires_in(mut self, expiry: Duration) -> Self {
        self.expiry = Some(expiry);
        self
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Why it can never be written, if so.
    pub(crate) fn fault(&self) -> Option<String> {
        if self.key.is_empty() {
            return Some("its key is empty".to_owned());
        }
        match &self.value {
            Value::Hash(fields) => fault_of_fields(fields),
            Value::Text(_) => self.fault_of_version_key(),
            Value::Ranking(members) => fault_of_members(members).or_else(|| self.fault_of_version_key()),
        }
    }

    fn fault_of_version_key(&self) -> Option<String> {
        let fault = || format!("the key {} contains '}}' outside of a hash tag", self.key);
        version_key(&self.key).is_none().then(fault)
    }

    /// An estimate of the memory it holds and of the bytes that it takes on the wire.
    pub(crate) fn size(&self) -> usize {
        const OVERHEAD: usize = 160;
        const PART: usize = 56;
        OVERHEAD
            + self.key.len()
            + match &self.value {
                Value::Hash(fields) => {
                    fields.iter().map(|(name, value)| PART + name.len() + value.len()).sum()
                }
                Value::Text(text) => text.len(),
                Value::Ranking(members) => members.iter().map(|(name, _)| PART + name.len()).sum::<usize>(),
            }
    }
}

fn fault_of_fields(fields: &[(CompactString, CompactString)]) -> Option<String> {
    let taken = fields.iter().any(|(name, _)| name == VERSION_FIELD);
    taken.then(|| format!("the field {VERSION_FIELD} is the one that holds the version"))
}

fn fault_of_members(members: &[(CompactString, f64)]) -> Option<String> {
    let wrong = members.iter().find(|(_, score)| score.is_nan());
    wrong.map(|(name, _)| format!("the score of {name:?} is not a number"))
}

/// The key that holds the version of a string's or a ranking's last write. It is in the same slot of a Redis
/// Cluster as the key: a key with a hash tag keeps it (`hot:{shop}` has `hot:{shop}:version`), any other
/// becomes the tag (`hot` has `{hot}:version`).
///
/// None for a key for which there is no such name: one that contains `}` but no hash tag.
pub fn version_key(key: &str) -> Option<String> {
    if has_hash_tag(key) {
        return Some(format!("{key}:version"));
    }
    (!key.contains('}')).then(|| format!("{{{key}}}:version"))
}

// Redis's rule: what is between the first '{' and the first '}' behind it, if that is not nothing.
fn has_hash_tag(key: &str) -> bool {
    let Some(open) = key.find('{') else {
        return false;
    };
    key[open + 1..].find('}').is_some_and(|length| length > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_key_shares_the_slot() {
        assert_eq!(version_key("hot").as_deref(), Some("{hot}:version"));
        assert_eq!(version_key("hot:{shop}").as_deref(), Some("hot:{shop}:version"));
        assert_eq!(version_key("{a}{b}").as_deref(), Some("{a}{b}:version"));
        assert_eq!(
            version_key("a{b").as_deref(),
            Some("{a{b}:version"),
            "the tag is then a{{b, all of the key"
        );
        assert_eq!(version_key("a}b"), None);
        assert_eq!(version_key("{}a"), None);
    }

    #[test]
    fn a_key_that_is_too_long_is_shortened_and_stays_readable() {
        let long = format!("pv_uv:1min:page:{}", "x".repeat(40_000));
        let write = RedisWrite::hash(long.as_str()).field("pv", 1);
        assert_eq!(write.key(), fitting(long.as_str().into()));
        assert_eq!(write.value, RedisWrite::hash("k").field(KEY_FIELD, &long).field("pv", 1).value);
        assert_eq!(RedisWrite::string(long.as_str(), "v").key(), write.key());
        assert_eq!(RedisWrite::hash("short").value, Value::Hash(Vec::new()));
    }

    #[test]
    fn what_can_never_be_written_says_why() {
        let fine = RedisWrite::hash("h").field("a", 1).field("b", 2);
        assert_eq!(fine.fault(), None);
        assert_eq!(RedisWrite::ranking("r").member("x", f64::INFINITY).fault(), None);
        let wrong = [
            RedisWrite::hash(""),
            fine.field(VERSION_FIELD, 3),
            RedisWrite::ranking("r").member("x", f64::NAN),
            RedisWrite::string("a}b", "v"),
            RedisWrite::ranking("a}b"),
        ];
        for write in wrong {
            assert!(write.fault().is_some(), "{write:?}");
        }
    }
}
