//! Takes a picture of the job twice a second and pushes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use hdrhistogram::Histogram;
use millstream::metrics::JobMetrics;
use millstream::runtime::{JobControl, SystemClock};
use millstream::server::Live;
use millstream::time::{Clock, MAX_TIME, MIN_TIME, Nanos, Time};
use millstream::trouble::Ongoing;
use millstream::{Error, Result};

use super::board::Board;
use super::complete::windows;
use super::health::{self, health};
use super::latency::{Recent, latency, worst};
use super::picture::{Picture, Setting, Store};
use super::progress::{self, Rate, Speed};
use super::store::{self, State};

const PERIOD: Duration = Duration::from_millis(500);
/// The operator that assigns event times.
const EVENT_TIME: &str = "event-time";

/// The thread that takes the pictures.
pub(super) struct Sampler {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    pub(super) fn start(job: JobControl, board: Arc<Board>, setting: Setting, live: Live) -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let mut camera = Camera::new(job, board, setting);
        let take = move || {
            loop {
                let last = ended.load(Ordering::Relaxed);
                live.publish(&camera.picture());
                if last {
                    return;
                }
                std::thread::park_timeout(PERIOD);
            }
        };
        let thread = Builder::new().name("clickstream-page".into()).spawn(take);
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

/// Looks at the job, and remembers as much of earlier looks as rates need.
struct Camera {
    job: JobControl,
    board: Arc<Board>,
    setting: Setting,
    clock: SystemClock,
    rate: Rate,
    speed: Speed,
    // By name of the store.
    seen: BTreeMap<String, StoreWrites>,
}

/// What was seen of a store.
#[derive(Default)]
struct StoreWrites {
    written: u64,
    written_at: Option<Nanos>,
    recent: Recent,
}

impl Camera {
    fn new(job: JobControl, board: Arc<Board>, setting: Setting) -> Self {
        let (rate, speed) = (Rate::default(), Speed::default());
        Self { job, board, setting, clock: SystemClock::new(), rate, speed, seen: BTreeMap::new() }
    }

    fn picture(&mut self) -> Picture {
        let (metrics, now, nanos) = (self.job.metrics(), self.clock.now(), self.clock.nanos());
        // Status first: what belongs to a state that is over is complete.
        let status = self.job.status();
        let mut troubles = self.job.troubles();
        let stores = self.stores(&metrics, nanos, now, &mut troubles);
        let time = event_times(&metrics);
        let end = time.latest.filter(|_| time.watermark == Some(MAX_TIME));
        let end = end.map(|end| end + self.setting.out_of_orderness.as_millis() as Time + 1);
        let shown = self.board.shown();
        let windows = windows(&shown, end);
        let events = messages(&metrics);
        let unread = pending(&metrics);
        let progress = progress::Facts {
            watermark: time.watermark,
            last: end,
            wall: now,
            speed: self.speed.look(now, time.watermark),
            pending: unread,
            recorded: self.setting.recorded,
        };
        let reasons = self.job.dead_letter_reasons();
        let health = self.health(&stores, &troubles, end.is_some(), now);
        Picture {
            job: metrics.job.clone(),
            state: status,
            over: status.is_over(),
            health,
            zone: self.setting.zone.clone(),
            wall_time: now,
            unwritten: stores.iter().map(|store| store.unwritten).sum(),
            oldest_ms: stores.iter().filter_map(|store| store.oldest_ms).max(),
            latency: worst(stores.iter().filter_map(|store| store.latency)),
            stores,
            troubles: troubles.into_iter().map(Into::into).collect(),
            events,
            events_per_second: self.rate.look(Duration::from_nanos(nanos), events),
            progress: progress::progress(&progress),
            watermark_held_by: metrics.watermark_holder(EVENT_TIME),
            unread,
            minutes: windows.minutes,
            hot_items: windows.hot_items,
            data_until: windows.data_until,
            dead_letters: reasons.iter().map(|reason| reason.letters).sum(),
            reasons: reasons.into_iter().map(Into::into).collect(),
            samples: shown.samples,
            checkpoints: self.job.checkpoint_stats().into(),
        }
    }

