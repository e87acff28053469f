//! A store whose every answer is scripted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use millstream_delivery::{
    Item, ItemError, Items, Limits, Mapping, Names, NotReady, Reply, Store, Verdict, Work, Writers,
};
use millstream_record::record::{from_bytes, to_bytes};
use millstream_record::{Error, Result};
use millstream_sim::{DrivenWriter, Harness, Simulated};
use millstream_stage::io::Io;
use millstream_stage::sink::{Guarantee, Sink, SinkWriter};
use millstream_stage::{OpenContext, Version};
use parking_lot::{Mutex, MutexGuard};

/// A record: a key and a value.
pub(crate) type Row = (u64, u64);

/// The key of a record that becomes no item.
pub(crate) const UNFIT: u64 = 4_000_000_000;

/// How the store takes one request.
#[derive(Clone, Debug)]
pub(crate) enum ScriptedReply {
    /// It judges each item by [`Store::judge`].
    Well,
    /// As `Well`, after this time.
    Slow(Duration),
    /// Nothing happens, and the caller hears of a broken connection.
    Lost,
    /// All of it is written, and the caller hears of a broken connection.
    Unheard,
    /// Half of it is written, and the caller hears of a broken connection.
    Half,
    /// It is written now, and once more after this time, by a client that repeats by itself.
    Twice(Duration),
    /// It is written or not, and nobody ever hears of it.
    Never { written: bool },
    /// The store is too busy.
    Busy,
    /// Refused as a whole for this number of items or more.
    TooLarge(usize),
    /// Refused as a whole, as if one item spoilt it; an item that is alone as well.
    Malformed,
    /// The right to write was taken away.
    Forbidden,
    /// The answer has fewer verdicts than the request has items.
    Short,
}

/// What is in the store, and what it has seen.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) rows: BTreeMap<u64, (u64, Version)>,
    // By writer and key.
    on_their_way: BTreeSet<(usize, u64)>,
    writers: usize,
    /// Requests so far.
    pub(crate) requests: usize,
    /// Attempts of the start so far.
    pub(crate) starts: usize,
    /// Most requests at once.
    pub(crate) most_at_once: usize,
    at_once: usize,
    // The keys of the latest request.
    latest: Vec<u64>,
}

type Judge = dyn Fn(Row) -> Verdict + Send + Sync;
type Weather = dyn FnMut(usize) -> ScriptedReply + Send;
type Gate = dyn Fn(usize) -> Result<(), NotReady> + Send + Sync;

/// The store that all writers share, and its script.
#[derive(Clone)]
pub(crate) struct Script {
    state: Arc<Mutex<State>>,
    weather: Arc<Mutex<Box<Weather>>>,
    judge: Arc<Mutex<Arc<Judge>>>,
    gate: Arc<Gate>,
    limits: Limits,
}

/// Small limits, so that everything happens within a test.
pub(crate) fn limits() -> Limits {
    Limits {
        batch_items: 20,
        request_items: 20,
        request_bytes: 20 * 100,
        linger: Duration::from_millis(50),
        in_flight: 3,
        buffer_bytes: 200 * 100,
        first_pause: Duration::from_millis(100),
        longest_pause: Duration::from_secs(10),
        give_up: None,
        start_timeout: Duration::from_secs(60),
        answer_timeout: Duration::from_secs(30),
    }
}

impl Default for Script {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            weather: Arc::new(Mutex::new(Box::new(|_| ScriptedReply::Well))),
            judge: Arc::new(Mutex::new(Arc::new(|_| Verdict::Written))),
            gate: Arc::new(|_| Ok(())),
            limits: limits(),
        }
    }
}

impl Script {
    /// What happens to the request with this number, counted from 0.
    pub(crate) fn weather(self, weather: impl FnMut(usize) -> ScriptedReply + Send + 'static) -> Self {
        *self.weather.lock() = Box::new(weather);
        self
    }

    /// What the store thinks of an item; from now on.
    pub(crate) fn judge(&self, judge: impl Fn(Row) -> Verdict + Send + Sync + 'static) {
        *self.judge.lock() = Arc::new(judge);
    }

    /// Whether the store is ready at the attempt with this number, counted from 0.
    pub(crate) fn gate(self, gate: impl Fn(usize) -> Result<(), NotReady> + Send + Sync + 'static) -> Self {
        Self { gate: Arc::new(gate), ..self }
    }

