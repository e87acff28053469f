//! The job of the proof: one input, with an end or without; running counts per user to documents, a table and
//! a topic; windows and their late records to topics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_api::Environment;
use millstream_operators::collection::Collection;
use millstream_operators::operators::{KeyedProcessFunction, WatermarkStrategy};
use millstream_operators::state::{KeyedContext, ValueState};
use millstream_operators::window::{Count, Tumbling};
use millstream_record::{Record, Result};
use millstream_stage::operator::SideTag;
use millstream_stage::plan::Plan;
use rand::{Rng, RngExt};

use crate::feed::Feed;
use crate::stores::{Documents, Ledger, Row, SharedStore, Topic};
use crate::transactions::Transactions;
use crate::upserts::{Target, Upserts};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
pub(crate) struct Click {
    user: u64,
    id: u64,
    at: i64,
}

const WINDOW: i64 = 20_000;
const OUT_OF_ORDERNESS: i64 = 2_000;

/// Where the job's results go.
#[derive(Clone)]
pub(crate) struct Outside {
    documents: SharedStore<Documents>,
    ledger: SharedStore<Ledger>,
    counts: SharedStore<Topic>,
    windows: SharedStore<Topic>,
    late: SharedStore<Topic>,
}

/// What is different from seed to seed.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) clicks: Vec<Click>,
    pub(crate) splits: usize,
    /// How many of the splits are there at the start, where the input has no end: some of its splits stay
    /// empty.
    pub(crate) live: Option<usize>,
    pub(crate) parallelism: u16,
    pub(crate) snapshots: bool,
    pub(crate) counts_firings: bool,
}

impl Shape {
    pub(crate) fn of(chance: &mut impl Rng, counts_firings: bool) -> Self {
        // Where a user comes but once or twice, a write that was lost is not covered up by the next one.
        let users =
            if chance.random_bool(0.5) { chance.random_range(1..8) } else { chance.random_range(30..150) };
        let click = |id: u64, chance: &mut dyn FnMut(u64) -> u64| {
            // One in five comes late, some of them far too late.
            let behind = if chance(5) == 0 { chance(90_000) } else { chance(1_500) };
            Click { user: chance(users), id, at: id as i64 * 900 - behind as i64 + 100_000 }
        };
        let live = chance.random_bool(0.5);
        let count = if live { chance.random_range(20..80) } else { chance.random_range(20..250) };
        let clicks = (0..count).map(|id| click(id, &mut |below| chance.random_range(0..below))).collect();
        Self {
            clicks,
            // Few splits leave readers without any; many are found one by one while the job runs.
            splits: if live && chance.random_bool(0.5) { 12 } else { chance.random_range(1..5) },
            live: live.then(|| chance.random_range(0..4)),
            parallelism: chance.random_range(1..4),
            snapshots: chance.random_bool(0.5),
            counts_firings,
        }
    }
}

impl Shape {
    /// The clicks of each split, where the input has no end. Every third split stays empty.
    fn feed(&self) -> Vec<Vec<Click>> {
        let mut splits = vec![Vec::new(); self.splits];
        let filled: Vec<_> = (0..self.splits).filter(|split| split % 3 != 1).collect();
        for (number, click) in self.clicks.iter().enumerate() {
            splits[filled[number % filled.len()]].push(click.clone());
        }
        splits
    }

    /// Up to where event time must have come when everything was read: splits without records hold nothing
    /// back.
    fn watermark(&self) -> i64 {
        let splits = self.feed();
        let highest = splits.iter().filter_map(|clicks| clicks.iter().map(|click| click.at).max());
        let slowest = highest.min().unwrap_or(i64::MAX);
        slowest.saturating_sub(OUT_OF_ORDERNESS).saturating_sub(1)
    }
}

impl Outside {
    pub(crate) fn new(seed: u64, faults: f64) -> Self {
        Self {
            documents: SharedStore::new(seed, faults),
            ledger: SharedStore::new(seed + 1, faults),
            counts: SharedStore::new(seed + 2, faults),
            windows: SharedStore::new(seed + 3, faults),
            late: SharedStore::new(seed + 4, faults),
        }
    }
}

/// Counts each user's clicks.
struct Running {
    count: ValueState<u64>,
}

impl KeyedProcessFunction for Running {
    type Key = u64;
    type In = Click;
    type Out = Row;

    fn process(&mut self, click: Click, cx: &mut KeyedContext<'_, u64, Row>) -> Result<()> {
        let count = self.count.get(cx).copied().unwrap_or(0) + 1;
        self.count.set(cx, count);
        cx.collect((click.user, count));
        Ok(())
    }
}

/// A window's row in the topic: its user and its number in one.
fn window_key(user: u64, start: i64) -> u64 {
    user << 32 | (start / WINDOW) as u64
}

