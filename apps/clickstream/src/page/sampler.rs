//! Takes a picture of the job twice a second and pushes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use millstream::protocol::checkpoint_stats::{
    CheckpointCounts, CheckpointHistory, CheckpointKind, CheckpointStatus,
};
use millstream::runtime::{JobControl, JobStatus, SystemClock};
use millstream::server::Live;
use millstream::stage::metrics::JobMetrics;
use millstream::stage::time::{Clock, MAX_TIME, MIN_TIME};
use millstream::stage::trouble::Ongoing;
use millstream::{Error, Result};
use serde::Serialize;

use super::Board;
use super::board::Shown;

const PERIOD: Duration = Duration::from_millis(500);
// Checkpoints that the page lists.
const SHOWN: usize = 8;

/// What the page is told.
#[derive(Debug, Serialize)]
struct Picture {
    job: String,
    events: u64,
    events_per_second: f64,
    // The watermark; none before the first, none after the last.
    data_time: Option<i64>,
    wall_time: i64,
    // Who holds the watermark back: a split, or `the clock`; empty for nobody.
    watermark_held_by: String,
    latency_p50_ms: Option<f64>,
    latency_p99_ms: Option<f64>,
    // Flink's name, such as RUNNING.
    state: JobStatus,
    checkpoints: Checkpoints,
    troubles: Vec<Trouble>,
    #[serde(flatten)]
    shown: Shown,
}

/// Something that fails at the moment.
#[derive(Debug, Serialize)]
struct Trouble {
    subject: String,
    why: String,
    lasts_ms: u64,
    attempts: u64,
}

/// The last few checkpoints, newest first.
#[derive(Debug, Serialize)]
struct Checkpoints {
    counts: CheckpointCounts,
    history: Vec<Checkpoint>,
}

#[derive(Debug, Serialize)]
struct Checkpoint {
    id: u64,
    kind: CheckpointKind,
    status: CheckpointStatus,
    trigger_time: i64,
    end_to_end: Option<u64>,
    bytes: u64,
    bytes_written: u64,
    failure: Option<String>,
}

/// The thread that takes the pictures.
pub(super) struct Sampler {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    pub(super) fn start(job: JobControl, board: Arc<Board>, live: Live) -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let thread =
            Builder::new().name("clickstream-page".into()).spawn(move || sample(&job, &board, &live, &ended));
        let thread =
            thread.map_err(|error| Error::configuration("no thread can be started").caused_by(error))?;
        Ok(Self { over, thread: Some(thread) })
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A sampler that panicked has said so; the job is not harmed.
            let _ = thread.join();
        }
    }
}

fn sample(job: &JobControl, board: &Board, live: &Live, over: &AtomicBool) {
    let clock = SystemClock::new();
    let (mut events, mut at) = (0, clock.nanos());
    loop {
        let last = over.load(Ordering::Relaxed);
        let metrics = job.metrics();
        let (counted, now) = (messages(&metrics), clock.nanos());
        let seconds = (now - at).max(1) as f64 / 1e9;
        let rate = (counted - events) as f64 / seconds;
        (events, at) = (counted, now);
        live.publish(&picture(job, &metrics, board, (events, rate), clock.now()));
        if last {
            return;
        }
        std::thread::park_timeout(PERIOD);
    }
}

fn picture(
    job: &JobControl,
    metrics: &JobMetrics,
    board: &Board,
    (events, rate): (u64, f64),
    now: i64,
) -> Picture {
    let latency = latency(metrics);
    Picture {
        job: metrics.job.clone(),
        events,
        events_per_second: rate,
        data_time: metrics.watermark("event-time").filter(|time| ![MIN_TIME, MAX_TIME].contains(time)),
        wall_time: now,
        watermark_held_by: metrics.watermark_holder("event-time"),
        latency_p50_ms: latency.map(|(p50, _)| p50),
        latency_p99_ms: latency.map(|(_, p99)| p99),
        state: job.status(),
        checkpoints: checkpoints(job),
        troubles: job.troubles().into_iter().map(Trouble::from).collect(),
        shown: board.shown(),
    }
}

impl From<Ongoing> for Trouble {
    fn from(Ongoing { subject, why, lasts, attempts }: Ongoing) -> Self {
        Self { subject, why, lasts_ms: lasts.as_millis() as u64, attempts }
    }
}

fn checkpoints(job: &JobControl) -> Checkpoints {
    let CheckpointHistory { counts, history, .. } = job.checkpoint_stats();
    let history = history.into_iter().take(SHOWN).map(|stats| Checkpoint {
        id: stats.id,
        kind: stats.kind,
        status: stats.status,
        trigger_time: stats.trigger_time,
        end_to_end: stats.end_to_end,
        bytes: stats.bytes,
        bytes_written: stats.bytes_written,
        failure: stats.failure,
    });
    Checkpoints { counts, history: history.collect() }
}

fn messages(metrics: &JobMetrics) -> u64 {
    let counters = metrics.operators().flat_map(|(_, operator)| operator.counters());
    counters.filter(|(name, _)| *name == "messages").map(|(_, count)| count).sum()
}

fn latency(metrics: &JobMetrics) -> Option<(f64, f64)> {
    let mut all = metrics.operators().map(|(_, operator)| operator.latency.histogram());
    let mut sum = all.next()?;
    for histogram in all {
        // All have the same bounds, so that nothing can be out of range.
        sum.add(histogram).ok()?;
    }
    let ms = |quantile| sum.value_at_quantile(quantile) as f64 / 1000.0;
    (!sum.is_empty()).then(|| (ms(0.5), ms(0.99)))
}
