//! One subtask's writer: gathers rows and has them written, one transaction at a time.

use std::sync::Arc;

use millstream_core::context::{Context, OpenContext};
use millstream_core::dead_letter::DeadLetter;
use millstream_core::figures::{Counter, OperatorFigures};
use millstream_core::io::Completions;
use millstream_core::sink::SinkWriter;
use millstream_core::snapshot::{CheckpointId, Frozen, OperatorList, Redistribute};
use millstream_core::time::{Time, millis};
use millstream_core::{Budget, Data, Error, Result, Rows, Step};

use crate::batch::Batch;
use crate::client::{Database, Failure, Identity, Rejected};
use crate::config::SqliteOptions;
use crate::encode::{Fault, Value, from_item};
use crate::sink::Mapping;
use crate::table::Table;
use crate::wal::Wal;

const STATE: &str = "unacknowledged";

pub(crate) struct SqliteWriter<T> {
    options: Arc<SqliteOptions>,
    table: Arc<Table>,
    map: Mapping<T>,
    open: Option<Open>,
}

impl<T> SqliteWriter<T> {
    pub(crate) fn new(options: Arc<SqliteOptions>, table: Arc<Table>, map: Mapping<T>) -> Self {
        Self { options, table, map, open: None }
    }

    fn opened(&mut self) -> Result<&mut Open> {
        self.open
            .as_mut()
            .ok_or_else(|| Error::bug("a SQLite writer was used before it was opened or after it was closed"))
    }
}

impl<T: Data> SinkWriter<T> for SqliteWriter<T> {
    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        self.open = Some(Open::new(name, Arc::clone(&self.options), Arc::clone(&self.table), cx)?);
        Ok(())
    }

    fn write(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<T>,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<Step> {
        let map = Arc::clone(&self.map);
        let open = self.opened()?;
        for (record, _) in rows.drain() {
            open.push(cx, |table, out| map(&record, table, out), dead)?;
        }
        open.go_on(cx, dead)
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        self.opened()?.go_on(cx, dead)
    }

    fn flush(&mut self, cx: &mut Context<'_>, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        let open = self.opened()?;
        open.flushing = true;
        let step = open.go_on(cx, dead)?;
        open.flushing = !open.is_empty();
        // The transaction that is taking place wakes the subtask.
        Ok(Step { blocked: open.flushing, ..step })
    }

    // What was not acknowledged is in the snapshot.
    fn prepare(&mut self, _: &mut Context<'_>, _: CheckpointId, _: &mut Rows<DeadLetter>) -> Result<Step> {
        Ok(Step::DONE)
    }

    fn snapshot(&mut self, _: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        frozen.lists.push(self.opened()?.snapshot());
        Ok(())
    }

    fn close(&mut self) {
        self.open = None;
    }
}

struct Open {
    name: String,
    options: Arc<SqliteOptions>,
    table: Arc<Table>,
    // The file was opened and claimed, and what the attempt before had left over is in it.
    prepared: bool,
    restored: Vec<Vec<u8>>,
    waiting: Batch,
    // At most one transaction takes place: rows of one key stay in order.
    writing: Option<Arc<Batch>>,
    // None while a call has it.
    database: Option<Database>,
    completions: Completions<Done>,
    flushing: bool,
    busy: Option<Busy>,
    figures: Arc<OperatorFigures>,
    retries: Arc<Counter>,
}

// Somebody else writes to the file, and has for a while.
#[derive(Clone, Copy)]
struct Busy {
    since: Time,
    until: Time,
}

struct Done {
    database: Database,
    result: Result<Rejected, Failure>,
}

impl Open {
    fn new(name: &str, options: Arc<SqliteOptions>, table: Arc<Table>, cx: &mut OpenContext) -> Result<Self> {
        let epoch = i64::try_from(cx.epoch).map_err(|_| Error::bug("an epoch above 2^63"))?;
        let identity = Identity { job: cx.job.clone(), sink: name.to_owned(), epoch };
        let restored = cx.restored.take_list(name, STATE);
        let rows = restored.iter().map(|item| from_item(item)).collect::<Result<Vec<_>>>()?;
        let database =
            Database::new(Arc::clone(&options), Arc::clone(&table), identity, rows, Wal::new(&options, cx));
        let figures = cx.figures_of(name);
        let mut open = Self {
            name: name.to_owned(),
            waiting: Batch::new(Arc::clone(&table)),
            options,
            table,
            prepared: false,
            restored,
            writing: None,
            database: None,
            completions: Completions::default(),
            flushing: false,
            busy: None,
            retries: figures.counter("retries"),
            figures,
        };
        open.completions.spawn_blocking(cx.io.as_ref(), &cx.waker, || run(database, None));
        Ok(open)
    }