pub(crate) fn plan(shape: &Shape, outside: &Outside) -> Result<Plan> {
    let env = Environment::new("proof").with_parallelism(shape.parallelism);
    let strategy =
        WatermarkStrategy::bounded_out_of_orderness(Duration::from_millis(OUT_OF_ORDERNESS as u64))
            .with_timestamps(|click: &Click| click.at);
    let (clicks, strategy) = match shape.live {
        Some(at_start) => {
            let feed = Feed { splits: Arc::new(shape.feed()), at_start: at_start.min(shape.splits) };
            (env.source("clicks", feed), strategy.without_idleness())
        }
        None => {
            let all = Collection::of(shape.clicks.clone()).in_splits(shape.splits);
            (env.source("clicks", all), strategy)
        }
    };
    let clicks = clicks.assign_timestamps_and_watermarks("times", strategy);
    let counts = clicks
        .key_by(|click: &Click| click.user)
        .process("running", |states| Ok(Running { count: states.value("count")? }));
    let upserts =
        |target| Upserts { target, snapshots: shape.snapshots, counts_firings: shape.counts_firings };
    counts.sink_to("documents", upserts(Target::Documents(outside.documents.clone())));
    counts.sink_to("ledger", upserts(Target::Ledger(outside.ledger.clone())));
    counts.sink_to("counts", Transactions(outside.counts.clone()));
    let late = SideTag::new("late");
    let windows = clicks
        .key_by(|click: &Click| click.user)
        .window(Tumbling::of(Duration::from_millis(WINDOW as u64)))
        .side_output_late_data(&late)
        .aggregate("count", Count, |user: &u64, window, count| (window_key(*user, window.start), count));
    windows.sink_to("windows", Transactions(outside.windows.clone()));
    let late = windows.side_output(&late).map("late rows", |click: Click| {
        (window_key(click.user, click.at.div_euclid(WINDOW) * WINDOW), click.id)
    });
    late.sink_to("late", Transactions(outside.late.clone()));
    env.plan()
}

/// Compares what is outside with what the input says, by brute force; the topics only where that is asked
/// for.
///
/// # Errors
/// What is wrong, in words.
pub(crate) fn audit(shape: &Shape, outside: &Outside, topics: bool) -> Result<(), String> {
    let mut totals = BTreeMap::new();
    let mut windows: BTreeMap<u64, u64> = BTreeMap::new();
    for click in &shape.clicks {
        *totals.entry(click.user).or_insert(0_u64) += 1;
        *windows.entry(window_key(click.user, click.at.div_euclid(WINDOW) * WINDOW)).or_default() += 1;
    }
    let documents = outside.documents.look(|documents| {
        documents.0.iter().map(|(key, (value, _))| (*key, *value)).collect::<BTreeMap<_, _>>()
    });
    same("documents", &documents, &totals)?;
    same("ledger", &outside.ledger.look(|ledger| ledger.rows.clone()), &totals)?;
    if !topics {
        return Ok(());
    }
    let mut counts = outside.counts.look(|topic| topic.rows.clone());
    counts.sort_unstable();
    let wanted: Vec<Row> =
        totals.iter().flat_map(|(user, total)| (1..=*total).map(|count| (*user, count))).collect();
    if counts != wanted {
        return Err(format!("topic of counts: {}", difference(&counts, &wanted)));
    }
    audit_windows(shape, &windows, outside)
}

// Which records are late depends on how far event time had come. But each is in one window or late, once; and
// no window fires twice. Where the input has no end, the windows that event time has not passed may not have
// fired.
fn audit_windows(shape: &Shape, truth: &BTreeMap<u64, u64>, outside: &Outside) -> Result<(), String> {
    let rows = outside.windows.look(|topic| topic.rows.clone());
    let mut sums: BTreeMap<u64, u64> = BTreeMap::new();
    for (window, count) in rows {
        if sums.insert(window, count).is_some() {
            return Err(format!("window {window:x} has fired twice"));
        }
    }
    let mut late = outside.late.look(|topic| topic.rows.clone());
    late.sort_unstable();
    if let Some(twice) = late.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("late record {:?} comes twice", twice[0]));
    }
    late.iter().for_each(|(window, _)| *sums.entry(*window).or_default() += 1);
    let mut truth = truth.clone();
    if shape.live.is_some() {
        let watermark = shape.watermark();
        let open = |window: &u64| (window & 0xffff_ffff) as i64 * WINDOW + WINDOW - 1 > watermark;
        if let Some((window, count)) = sums.iter().find(|(window, count)| truth.get(window) < Some(count)) {
            return Err(format!("window {window:x} has {count} records, more than there are"));
        }
        truth.retain(|window, _| !open(window));
        sums.retain(|window, _| !open(window));
    }
    same("windows with their late records", &sums, &truth)
}

fn same(what: &str, found: &BTreeMap<u64, u64>, truth: &BTreeMap<u64, u64>) -> Result<(), String> {
    let rows = |map: &BTreeMap<u64, u64>| map.iter().map(|(key, value)| (*key, *value)).collect::<Vec<_>>();
    if found == truth { Ok(()) } else { Err(format!("{what}: {}", difference(&rows(found), &rows(truth)))) }
}

fn difference(found: &[Row], truth: &[Row]) -> String {
    let mut missing = truth.to_vec();
    let mut surplus = Vec::new();
    for row in found {
        match missing.iter().position(|other| other == row) {
            Some(at) => drop(missing.remove(at)),
            None => surplus.push(*row),
        }
    }
    format!("{missing:x?} is missing, {surplus:x?} is too much")
}