    // A trouble of a store is shown there, and not among the others.
    fn stores(
        &mut self,
        metrics: &JobMetrics,
        nanos: Nanos,
        now: Time,
        troubles: &mut Vec<Ongoing>,
    ) -> Vec<Store> {
        let sinks = self.job.sinks();
        let mut stores = store::stores(&sinks);
        let mut shown = Vec::with_capacity(stores.len());
        for facts in &mut stores {
            let seen = self.seen.entry(facts.name.clone()).or_default();
            if facts.written > std::mem::replace(&mut seen.written, facts.written) {
                seen.written_at = Some(nanos);
            }
            facts.silent_for = seen.written_at.map(|at| Duration::from_nanos(nanos.saturating_sub(at)));
            facts.trouble = troubles.iter().find(|trouble| trouble.subject == facts.system).cloned();
            let judged = facts.judge();
            let recent = histogram(metrics, &facts.name).and_then(|all| seen.recent.look(nanos, all));
            let (title, place) = facts.title();
            shown.push(Store {
                title,
                place,
                state: judged.state,
                since: judged.lasts.map(|lasts| now - lasts.as_millis() as Time),
                lasts_ms: judged.lasts.map(millis),
                why: judged.why,
                attempts: facts.trouble.as_ref().map_or(0, |trouble| trouble.attempts),
                written: facts.written,
                unwritten: facts.unwritten,
                oldest_ms: facts.oldest.map(millis),
                latency: latency(recent, facts.oldest, judged.state == State::Away),
            });
        }
        troubles.retain(|trouble| stores.iter().all(|store| store.system != trouble.subject));
        shown
    }

    fn health(&self, stores: &[Store], troubles: &[Ongoing], input_ended: bool, now: Time) -> health::Health {
        let next = self.job.next_attempt_at().map(|at| Duration::from_millis((at - now).max(0) as u64));
        health(&health::Facts {
            status: self.job.status(),
            stopping: self.job.is_stopping(),
            attempts: self.job.attempts(),
            next_attempt: next,
            failure: self.job.exceptions().into_iter().next().map(|failure| failure.error),
            input_ended,
            stores: stores.iter().map(health_of).collect(),
            trouble: troubles.first().map(|trouble| format!("{}: {}", trouble.subject, trouble.why)),
        })
    }
}

fn health_of(store: &Store) -> health::Store {
    health::Store {
        title: store.title.clone(),
        state: store.state,
        lasts: store.lasts_ms.map(Duration::from_millis),
        unwritten: store.unwritten,
    }
}

/// The event times of all subtasks.
struct EventTimes {
    // The lowest one, as windows wait for it.
    watermark: Option<Time>,
    // The highest one before the end of the input.
    latest: Option<Time>,
}

fn event_times(metrics: &JobMetrics) -> EventTimes {
    let times = metrics.operators().filter(|(_, operator)| operator.name == EVENT_TIME);
    let latest = times.map(|(_, operator)| operator.event_time.get()).filter(|time| *time != MIN_TIME).max();
    EventTimes { watermark: metrics.watermark(EVENT_TIME), latest }
}

fn messages(metrics: &JobMetrics) -> u64 {
    let counters = metrics.operators().flat_map(|(_, operator)| operator.counters());
    counters.filter(|(name, _)| *name == "messages").map(|(_, count)| count).sum()
}

// Where a reader does not know it, the sum would be too low.
fn pending(metrics: &JobMetrics) -> Option<u64> {
    let sources = metrics.operators().filter(|(_, operator)| operator.name == "clicks");
    let pending: Option<Vec<u64>> =
        sources.map(|(_, operator)| operator.pending.get().try_into().ok()).collect();
    pending.filter(|pending| !pending.is_empty()).map(|pending| pending.iter().sum())
}

fn histogram(metrics: &JobMetrics, store: &str) -> Option<Histogram<u64>> {
    let end = format!("-to-{store}");
    let sinks = metrics.operators().filter(|(_, operator)| operator.name.ends_with(&end));
    sinks.map(|(_, operator)| operator.latency.histogram()).reduce(|mut sum, histogram| {
        // All have the same bounds, so that nothing can be out of range.
        let _ = sum.add(histogram);
        sum
    })
}

fn millis(time: Duration) -> u64 {
    time.as_millis() as u64
}
