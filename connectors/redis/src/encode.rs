//! Writes as items of the delivery engine: as commands, in snapshots, and as text for the dead letter.

use std::time::Duration;

use compact_str::{CompactString, ToCompactString};
use millstream_delivery::Item;
use millstream_record::key::hash_bytes;
use millstream_record::record::{from_bytes, to_bytes};
use millstream_record::{Error, Result};
use millstream_stage::version::Version;
use redis::Cmd;
use serde_json::json;

use crate::write::{RedisWrite, VERSION_FIELD, Value, version_key};

/// A write on its way.
#[derive(Clone, Debug)]
pub(crate) struct PendingWrite {
    write: RedisWrite,
    /// [`RedisWrite::size`].
    size: usize,
}

impl From<RedisWrite> for PendingWrite {
    fn from(write: RedisWrite) -> Self {
        Self { size: write.size(), write }
    }
}

impl PendingWrite {
    /// The command for it, by the script with this hash.
    pub(crate) fn command(&self, version: Version, script: &str, expiry: Duration) -> Cmd {
        let seconds = self.write.expiry.unwrap_or(expiry).as_secs();
        let version = version.to_compact_string();
        let key = self.write.key.as_str();
        let mut command = Cmd::with_capacity(16, 64 + self.size);
        command.arg("EVALSHA").arg(script);
        match &self.write.value {
            Value::Hash(fields) => {
                command.arg(1).arg(key).arg("hash").arg(version.as_str()).arg(seconds);
                command.arg(VERSION_FIELD).arg(version.as_str());
                for (name, value) in fields {
                    command.arg(name.as_str()).arg(value.as_str());
                }
            }
            Value::Text(text) => {
                add_keys(&mut command, key).arg("string").arg(version.as_str()).arg(seconds).arg(text);
            }
            Value::Ranking(members) => {
                add_keys(&mut command, key).arg("zset").arg(version.as_str()).arg(seconds);
                for (name, score) in members {
                    command.arg(*score).arg(name.as_str());
                }
            }
        }
        command
    }

    /// Reads what [`Item::freeze`] wrote.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) when it is damaged.
    pub(crate) fn thaw(item: &[u8]) -> Result<(Self, Version)> {
        let (write, version) = from_bytes::<Stored>(item)?.into_write()?;
        Ok((write.into(), version))
    }
}

impl Item for PendingWrite {
    fn hash(&self) -> u64 {
        hash_bytes(self.write.key.as_bytes())
    }

    fn same_id(&self, other: &Self) -> bool {
        self.write.key == other.write.key
    }

    fn bytes(&self) -> usize {
        self.size
    }

    fn memory(&self) -> usize {
        self.size
    }

    // Rights are given by command, so a kind of value can be in trouble by itself.
    fn place(&self) -> &str {
        match &self.write.value {
            Value::Hash(_) => "hashes",
            Value::Text(_) => "strings",
            Value::Ranking(_) => "rankings",
        }
    }

    fn title(&self) -> String {
        format!("key {:?}", self.write.key())
    }

    fn value(&self) -> Vec<u8> {
        to_json(&self.write)
    }

    fn freeze(&self, version: Version) -> Vec<u8> {
        to_bytes(&Stored::of(&self.write, version))
    }
}

fn add_keys<'a>(command: &'a mut Cmd, key: &str) -> &'a mut Cmd {
    match version_key(key) {
        Some(side) => command.arg(2).arg(key).arg(side),
        // Such a key was refused when it came.
        None => command.arg(1).arg(key),
    }
}

/// The write as JSON, for people and for replaying a dead letter.
pub(crate) fn to_json(write: &RedisWrite) -> Vec<u8> {
    let text = |pairs: &[(CompactString, CompactString)]| -> serde_json::Value {
        pairs.iter().map(|(name, value)| (name.to_string(), json!(value.as_str()))).collect()
    };
    let (kind, value) = match &write.value {
        Value::Hash(fields) => ("hash", text(fields)),
        Value::Text(value) => ("string", json!(value)),
        Value::Ranking(members) => {
            ("ranking", members.iter().map(|(name, score)| json!([name.as_str(), score])).collect())
        }
    };
    let expiry = write.expiry.map(|expiry| expiry.as_secs());
    json!({ "key": write.key.as_str(), "type": kind, "value": value, "expiry": expiry })
        .to_string()
        .into_bytes()
}