    /// Other limits than the small ones.
    pub(crate) fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    pub(crate) fn writers(&self) -> Writers<Self> {
        Writers::new(self.clone())
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Whether the request that is being judged has this key.
    pub(crate) fn carries(&self, key: u64) -> bool {
        self.state().latest.contains(&key)
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        self.state().rows.iter().map(|(key, (value, _))| (*key, *value)).collect()
    }

    /// A writer of epoch 1 in a world of its own.
    pub(crate) fn writer(&self) -> DrivenWriter<Row> {
        DrivenWriter::open(self, Harness::new(Arc::new(Simulated::default()))).unwrap()
    }

    // Like a real store: what is newer stays. Nobody ever sends one id in two requests at once.
    fn write(&self, row: Row, version: Version) -> Verdict {
        let verdict = (self.judge.lock().clone())(row);
        if !matches!(verdict, Verdict::Written) {
            return verdict;
        }
        let mut state = self.state();
        match state.rows.get(&row.0) {
            Some((_, known)) if *known > version => Verdict::Stale,
            _ => {
                state.rows.insert(row.0, (row.1, version));
                Verdict::Written
            }
        }
    }

    fn write_all(&self, rows: &[(Row, Version)]) -> Reply {
        Reply::Items(rows.iter().map(|(row, version)| self.write(*row, *version)).collect())
    }

    fn begin(&self, writer: usize, rows: &[(Row, Version)]) -> ScriptedReply {
        let number = {
            let mut state = self.state();
            for (row, _) in rows {
                assert!(state.on_their_way.insert((writer, row.0)), "key {} is on its way twice", row.0);
            }
            state.latest = rows.iter().map(|(row, _)| row.0).collect();
            state.at_once += 1;
            state.most_at_once = state.most_at_once.max(state.at_once);
            state.requests += 1;
            state.requests - 1
        };
        (self.weather.lock())(number)
    }

    fn end(&self, writer: usize, rows: &[(Row, Version)]) {
        let mut state = self.state();
        state.at_once -= 1;
        for (row, _) in rows {
            state.on_their_way.remove(&(writer, row.0));
        }
    }
}

// Whatever ends a request, also dropping it.
struct Request {
    script: Script,
    writer: usize,
    rows: Vec<(Row, Version)>,
}

impl Drop for Request {
    fn drop(&mut self) {
        self.script.end(self.writer, &self.rows);
    }
}

impl Request {
    async fn run(self, answer: ScriptedReply, io: Arc<dyn Io>) -> Reply {
        const ROUND_TRIP: Duration = Duration::from_millis(3);
        io.sleep(ROUND_TRIP).await;
        let broken = || Reply::Wait { reason: "the connection is broken".to_owned(), overloaded: false };
        let all = self.rows.as_slice();
        match answer {
            ScriptedReply::Well => self.script.write_all(all),
            ScriptedReply::Slow(time) => {
                io.sleep(time).await;
                self.script.write_all(all)
            }
            ScriptedReply::Lost => broken(),
            ScriptedReply::Unheard => {
                self.script.write_all(all);
                broken()
            }
            ScriptedReply::Half => {
                self.script.write_all(&all[..all.len() / 2]);
                broken()
            }
            ScriptedReply::Twice(time) => {
                let (script, rows) = (self.script.clone(), self.rows.clone());
                let again = io.sleep(time);
                io.spawn(Box::pin(async move {
                    again.await;
                    script.write_all(&rows);
                }));
                self.script.write_all(all)
            }
            ScriptedReply::Never { written } => {
                if written {
                    self.script.write_all(all);
                }
                std::future::pending().await
            }
            ScriptedReply::Busy => Reply::Wait { reason: "too many requests".to_owned(), overloaded: true },
            ScriptedReply::TooLarge(items) if all.len() >= items => {
                Reply::Halve(Verdict::Refused("too large".to_owned()))
            }
            ScriptedReply::TooLarge(_) => self.script.write_all(all),
            ScriptedReply::Malformed => Reply::Halve(Verdict::Unclear("malformed".to_owned())),
            ScriptedReply::Forbidden => Reply::Stop(Error::configuration("the file is read-only")),
            ScriptedReply::Short => Reply::Items(Vec::new()),
        }
    }
}

/// One writer's way to the store.
pub(crate) struct Link {
    script: Script,
    writer: usize,
    io: Arc<dyn Io>,
}

impl Store for Link {
    type Item = Cell;

    fn names(&self) -> Names {
        Names {
            kind: "scripted",
            product: "The store",
            stale: "stale",
            overloaded: Some("rejected"),
            start_timeout: "start.timeout",
            give_up: "give-up",
        }
    }

