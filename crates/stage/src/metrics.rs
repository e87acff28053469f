//! What an operator or a subtask counts about itself. Updated once per batch, read by whoever asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

use crate::reasons::Reasons;
use crate::split::SplitId;
use crate::time::{MIN_TIME, Nanos, Time};
use crate::trouble::Troubles;
use crate::unwritten::Unwritten;

/// A counter that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }
    /// What it stands at.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A value that goes up and down.
#[derive(Debug)]
pub struct Gauge(AtomicI64);

impl Default for Gauge {
    fn default() -> Self {
        Self(AtomicI64::new(0))
    }
}

impl Gauge {
    /// Replaces it.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }
    /// What it stands at.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// Ingest-to-sink times in microseconds, 1 us to 1 h, two significant digits.
#[derive(Debug)]
pub struct Latency(Mutex<Histogram<u64>>);

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, 3_600_000_000, 2).expect("the bounds are in order");
        Self(Mutex::new(histogram))
    }
}

impl Latency {
    /// Adds `records` records that took this long.
    pub fn record(&self, took: Nanos, records: u64) {
        let mut histogram = self.0.lock();
        histogram.saturating_record_n((took / 1000).max(1), records);
    }
    /// How many records were recorded.
    pub fn count(&self) -> u64 {
        self.0.lock().len()
    }
    /// A copy of all that was recorded.
    pub fn histogram(&self) -> Histogram<u64> {
        self.0.lock().clone()
    }
}

/// The metrics of one keyed state in one subtask, measured about once a second.
#[derive(Debug, Default)]
pub struct StateMetrics {
    /// Keys that have something in it; an estimate.
    pub keys: Gauge,
    /// What it takes, in memory or in its cold store; an estimate.
    pub bytes: Gauge,
    /// Contents that were past their time to live when they were found.
    pub expired: Counter,
}

/// The metrics of one operator in one subtask. Names in brackets are Flink's metrics.
#[derive(Debug)]
pub struct OperatorMetrics {
    /// The name that the user gave.
    pub name: String,
    /// Records that came in (`numRecordsIn`).
    pub records_in: Counter,
    /// Records that went out (`numRecordsOut`).
    pub records_out: Counter,
    /// Bytes that came in, at sources (`numBytesIn`).
    pub bytes_in: Counter,
    /// Bytes that went out, at sinks (`numBytesOut`).
    pub bytes_out: Counter,
    /// Records that came too late for their window (`numLateRecordsDropped`, though none is dropped here).
    pub late: Counter,
    /// The last watermark that went out (`currentOutputWatermark`).
    pub watermark: Gauge,
    /// Records that wait in the source's system to be read (`pendingRecords`); below 0 where that is not
    /// known.
    pub pending: Gauge,
    /// Ingest-to-sink latency, at sinks.
    pub latency: Latency,
    /// Of a sink: the rows that its system has not acknowledged.
    pub unwritten: Unwritten,
    /// Records that it refused, by reason.
    pub reasons: Arc<Reasons>,
    /// Of an operator that assigns event times: the last watermark before the final one.
    pub event_time: Gauge,
    system: Mutex<String>,
    named: Mutex<BTreeMap<&'static str, Arc<Counter>>>,
    states: Mutex<BTreeMap<String, Arc<StateMetrics>>>,
    holder: Mutex<String>,
    ahead: Mutex<BTreeMap<SplitId, Ahead>>,
}

/// Records of one split whose times were beyond what the wall clock allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// How many.
    pub records: u64,
    /// How far the furthest was ahead of the wall clock when it came, in milliseconds.
    pub furthest: Time,
}

impl OperatorMetrics {
    /// Metrics for an operator, all at nothing.
    pub fn new(name: &str) -> Self {
        let watermark = Gauge::default();
        watermark.set(MIN_TIME);
        let pending = Gauge::default();
        pending.set(-1);
        let event_time = Gauge::default();
        event_time.set(MIN_TIME);
        Self {
            name: name.to_owned(),
            records_in: Counter::default(),
            records_out: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            late: Counter::default(),
            watermark,
            pending,
            latency: Latency::default(),
            unwritten: Unwritten::default(),
            reasons: Arc::default(),
            event_time,
            system: Mutex::default(),
            named: Mutex::default(),
            states: Mutex::default(),
            holder: Mutex::default(),
            ahead: Mutex::default(),
        }
    }

    /// Of a sink: records that it has taken, and that its system has neither acknowledged nor refused. Those
    /// of an earlier attempt that it was given back do not count.
    pub fn unacknowledged(&self) -> u64 {
        let done = self.latency.count() + self.counter("deadLetters").get();
        self.records_in.get().saturating_sub(done)
    }

    /// Of a sink: names the system that it writes to as troubles do, such as "Redis at redis://shop:6379".
    pub fn set_system(&self, subject: &str) {
        subject.clone_into(&mut self.system.lock());
    }

    /// Of a sink: the system that it writes to; empty where its writer does not say.
    pub fn system(&self) -> String {
        self.system.lock().clone()
    }

    /// A counter of the operator's own, such as `deadLetters`; the same one for the same name.
    pub fn counter(&self, name: &'static str) -> Arc<Counter> {
        let mut named = self.named.lock();
        Arc::clone(named.entry(name).or_default())
    }