    fn push(
        &mut self,
        cx: &Context<'_>,
        fill: impl FnOnce(&Table, &mut Vec<Value>) -> Result<(), Fault>,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<()> {
        match self.waiting.push(cx.ingest, cx.now(), fill) {
            Ok(()) => Ok(()),
            Err(Fault::Refused { raw, reason }) => {
                self.refuse(raw, &reason, cx.now(), dead);
                Ok(())
            }
            Err(Fault::Stop(error)) => Err(error),
        }
    }

    fn refuse(&self, raw: Vec<u8>, reason: &str, now: Time, dead: &mut Rows<DeadLetter>) {
        dead.push(DeadLetter::of_value(&self.name, "sqlite", raw, now, reason), now);
    }

    fn go_on(&mut self, cx: &Context<'_>, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        for done in self.completions.drain()? {
            self.settle(cx, done, dead)?;
        }
        self.start(cx);
        Ok(self.step(cx.now()))
    }

    fn settle(&mut self, cx: &Context<'_>, done: Done, dead: &mut Rows<DeadLetter>) -> Result<()> {
        self.database = Some(done.database);
        match done.result {
            Ok(rejected) => {
                self.busy = None;
                self.prepared = true;
                self.restored = Vec::new();
                self.acknowledge(cx, rejected, dead);
                Ok(())
            }
            Err(Failure::Busy(reason)) => self.wait_for_others(cx.now(), reason),
            Err(Failure::Stop(error)) => Err(error),
        }
    }

    fn acknowledge(&mut self, cx: &Context<'_>, rejected: Rejected, dead: &mut Rows<DeadLetter>) {
        let Some(batch) = self.writing.take() else {
            return;
        };
        for (row, reason) in rejected {
            self.refuse(batch.json_of(row), &reason, cx.now(), dead);
        }
        self.figures.bytes_out.add(batch.bytes() as u64);
        let now = cx.nanos();
        for (ingest, count) in batch.ingests() {
            self.figures.latency.record(now.saturating_sub(*ingest), *count);
        }
    }

    // The call itself has waited for `busy-timeout` already: a short pause is enough.
    fn wait_for_others(&mut self, now: Time, reason: String) -> Result<()> {
        const PAUSE: Time = 50;
        let since = self.busy.map_or(now, |busy| busy.since);
        self.busy = Some(Busy { since, until: now + PAUSE });
        self.retries.add(1);
        if now - since < millis(self.options.retry_for) {
            return Ok(());
        }
        let (path, patience) = (self.options.path.display(), self.options.retry_for);
        Err(Error::restart(format!("sqlite: another program has kept {path} locked for {patience:?}"))
            .caused_by(reason))
    }

    fn start(&mut self, cx: &Context<'_>) {
        let now = cx.now();
        if self.busy.is_some_and(|busy| now < busy.until) {
            return;
        }
        if self.prepared && self.writing.is_none() && !self.is_due(now) {
            return;
        }
        let Some(database) = self.database.take() else {
            return;
        };
        if self.writing.is_none() && self.waiting.len() > 0 {
            let batch = std::mem::replace(&mut self.waiting, Batch::new(Arc::clone(&self.table)));
            self.writing = Some(Arc::new(batch));
        }
        let batch = self.writing.clone();
        self.completions.spawn_blocking(cx.io().as_ref(), cx.waker(), move || run(database, batch));
    }

    fn is_due(&self, now: Time) -> bool {
        let old = self.due_at().is_some_and(|due| now >= due);
        self.waiting.len() > 0
            && (old || self.flushing || self.waiting.len() >= self.options.batch_records || self.is_full())
    }

    fn due_at(&self) -> Option<Time> {
        self.waiting.since().map(|since| since.saturating_add(millis(self.options.linger)))
    }

    fn is_full(&self) -> bool {
        let writing = self.writing.as_ref().map_or(0, |batch| batch.bytes());
        self.waiting.bytes() + writing > self.options.buffer_bytes
    }

    fn is_empty(&self) -> bool {
        self.prepared && self.waiting.len() == 0 && self.writing.is_none()
    }

    // While a transaction takes place, its end wakes the subtask.
    fn step(&self, now: Time) -> Step {
        let wake_at = match (self.busy, &self.database) {
            (Some(busy), _) if now < busy.until => Some(busy.until),
            (_, Some(_)) => self.due_at(),
            (_, None) => None,
        };
        Step { more: false, blocked: self.is_full(), wake_at }
    }

    fn snapshot(&self) -> OperatorList {
        let writing = self.writing.iter().flat_map(|batch| batch.items());
        OperatorList {
            operator: self.name.clone(),
            state: STATE.to_owned(),
            items: self.restored.iter().cloned().chain(writing).chain(self.waiting.items()).collect(),
            redistribute: Redistribute::Union,
        }
    }
}

fn run(mut database: Database, batch: Option<Arc<Batch>>) -> Done {
    let result = match batch {
        Some(batch) => database.write(&batch),
        None => database.prepare().map(|()| Rejected::new()),
    };
    Done { database, result }
}
