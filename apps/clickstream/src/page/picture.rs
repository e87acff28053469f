//! The data of the page: one picture of everything, sent twice a second.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use millstream::checkpoint::{CheckpointCounts, CheckpointHistory, CheckpointKind, CheckpointStatus};
use millstream::refusals::ReasonCount;
use millstream::runtime::JobStatus;
use millstream::time::Time;
use millstream::trouble::Ongoing;
use serde::Serialize;

use super::board::{Hot, Minute, Sample};
use super::health::Health;
use super::latency::Latency;
use super::progress::Progress;
use super::store::State;
use crate::options::{Options, SourceOptions};

/// Checkpoints that the page lists.
const CHECKPOINTS: usize = 8;

/// What the page has to know of the configuration.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// The shop's time zone, as the tz database has it, or an offset.
    pub(super) zone: String,
    /// Whether the source reads what was recorded, rather than what happens.
    pub(super) recorded: bool,
    /// How late an event may come.
    pub(super) out_of_orderness: Duration,
}

impl Setting {
    /// That of this configuration.
    pub(super) fn of(options: &Options) -> Self {
        Self {
            zone: options.time_zone.to_string(),
            recorded: matches!(options.source, SourceOptions::Files(_)),
            out_of_orderness: options.watermark.max_out_of_orderness,
        }
    }
}

/// The data of the page. Times are epoch milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Picture {
    /// The job's name.
    pub(super) job: String,
    /// Flink's name, such as RUNNING.
    pub(super) state: JobStatus,
    /// Whether nothing follows.
    pub(super) over: bool,
    /// How the job is.
    pub(super) health: Health,
    /// The zone of all times on the page.
    pub(super) zone: String,
    /// Now.
    pub(super) wall_time: Time,
    /// The stores that results go to.
    pub(super) stores: Vec<Store>,
    /// What else fails at the moment.
    pub(super) troubles: Vec<OngoingTrouble>,
    /// Messages that were read.
    pub(super) events: u64,
    /// The same per second, of late.
    pub(super) events_per_second: f64,
    /// Where the job is in event time.
    pub(super) progress: Progress,
    /// Who holds the watermark back: a split, or `the clock`; empty for nobody.
    pub(super) watermark_held_by: String,
    /// Messages that wait in the source's system, where it says so.
    pub(super) unread: Option<u64>,
    /// Rows that no store has acknowledged.
    pub(super) unwritten: u64,
    /// For how long the oldest of them waits.
    pub(super) oldest_ms: Option<u64>,
    /// From reading an event to having its result in every store.
    pub(super) latency: Option<Latency>,
    /// By start of the minute.
    pub(super) minutes: BTreeMap<Time, Minute>,
    /// The newest ranking.
    pub(super) hot_items: Option<Hot>,
    /// Until when there was data, where that ranking is not of a whole hour.
    pub(super) data_until: Option<Time>,
    /// Records that could not be used.
    pub(super) dead_letters: u64,
    /// The same by reason, the commonest first.
    pub(super) reasons: Vec<Reason>,
    /// The newest of them.
    pub(super) samples: VecDeque<Sample>,
    /// The last checkpoints.
    pub(super) checkpoints: Checkpoints,
}

/// A store.
#[derive(Debug, Serialize)]
pub(super) struct Store {
    /// Its name.
    pub(super) title: String,
    /// Its address, where it has one.
    pub(super) place: String,
    /// How it is.
    pub(super) state: State,
    /// Since when, where it is not fine.
    pub(super) since: Option<Time>,
    /// For how long.
    pub(super) lasts_ms: Option<u64>,
    /// Why.
    pub(super) why: Option<String>,
    /// How often it was tried in vain.
    pub(super) attempts: u64,
    /// Rows that it has acknowledged, in this process.
    pub(super) written: u64,
    /// Rows that wait for it.
    pub(super) unwritten: u64,
    /// For how long the oldest of them waits.
    pub(super) oldest_ms: Option<u64>,
    /// Of its rows.
    pub(super) latency: Option<Latency>,
}

/// Something that fails at the moment.
#[derive(Debug, Serialize)]
pub(super) struct OngoingTrouble {
    subject: String,
    why: String,
    lasts_ms: u64,
    attempts: u64,
}

impl From<Ongoing> for OngoingTrouble {
    fn from(Ongoing { subject, why, lasts, attempts }: Ongoing) -> Self {
        Self { subject, why, lasts_ms: lasts.as_millis() as u64, attempts }
    }
}

/// Dead letters with one reason.
#[derive(Debug, Serialize)]
pub(super) struct Reason {
    stage: String,
    reason: String,
    letters: u64,
}

impl From<ReasonCount> for Reason {
    fn from(ReasonCount { stage, reason, letters }: ReasonCount) -> Self {
        Self { stage, reason, letters }
    }
}

/// The last few checkpoints, newest first.
#[derive(Debug, Serialize)]
pub(super) struct Checkpoints {
    counts: CheckpointCounts,
    history: Vec<Checkpoint>,
}

#[derive(Debug, Serialize)]
struct Checkpoint {
    id: u64,
    kind: CheckpointKind,
    status: CheckpointStatus,
    trigger_time: Time,
    end_to_end: Option<u64>,
    bytes: u64,
    bytes_written: u64,
    failure: Option<String>,
}

impl From<CheckpointHistory> for Checkpoints {
    fn from(CheckpointHistory { counts, history, .. }: CheckpointHistory) -> Self {
        let history = history.into_iter().take(CHECKPOINTS).map(|stats| Checkpoint {
            id: stats.id,
            kind: stats.kind,
            status: stats.status,
            trigger_time: stats.trigger_time,
            end_to_end: stats.end_to_end,
            bytes: stats.bytes,
            bytes_written: stats.bytes_written,
            failure: stats.failure,
        });
        Self { counts, history: history.collect() }
    }
}