    /// All counters of the operator's own.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        let named = self.named.lock();
        named.iter().map(|(name, counter)| (*name, counter.get())).collect()
    }

    /// The metrics of a keyed state: the same ones for the same name.
    pub fn state(&self, name: &str) -> Arc<StateMetrics> {
        let mut states = self.states.lock();
        Arc::clone(states.entry(name.to_owned()).or_default())
    }

    /// All keyed states, by name.
    pub fn states(&self) -> Vec<(String, Arc<StateMetrics>)> {
        let states = self.states.lock();
        states.iter().map(|(name, metrics)| (name.clone(), Arc::clone(metrics))).collect()
    }

    /// Says who holds the watermark back: a split, or `the clock` where events are ahead of it; empty for
    /// nobody.
    pub fn set_holder(&self, split: &str) {
        let mut holder = self.holder.lock();
        if *holder != split {
            split.clone_into(&mut holder);
        }
    }

    /// Counts records of a split whose times were ahead of the wall clock, by `furthest` milliseconds at
    /// most.
    pub fn add_ahead(&self, split: &SplitId, records: u64, furthest: Time) {
        let mut ahead = self.ahead.lock();
        let known = ahead.entry(Arc::clone(split)).or_default();
        known.records += records;
        known.furthest = known.furthest.max(furthest);
    }

    /// By split: records whose times were ahead of the wall clock.
    pub fn ahead(&self) -> BTreeMap<SplitId, Ahead> {
        self.ahead.lock().clone()
    }

    /// Who holds the watermark back: a split, or `the clock`; empty for nobody.
    pub fn holder(&self) -> String {
        self.holder.lock().clone()
    }
}

/// The metrics of one subtask; the driver keeps the first part, the operators their own.
#[derive(Debug, Default)]
pub struct SubtaskMetrics {
    /// The stage's name.
    pub stage: String,
    /// Which of the stage's parallel subtasks.
    pub subtask: u16,
    /// Time spent in calls of the stage (`busyTimeMsPerSecond`).
    pub busy_nanos: Counter,
    /// Time spent waiting for input (`idleTimeMsPerSecond`).
    pub idle_nanos: Counter,
    /// Time spent waiting for room downstream, or for a sink that is blocked
    /// (`backPressuredTimeMsPerSecond`).
    pub back_pressured_nanos: Counter,
    /// Bytes in the input queues.
    pub queued_bytes: Gauge,
    /// What the input queues hold at most (with the gauge above: `inPoolUsage`).
    pub queue_capacity: Gauge,
    /// What is in trouble in the whole job: a store that is away, a broker that does not answer.
    pub troubles: Arc<Troubles>,
    operators: Mutex<Vec<Arc<OperatorMetrics>>>,
}

impl SubtaskMetrics {
    /// Metrics for one subtask of a stage, alone in its job.
    pub fn new(stage: &str, subtask: u16) -> Self {
        Self::within(stage, subtask, Arc::default())
    }

    /// Metrics for one subtask of a job that has these troubles.
    pub fn within(stage: &str, subtask: u16, troubles: Arc<Troubles>) -> Self {
        Self { stage: stage.to_owned(), subtask, troubles, ..Self::default() }
    }

    /// The metrics of an operator: the same ones for the same name.
    pub fn operator(&self, name: &str) -> Arc<OperatorMetrics> {
        let mut operators = self.operators.lock();
        if let Some(known) = operators.iter().find(|metrics| metrics.name == name) {
            return Arc::clone(known);
        }
        let metrics = Arc::new(OperatorMetrics::new(name));
        operators.push(Arc::clone(&metrics));
        metrics
    }

    /// The operators in the order in which they were opened.
    pub fn operators(&self) -> Vec<Arc<OperatorMetrics>> {
        self.operators.lock().clone()
    }
}

/// All metrics of a running job.
#[derive(Debug, Default)]
pub struct JobMetrics {
    /// The job's name.
    pub job: String,
    /// Its subtasks, stage by stage.
    pub subtasks: Vec<Arc<SubtaskMetrics>>,
    /// What is in trouble.
    pub troubles: Arc<Troubles>,
}

impl JobMetrics {
    /// Every operator of every subtask.
    pub fn operators(&self) -> impl Iterator<Item = (&SubtaskMetrics, Arc<OperatorMetrics>)> {
        self.subtasks.iter().flat_map(|subtask| {
            subtask.operators().into_iter().map(move |operator| (subtask.as_ref(), operator))
        })
    }

    /// The lowest watermark of all operators with this name.
    pub fn watermark(&self, operator: &str) -> Option<Time> {
        self.lowest(operator).map(|(time, _)| time)
    }

    /// Who holds back the lowest watermark of all operators with this name: a split, or `the clock`; empty
    /// for nobody.
    pub fn watermark_holder(&self, operator: &str) -> String {
        self.lowest(operator).map(|(_, holder)| holder).unwrap_or_default()
    }

    // A subtask without splits holds nobody up, wherever its watermark stands.
    fn lowest(&self, operator: &str) -> Option<(Time, String)> {
        let same = self.operators().filter(|(_, metrics)| metrics.name == operator);
        let held = same.map(|(_, metrics)| (metrics.watermark.get(), metrics.holder()));
        held.min_by_key(|(time, holder)| (holder.is_empty(), *time))
    }
}
