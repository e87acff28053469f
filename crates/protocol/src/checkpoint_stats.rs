//! The statistics of checkpoints that the page, the REST interface and Prometheus show: plain data, and the
//! history that is kept of it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use millstream_stage::snapshot::CheckpointId;
use millstream_stage::time::Time;

/// How many of the last checkpoints the history keeps.
const REMEMBERED: usize = 20;

/// What a checkpoint is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckpointKind {
    /// For recovery; retained as long as the options say.
    Checkpoint,
    /// For the user: owns its files, is never deleted.
    Savepoint,
    /// The last one, when all subtasks have ended: sinks commit by it.
    Final,
}

/// How far a checkpoint has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CheckpointStatus {
    /// Under way.
    InProgress,
    /// It stands in the log.
    Completed,
    /// It was given up.
    Failed,
}

/// One checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckpointStats {
    /// Its number.
    pub id: CheckpointId,
    /// The attempt that took it.
    pub epoch: u64,
    /// What it is for.
    pub kind: CheckpointKind,
    /// How far it has come.
    pub status: CheckpointStatus,
    /// When it was triggered, in epoch milliseconds.
    pub trigger_time: Time,
    /// When the last subtask had frozen its part.
    pub ack_time: Option<Time>,
    /// From the trigger to its end, in milliseconds.
    pub end_to_end: Option<u64>,
    /// How large it is, what it shares with others included.
    pub bytes: u64,
    /// What was written for it alone.
    pub bytes_written: u64,
    /// Where it is.
    pub url: Option<String>,
    /// Why it failed; of one under way, what holds it up.
    pub failure: Option<String>,
    /// Whether newer ones have taken its place and its files may be gone.
    pub discarded: bool,
    /// Subtask by subtask, in the order of their answers.
    pub subtasks: Vec<SubtaskStats>,
}

/// One subtask's part in a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SubtaskStats {
    /// The stage's name.
    pub stage: String,
    /// Its number among the stage's subtasks.
    pub subtask: u16,
    /// From the first barrier to the last one, in milliseconds: who is slow here waited for somebody
    /// upstream.
    pub alignment: u64,
    /// How long it stood still to freeze, in milliseconds.
    pub sync: u64,
    /// How long its part took to be written while it went on, in milliseconds.
    pub asynchronous: u64,
    /// How large its part is.
    pub bytes: u64,
}

/// How many checkpoints there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckpointCounts {
    /// All that were triggered.
    pub total: u64,
    /// Those under way.
    pub in_progress: u64,
    /// Those that stand.
    pub completed: u64,
    /// Those that were given up.
    pub failed: u64,
    /// How often one was restored.
    pub restored: u64,
}

/// A restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestoredStats {
    /// The checkpoint.
    pub id: CheckpointId,
    /// The attempt that took it.
    pub epoch: u64,
    /// When it was restored.
    pub time: Time,
    /// Whether it is a savepoint.
    pub savepoint: bool,
    /// Where it is.
    pub url: String,
}

/// The checkpoints of a job as far as they are remembered. It outlives the attempts of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckpointHistory {
    /// Counted since the process began.
    pub counts: CheckpointCounts,
    /// The last one that was completed and is no savepoint.
    pub latest_completed: Option<CheckpointStats>,
    /// The last one that failed.
    pub latest_failed: Option<CheckpointStats>,
    /// The last savepoint that was completed.
    pub latest_savepoint: Option<CheckpointStats>,
    /// The last restore.
    pub latest_restored: Option<RestoredStats>,
    /// The last ones of all, newest first.
    pub history: VecDeque<CheckpointStats>,
}

impl CheckpointStats {
    /// One that was just triggered.
    pub fn triggered(id: CheckpointId, epoch: u64, kind: CheckpointKind, now: Time) -> Self {
        Self {
            id,
            epoch,
            kind,
            status: CheckpointStatus::InProgress,
            trigger_time: now,
            ack_time: None,
            end_to_end: None,
            bytes: 0,
            bytes_written: 0,
            url: None,
            failure: None,
            discarded: false,
            subtasks: Vec::new(),
        }
    }
}

impl CheckpointHistory {
    /// A checkpoint begins.
    pub fn triggered(&mut self, id: CheckpointId, epoch: u64, kind: CheckpointKind, now: Time) {
        self.counts.total += 1;
        self.counts.in_progress += 1;
        self.history.push_front(CheckpointStats::triggered(id, epoch, kind, now));
        self.history.truncate(REMEMBERED);
    }

