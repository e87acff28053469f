//! The identity of a transactional writer, through all attempts of a job.

use millstream_record::Result;
use millstream_record::record::{from_bytes, to_bytes};
use millstream_stage::time::Time;

/// Who writes one subtask's output to one topic, in one history of a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, millstream_record::Record)]
pub(crate) struct WriterId {
    /// Prefix, job and sink.
    pub(crate) sink: String,
    /// The topic.
    pub(crate) topic: String,
    /// The subtask.
    pub(crate) subtask: u16,
    /// When it was first started without state.
    pub(crate) lineage: Time,
}

/// A moment in a lineage: later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, millstream_record::Record)]
pub(crate) struct Stamp {
    /// The attempt that took the snapshot.
    pub(crate) epoch: u64,
    /// The checkpoint.
    pub(crate) checkpoint: u64,
}

impl WriterId {
    /// The transactional id that alone writes its output.
    pub(crate) fn transactional_id(&self) -> String {
        format!("{}-{}", self.sink, self.subtask)
    }

    /// The consumer group that the marker is kept for.
    pub(crate) fn group(&self) -> String {
        format!("{}-{}-{}", self.sink, self.subtask, self.lineage)
    }

    /// Whether it is of this sink and topic, in whatever history.
    pub(crate) fn is_of(&self, sink: &str, topic: &str) -> bool {
        self.sink == sink && self.topic == topic
    }

    /// As what another sink's or topic's output is written here: in this sink's name, marked apart from what
    /// is its own.
    pub(crate) fn adopted_by(&self, sink: &str, topic: &str) -> Self {
        Self { sink: sink.to_owned(), topic: topic.to_owned(), ..self.clone() }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        to_bytes(self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        from_bytes(bytes)
    }
}

/// The writer ids that subtask `subtask` of `parallelism` looks after: its own, first, and those of subtasks
/// that are no more. Those that are not in `known` begin a history `now`.
pub(crate) fn looked_after(
    known: &[WriterId],
    (sink, topic): (&str, &str),
    (subtask, parallelism): (u16, u16),
    now: Time,
) -> Vec<WriterId> {
    let mut subtasks: Vec<u16> = known.iter().map(|writer_id| writer_id.subtask).collect();
    subtasks.retain(|other| other % parallelism == subtask && *other != subtask);
    subtasks.sort_unstable();
    subtasks.dedup();
    subtasks.insert(0, subtask);
    let writer_id = |subtask| {
        let own = known.iter().find(|writer_id| writer_id.subtask == subtask && writer_id.is_of(sink, topic));
        let new = || WriterId { sink: sink.to_owned(), topic: topic.to_owned(), subtask, lineage: now };
        own.cloned().unwrap_or_else(new)
    };
    subtasks.into_iter().map(writer_id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer_id(sink: &str, subtask: u16, lineage: Time) -> WriterId {
        WriterId { sink: sink.to_owned(), topic: "t".to_owned(), subtask, lineage }
    }

    fn of(known: &[WriterId], subtask: u16, parallelism: u16) -> Vec<(u16, Time)> {
        let writer_ids = looked_after(known, ("s", "t"), (subtask, parallelism), 99);
        writer_ids.iter().map(|writer_id| (writer_id.subtask, writer_id.lineage)).collect()
    }

    #[test]
    fn every_origin_is_looked_after_by_exactly_one_subtask() {
        let known: Vec<_> = (0..5).map(|subtask| writer_id("s", subtask, 7)).collect();
        for parallelism in 1..8 {
            let mut all: Vec<_> =
                (0..parallelism).flat_map(|subtask| of(&known, subtask, parallelism)).collect();
            all.sort_unstable();
            let expected: Vec<_> =
                (0..parallelism.max(5)).map(|subtask| (subtask, if subtask < 5 { 7 } else { 99 })).collect();
            assert_eq!(all, expected, "at parallelism {parallelism}");
        }
        assert_eq!(of(&known, 0, 2), [(0, 7), (2, 7), (4, 7)]);
    }

    #[test]
    fn a_fork_begins_a_history_of_its_own() {
        assert_eq!(of(&[writer_id("other", 0, 7)], 0, 1), [(0, 99)]);
        let elsewhere = WriterId { topic: "u".to_owned(), ..writer_id("s", 0, 7) };
        assert_eq!(of(&[elsewhere], 0, 1), [(0, 99)]);
    }

    #[test]
    fn later_attempts_and_checkpoints_are_later() {
        let stamp = |epoch, checkpoint| Stamp { epoch, checkpoint };
        assert!(stamp(1, 9) < stamp(2, 8) && stamp(2, 8) < stamp(2, 9));
    }
}
