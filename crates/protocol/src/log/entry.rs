//! One entry of a job's log: a line of JSON and a line with its checksum.

use millstream_stage::snapshot::CheckpointId;
use millstream_stage::time::Time;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{Base, Change};
use crate::checkpoint_stats::CheckpointKind;

/// The version of the format that is written. Fields may be added without a new one; readers ignore what they
/// do not know.
const VERSION: u32 = 1;

/// A checkpoint that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointRef {
    /// Its number.
    pub id: CheckpointId,
    /// The attempt that took it.
    pub epoch: u64,
    /// What it is for. A savepoint is retained only where the job was stopped with it.
    pub kind: CheckpointKind,
    /// Where it is: relative to the job's folder, a URL for a savepoint.
    pub path: String,
    /// When it was completed.
    pub time: Time,
    /// How large it is.
    pub bytes: u64,
}

/// What an entry tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogEvent {
    /// An attempt began.
    Claimed,
    /// A checkpoint is complete.
    Completed,
    /// A savepoint is complete.
    Savepoint,
    /// Checkpoints are retained no more.
    Retired,
    /// The job has read all its input.
    Finished,
}

/// One entry: what happened, and the state of all after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The version of the format.
    pub version: u32,
    /// The entry's number; the highest counts.
    pub number: u64,
    /// The attempt that wrote it.
    pub epoch: u64,
    /// Who wrote it: 32 random hexadecimal digits, others for each process.
    pub writer: String,
    /// When it was written.
    pub time: Time,
    /// What happened.
    pub event: LogEvent,
    /// The checkpoint that it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointId>,
    /// The number of the next checkpoint: higher than that of any complete one.
    pub next_checkpoint: CheckpointId,
    /// The savepoint that the job began from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The checkpoints that are retained, oldest first: nobody deletes what they refer to.
    pub retained: Vec<CheckpointRef>,
}

/// Why an entry cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Its writer died while it wrote: it was never acknowledged, and means nothing.
    Torn,
    /// It was whole once, and is not any more.
    Damaged(String),
    /// A newer Millstream wrote it, with this version of the format.
    Newer(u32),
}

impl LogEntry {
    /// The checkpoint that a new attempt goes on from.
    pub fn latest(&self) -> Option<&CheckpointRef> {
        self.retained.last()
    }

    /// Those that `newer` does not retain any more: once it stands, their files may go.
    pub fn retired_by<'a>(&'a self, newer: &'a Self) -> impl Iterator<Item = &'a CheckpointRef> {
        self.retained.iter().filter(|old| !newer.retained.contains(old))
    }

    /// The entry's file: a line of JSON, a line with the checksum.
    pub fn encode(&self) -> Vec<u8> {
        // Strings and numbers alone: there is nothing that JSON could not hold.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        let checksum = xxh3_64(&bytes);
        bytes.extend_from_slice(format!("\nxxh3:{checksum:016x}\n").as_bytes());
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let body = bytes.strip_suffix(b"\n").ok_or(Unreadable::Torn)?;
        let line = body.iter().rposition(|byte| *byte == b'\n').ok_or(Unreadable::Torn)?;
        let (json, checksum) = (&body[..line], &body[line + 1..]);
        if checksum != format!("xxh3:{:016x}", xxh3_64(json)).as_bytes() {
            return Err(Unreadable::Damaged("its checksum does not match".into()));
        }
        let damaged = |error: serde_json::Error| Unreadable::Damaged(error.to_string());
        let value: serde_json::Value = serde_json::from_slice(json).map_err(damaged)?;
        let version = value.get("version").and_then(serde_json::Value::as_u64).unwrap_or(0);
        if version > u64::from(VERSION) {
            return Err(Unreadable::Newer(u32::try_from(version).unwrap_or(u32::MAX)));
        }
        serde_json::from_value(value).map_err(damaged)
    }

    /// The first entry's predecessor.
    pub(super) fn before_all() -> Self {
        Self {
            version: VERSION,
            number: 0,
            epoch: 0,
            writer: String::new(),
            time: 0,
            event: LogEvent::Finished,
            checkpoint: None,
            next_checkpoint: 1,
            base: None,
            retained: Vec::new(),
        }
    }

    /// The entry that a change makes of this one.
    pub(super) fn then(&self, change: &Change, now: Time) -> Self {
        let mut next = Self { number: self.number + 1, time: now, checkpoint: None, ..self.clone() };
        match change {
            Change::Claim(base) => {
                next.event = LogEvent::Claimed;
                next.begin_from(base);
            }
            Change::Complete(checkpoint, keep) => {
                next.event = LogEvent::Completed;
                next.count(checkpoint.id);
                next.retain(checkpoint.clone(), *keep);
            }
            Change::Savepoint(id) => {
                next.event = LogEvent::Savepoint;
                next.count(*id);
            }
            Change::Retire(ids) => {
                next.event = LogEvent::Retired;
                next.retained.retain(|kept| !ids.contains(&kept.id));
            }
            Change::Finish => {
                next.event = LogEvent::Finished;
                next.base = None;
                next.retained.clear();
            }
        }
        next
    }

