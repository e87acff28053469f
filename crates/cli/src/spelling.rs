//! Keys as files of older and newer Flinks spell them, turned into the one spelling that is read.

use millstream_record::{Error, Result};
use serde_json::{Map, Value};

/// What an old key is called today. Those of Flink 1.x come with a note in the log.
const OLD: [(&str, &str); 6] = [
    ("state.backend", "state.backend.type"),
    ("state.backend.incremental", "execution.checkpointing.incremental"),
    ("restart-strategy", "restart-strategy.type"),
    ("restart.strategy", "restart-strategy.type"),
    ("restart-strategy.attempts", "restart-strategy.fixed-delay.attempts"),
    ("restart-strategy.delay", "restart-strategy.fixed-delay.delay"),
];

/// Other names that Flink knows today.
const SAME: [(&str, &str); 5] = [
    ("execution.checkpointing.dir", "state.checkpoints.dir"),
    ("execution.checkpointing.savepoint-dir", "state.savepoints.dir"),
    ("execution.checkpointing.num-retained", "state.checkpoints.num-retained"),
    ("s3.path.style.access", "s3.path-style-access"),
    ("state.backend.rocksdb.memory.managed-size", "state.backend.rocksdb.memory.fixed-per-tm"),
];

/// Values of today's keys that were called otherwise.
const OLD_VALUES: [(&str, &str, &str); 3] = [
    ("state.backend.type", "filesystem", "hashmap"),
    ("state.backend.type", "jobmanager", "hashmap"),
    (
        "state.backend.type",
        "org.apache.flink.contrib.streaming.state.EmbeddedRocksDBStateBackendFactory",
        "rocksdb",
    ),
];

/// The beginning of the keys of restarts, and the one that newer Flinks have.
pub(crate) const FAMILY: &str = "restart-strategy.";
pub(crate) const OTHER_FAMILY: &str = "restart.strategy.";

/// Keys that are refused, with the values that are harmless, and the reason.
pub(crate) const REFUSED: [(&str, &[&str], &str); 4] = [
    ("execution.checkpointing.aligned-checkpoint-timeout", &["0", "0s", "0 ms", "0ms"], UNALIGNED),
    ("execution.checkpointing.unaligned", &["false"], UNALIGNED),
    ("execution.checkpointing.unaligned.enabled", &["false"], UNALIGNED),
    (
        "execution.checkpointing.max-concurrent-checkpoints",
        &["1"],
        "one checkpoint is under way at a time: alignment is short, so that a second one would gain nothing",
    ),
];

const UNALIGNED: &str = "checkpoints are always aligned: queues are bounded in bytes (runtime.channel-bytes) and a snapshot holds what a \
    sink has not written, so a barrier waits for no slow sink. Leave the key away";

/// Turns all keys into the spelling that is read; gives notes for the log.
///
/// # Errors
/// Two spellings of one key, and keys that are refused.
pub(crate) fn modernise(map: &mut Map<String, Value>) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    rename_family(map, OTHER_FAMILY, FAMILY);
    for (old, new) in OLD {
        if rename(map, old, new)? {
            notes.push(format!("`{old}` is called `{new}` today"));
        }
    }
    for (other, new) in SAME {
        rename(map, other, new)?;
    }
    for (key, old, new) in OLD_VALUES {
        if let Some(value) = map.get_mut(key).filter(|value| value.as_str() == Some(old)) {
            *value = Value::from(new);
            notes.push(format!("`{key}: {old}` is called `{new}` today"));
        }
    }
    for (key, harmless, reason) in REFUSED {
        let Some(value) = map.remove(key) else { continue };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if !harmless.contains(&text.as_str()) {
            return Err(Error::configuration(format!("{key}: {reason}")));
        }
    }
    Ok(notes)
}

/// The other spellings of keys, each with the one that is read.
pub(crate) fn others() -> impl Iterator<Item = (&'static str, &'static str)> {
    OLD.into_iter().chain(SAME)
}

/// The other names of values: the key, the name, and the one that is read.
pub(crate) fn other_values() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    OLD_VALUES.into_iter()
}

fn rename_family(map: &mut Map<String, Value>, old: &str, new: &str) {
    let keys: Vec<_> = map.keys().filter(|key| key.starts_with(old)).cloned().collect();
    for key in keys {
        if let Some((key, value)) = map.remove_entry(&key) {
            map.insert(key.replacen(old, new, 1), value);
        }
    }
}

fn rename(map: &mut Map<String, Value>, old: &str, new: &str) -> Result<bool> {
    let Some(value) = map.remove(old) else { return Ok(false) };
    if map.contains_key(new) {
        return Err(Error::configuration(format!(
            "`{old}` and `{new}` mean the same: leave one of them away"
        )));
    }
    map.insert(new.to_owned(), value);
    Ok(true)
}