/// The form in snapshots.
#[derive(Clone, Debug, millstream_record::Record)]
struct Stored {
    key: CompactString,
    kind: Kind,
    /// Names and values in turns; the text alone; members alone.
    texts: Vec<String>,
    scores: Vec<f64>,
    expiry_seconds: Option<u64>,
    version: String,
}

#[derive(Clone, Copy, Debug, millstream_record::Record)]
enum Kind {
    Hash,
    Text,
    Ranking,
}

impl Stored {
    fn of(write: &RedisWrite, version: Version) -> Self {
        let (kind, texts, scores) = match &write.value {
            Value::Hash(fields) => (Kind::Hash, in_turns(fields), Vec::new()),
            Value::Text(text) => (Kind::Text, vec![text.clone()], Vec::new()),
            Value::Ranking(members) => {
                let (names, scores) = members.iter().map(|(name, score)| (name.to_string(), *score)).unzip();
                (Kind::Ranking, names, scores)
            }
        };
        Self {
            key: write.key.clone(),
            kind,
            texts,
            scores,
            expiry_seconds: write.expiry.map(|expiry| expiry.as_secs()),
            version: version.to_string(),
        }
    }
}

fn in_turns(fields: &[(CompactString, CompactString)]) -> Vec<String> {
    fields.iter().flat_map(|(name, value)| [name.to_string(), value.to_string()]).collect()
}

impl Stored {
    fn into_write(self) -> Result<(RedisWrite, Version)> {
        let version = self.version.parse()?;
        let missing = || Error::data(format!("an unacknowledged write of {} has no value", self.key));
        let value = match self.kind {
            Kind::Hash => Value::Hash(
                self.texts
                    .chunks_exact(2)
                    .map(|pair| (pair[0].as_str().into(), pair[1].as_str().into()))
                    .collect(),
            ),
            Kind::Text => Value::Text(self.texts.first().cloned().ok_or_else(missing)?),
            Kind::Ranking => {
                Value::Ranking(self.texts.iter().map(Into::into).zip(self.scores.iter().copied()).collect())
            }
        };
        let expiry = self.expiry_seconds.map(Duration::from_secs);
        Ok((RedisWrite { key: self.key, value, expiry }, version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> Version {
        Version::new(5, 9).unwrap()
    }

    fn writes() -> [RedisWrite; 3] {
        [
            RedisWrite::hash("h").field("a", 1).field("é", "x y"),
            RedisWrite::string("s", "text\n").expires_in(Duration::from_secs(60)),
            RedisWrite::ranking("r:{1}").member("m", 0.1).member("n", f64::NEG_INFINITY),
        ]
    }

    #[test]
    fn snapshots_bring_every_kind_back() {
        for write in writes() {
            let item = PendingWrite::from(write.clone()).freeze(version());
            let (copy, its_version) = PendingWrite::thaw(&item).unwrap();
            assert_eq!((copy.write, its_version), (write, version()));
        }
        assert!(PendingWrite::thaw(b"nonsense").is_err());
    }

    fn arguments(write: RedisWrite) -> Vec<String> {
        let command = PendingWrite::from(write).command(version(), "sha", Duration::from_secs(9));
        let text = |argument: redis::Arg<&[u8]>| match argument {
            redis::Arg::Simple(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        };
        command.args_iter().map(text).collect()
    }

    #[test]
    fn commands_name_keys_type_version_and_expiry() {
        let [hash, text, ranking] = writes();
        let version = version().to_string();
        let version = version.as_str();
        assert_eq!(
            arguments(hash),
            ["EVALSHA", "sha", "1", "h", "hash", version, "9", "_version", version, "a", "1", "é", "x y"]
        );
        assert_eq!(
            arguments(text),
            ["EVALSHA", "sha", "2", "s", "{s}:version", "string", version, "60", "text\n"]
        );
        assert_eq!(
            arguments(ranking),
            ["EVALSHA", "sha", "2", "r:{1}", "r:{1}:version", "zset", version, "9", "0.1", "m", "-inf", "n"]
        );
    }

    #[test]
    fn a_dead_letter_can_be_read() {
        let [hash, _, ranking] = writes();
        let text = |write| String::from_utf8(to_json(write)).unwrap();
        assert_eq!(text(&hash), r#"{"expiry":null,"key":"h","type":"hash","value":{"a":"1","é":"x y"}}"#);
        assert!(text(&ranking).contains(r#"["m",0.1]"#));
    }
}