    fn begin_from(&mut self, base: &Base) {
        let Base::Savepoint(url) = base else { return };
        if self.base.as_ref() != Some(url) {
            self.base = Some(url.clone());
            self.retained.clear();
        }
    }

    fn count(&mut self, id: CheckpointId) {
        self.checkpoint = Some(id);
        self.next_checkpoint = self.next_checkpoint.max(id + 1);
    }

    // The savepoint that a job was stopped with has done its work once there is anything newer.
    fn retain(&mut self, checkpoint: CheckpointRef, keep: usize) {
        self.retained.retain(|kept| kept.kind != CheckpointKind::Savepoint);
        self.retained.push(checkpoint);
        let surplus = self.retained.len().saturating_sub(keep.max(1));
        self.retained.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(id: CheckpointId, kind: CheckpointKind) -> CheckpointRef {
        CheckpointRef { id, epoch: 1, kind, path: format!("chk-{id}-1"), time: 7, bytes: 9 }
    }

    fn completed(entry: &LogEntry, id: CheckpointId) -> LogEntry {
        entry.then(&Change::Complete(checkpoint(id, CheckpointKind::Checkpoint), 2), 5)
    }

    fn ids(entry: &LogEntry) -> Vec<CheckpointId> {
        entry.retained.iter().map(|kept| kept.id).collect()
    }

    #[test]
    fn an_entry_is_read_as_it_was_written_and_any_damage_shows() {
        let entry = completed(&LogEntry::before_all(), 3);
        let bytes = entry.encode();
        assert_eq!(LogEntry::decode(&bytes), Ok(entry));
        for end in 0..bytes.len() {
            let torn = LogEntry::decode(&bytes[..end]);
            assert!(matches!(torn, Err(Unreadable::Torn)), "cut at {end}: {torn:?}");
        }
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert!(LogEntry::decode(&bytes).is_err(), "a flipped bit at {at}");
        }
    }

    #[test]
    fn a_newer_format_is_told_apart_from_damage() {
        let entry = LogEntry { version: VERSION + 1, ..LogEntry::before_all() };
        assert_eq!(LogEntry::decode(&entry.encode()), Err(Unreadable::Newer(VERSION + 1)));
    }

    #[test]
    fn the_newest_are_retained() {
        let mut entry = LogEntry::before_all();
        for id in 1..=4 {
            entry = completed(&entry, id);
        }
        assert_eq!((ids(&entry), entry.next_checkpoint), (vec![3, 4], 5));
        let next = completed(&entry, 5);
        assert_eq!(entry.retired_by(&next).map(|old| old.id).collect::<Vec<_>>(), [3]);
        assert_eq!(ids(&next.then(&Change::Retire(vec![5]), 6)), [4]);
        let savepoint = next.then(&Change::Savepoint(9), 6);
        assert_eq!((ids(&savepoint), savepoint.next_checkpoint), (vec![4, 5], 10));
        let finished = savepoint.then(&Change::Finish, 6);
        assert_eq!((ids(&finished), finished.next_checkpoint), (vec![], 10), "numbers are never used again");
    }

    #[test]
    fn a_stop_with_savepoint_is_gone_on_from_until_there_is_something_newer() {
        let stopped = completed(&LogEntry::before_all(), 1)
            .then(&Change::Complete(checkpoint(2, CheckpointKind::Savepoint), 1), 5);
        assert_eq!(stopped.latest().unwrap().id, 2);
        assert_eq!(ids(&completed(&stopped, 3)), [3]);
    }

    #[test]
    fn a_start_from_a_savepoint_can_be_repeated() {
        let old = completed(&LogEntry::before_all(), 1);
        let claim = Change::Claim(Base::Savepoint("s3://b/savepoint-1".into()));
        let first = old.then(&claim, 6);
        assert_eq!(ids(&first), Vec::<CheckpointId>::new(), "its own checkpoints are of another past");
        let again = completed(&first, 2).then(&claim, 7);
        assert_eq!(ids(&again), [2], "goes on from its latest");
        assert_eq!(ids(&again.then(&Change::Claim(Base::Latest), 8)), [2]);
        let other = again.then(&Change::Claim(Base::Savepoint("s3://b/savepoint-2".into())), 8);
        assert_eq!(ids(&other), Vec::<CheckpointId>::new());
    }
}