    fn subject(&self) -> String {
        "the scripted store".to_owned()
    }

    fn start(&mut self, _: &Arc<Vec<Cell>>) -> Work<Result<(), NotReady>> {
        let (script, pause) = (self.script.clone(), self.io.sleep(Duration::from_millis(1)));
        Work::future(async move {
            pause.await;
            let attempt = {
                let mut state = script.state();
                state.starts += 1;
                state.starts - 1
            };
            (script.gate)(attempt)
        })
    }

    fn request(&mut self, items: Items<'_, Cell>) -> Work<Reply> {
        assert_eq!(items.len(), items.iter().len());
        let rows: Vec<_> = items.iter().map(|(cell, version)| (cell.row, version)).collect();
        let answer = self.script.begin(self.writer, &rows);
        let request = Request { script: self.script.clone(), writer: self.writer, rows };
        Work::future(request.run(answer, Arc::clone(&self.io)))
    }

    fn thaw(&self, item: &[u8]) -> Result<(Cell, Version)> {
        let (key, value, version) = from_bytes::<(u64, u64, String)>(item)?;
        Ok((Cell { row: (key, value) }, version.parse()?))
    }
}

/// An item. Keys from 1000 on are in places of their own, by their thousand.
#[derive(Debug)]
pub(crate) struct Cell {
    row: Row,
}

impl Item for Cell {
    fn hash(&self) -> u64 {
        self.row.0
    }
    fn same_id(&self, other: &Self) -> bool {
        self.row.0 == other.row.0
    }
    fn bytes(&self) -> usize {
        100
    }
    fn memory(&self) -> usize {
        0
    }
    fn place(&self) -> &str {
        ["first", "second", "third"][usize::try_from(self.row.0 / 1000).unwrap().min(2)]
    }
    fn title(&self) -> String {
        format!("key {}", self.row.0)
    }
    fn value(&self) -> Vec<u8> {
        self.row.0.to_string().into_bytes()
    }
    fn freeze(&self, version: Version) -> Vec<u8> {
        to_bytes(&(self.row.0, self.row.1, version.to_string()))
    }
}

impl Mapping<Row> for Script {
    type Store = Link;

    fn open(&self, _: &str, cx: &OpenContext) -> Result<(Link, Limits)> {
        self.state().writers += 1;
        let writer = self.state().writers;
        Ok((Link { script: self.clone(), writer, io: Arc::clone(&cx.io) }, self.limits.clone()))
    }

    fn item(&self, record: &Row, _: Version) -> Result<Cell, ItemError> {
        match record.0 {
            UNFIT => {
                Err(ItemError::Refused { value: b"unfit".to_vec(), reason: "it fits nowhere".to_owned() })
            }
            _ => Ok(Cell { row: *record }),
        }
    }
}

impl Sink<Row> for Script {
    fn kind(&self) -> &'static str {
        "scripted"
    }
    fn guarantee(&self) -> Guarantee {
        Guarantee::IdempotentFenced
    }
    fn writer(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SinkWriter<Row>>> {
        self.writers().writer(name, cx)
    }
}

/// Rows with these keys.
pub(crate) fn rows(keys: std::ops::Range<u64>) -> Vec<Row> {
    keys.map(|key| (key, key * 10)).collect()
}

/// What a writer has counted under this name.
pub(crate) fn counted(writer: &DrivenWriter<Row>, counter: &'static str) -> u64 {
    writer.harness().metrics().operator("sink").counter(counter).get()
}

/// What is in trouble for as long as the writer knows.
pub(crate) fn trouble(writer: &DrivenWriter<Row>) -> Option<String> {
    let harness = writer.harness();
    let ongoing = harness.metrics().troubles.ongoing(harness.clock().nanos());
    ongoing.into_iter().next().map(|trouble| format!("{}: {}", trouble.subject, trouble.why))
}

/// Turns until it is so many milliseconds later; how many turns that took.
pub(crate) fn turn_for(writer: &mut DrivenWriter<Row>, millis: i64) -> Result<usize> {
    let end = writer.harness().clock().now() + millis;
    let mut turns = 0;
    while writer.harness().clock().now() < end {
        let wake_at = writer.wake_at().map_or(end, |at| at.min(end));
        writer.harness().wait(Some(wake_at))?;
        writer.resume()?;
        turns += 1;
        if turns > 100_000 {
            return Err(Error::bug("it turns in a circle"));
        }
    }
    Ok(turns)
}