    /// The one under way with this number, to add what is known of it.
    pub fn in_progress(&mut self, id: CheckpointId) -> Option<&mut CheckpointStats> {
        let wanted =
            |stats: &&mut CheckpointStats| stats.id == id && stats.status == CheckpointStatus::InProgress;
        self.history.iter_mut().find(wanted)
    }

    /// A subtask has frozen its part.
    pub fn acknowledged(&mut self, id: CheckpointId, subtask: SubtaskStats, now: Time) {
        if let Some(stats) = self.in_progress(id) {
            stats.ack_time = Some(now);
            stats.bytes += subtask.bytes;
            stats.subtasks.push(subtask);
        }
    }

    /// It is not known whether it stands in the log: that is asked again.
    pub fn in_doubt(&mut self, id: CheckpointId, why: &str) {
        if let Some(stats) = self.in_progress(id) {
            stats.failure = Some(format!("whether it stands is asked again: {why}"));
        }
    }

    /// It stands in the log.
    pub fn completed(&mut self, id: CheckpointId, now: Time) {
        if let Some(stats) = self.in_progress(id) {
            stats.failure = None;
        }
        let Some(stats) = self.end(id, CheckpointStatus::Completed, now) else { return };
        self.counts.completed += 1;
        if stats.kind == CheckpointKind::Savepoint {
            self.latest_savepoint = Some(stats);
        } else {
            self.latest_completed = Some(stats);
        }
    }

    /// It was given up.
    pub fn failed(&mut self, id: CheckpointId, why: &str, now: Time) {
        if let Some(stats) = self.in_progress(id) {
            stats.failure = Some(why.to_owned());
        }
        let Some(stats) = self.end(id, CheckpointStatus::Failed, now) else { return };
        self.counts.failed += 1;
        self.latest_failed = Some(stats);
    }

    /// A job goes on from it.
    pub fn restored(&mut self, restored: RestoredStats) {
        self.counts.restored += 1;
        self.latest_restored = Some(restored);
    }

    /// Retention has taken these away.
    pub fn discarded(&mut self, ids: &[CheckpointId]) {
        for stats in self.history.iter_mut().filter(|stats| ids.contains(&stats.id)) {
            stats.discarded = true;
        }
    }

    fn end(&mut self, id: CheckpointId, status: CheckpointStatus, now: Time) -> Option<CheckpointStats> {
        let stats = self.in_progress(id)?;
        stats.status = status;
        stats.end_to_end = Some(u64::try_from(now.saturating_sub(stats.trigger_time)).unwrap_or(0));
        let stats = stats.clone();
        self.counts.in_progress = self.counts.in_progress.saturating_sub(1);
        Some(stats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_followed_from_its_trigger_to_its_end() {
        let mut history = CheckpointHistory::default();
        history.triggered(1, 3, CheckpointKind::Checkpoint, 1000);
        let part = SubtaskStats { stage: "count".into(), bytes: 70, alignment: 4, ..SubtaskStats::default() };
        history.acknowledged(1, part.clone(), 1020);
        history.acknowledged(9, part, 1021);
        history.in_doubt(1, "no answer");
        assert!(history.history[0].failure.as_ref().unwrap().contains("no answer"));
        history.completed(1, 1100);
        let latest = history.latest_completed.as_ref().unwrap();
        assert_eq!((latest.ack_time, latest.end_to_end, latest.bytes), (Some(1020), Some(100), 70));
        assert_eq!(latest.failure, None);
        history.failed(1, "too late to fail", 1200);
        assert_eq!((history.counts.completed, history.counts.failed, history.counts.in_progress), (1, 0, 0));
        history.discarded(&[1]);
        assert!(history.history[0].discarded);
    }

    #[test]
    fn savepoints_and_failures_are_told_apart_and_only_the_last_are_kept() {
        let mut history = CheckpointHistory::default();
        for id in 1..=30 {
            let kind = if id % 2 == 0 { CheckpointKind::Savepoint } else { CheckpointKind::Checkpoint };
            history.triggered(id, 1, kind, id as Time);
            if id % 3 == 0 {
                history.failed(id, "disk full", id as Time);
            } else {
                history.completed(id, id as Time);
            }
        }
        assert_eq!(history.history.len(), REMEMBERED);
        assert_eq!(history.history[0].id, 30);
        assert_eq!(history.latest_failed.as_ref().unwrap().failure.as_deref(), Some("disk full"));
        assert_eq!(history.latest_savepoint.as_ref().unwrap().id, 28);
        assert_eq!(history.latest_completed.as_ref().unwrap().id, 29);
        assert_eq!((history.counts.total, history.counts.completed, history.counts.failed), (30, 20, 10));
    }
}
