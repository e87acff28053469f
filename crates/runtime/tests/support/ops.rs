//! Operators of tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use millstream_record::key::Key;
use millstream_record::key_group::key_group;
use millstream_record::record::{from_bytes, to_bytes};
use millstream_record::{Error, KeyGroup, Result};
use millstream_stage::batch::Rows;
use millstream_stage::snapshot::{CheckpointId, Frozen, MemoryPart, TableSchema};
use millstream_stage::time::{MAX_TIME, Time};
use millstream_stage::{Budget, Context, OpenContext, Operator, Output, Step, WatermarkEvent};
use parking_lot::Mutex;

/// How many keys the numbers have.
pub const KEYS: i64 = 50;

/// The key of a number.
pub fn key_of(number: &i64) -> i64 {
    number % KEYS
}

/// Emits a watermark behind each batch: the highest time seen.
#[derive(Default)]
pub struct Watermarks {
    highest: Option<Time>,
}

impl Operator for Watermarks {
    type In = i64;
    type Out = i64;

    fn rows(&mut self, _: &mut Context<'_>, rows: &mut Rows<i64>, out: &mut Output<i64>) -> Result<Step> {
        let highest = rows.ts.iter().copied().max();
        rows.append_to(&mut out.rows);
        if highest > self.highest {
            self.highest = highest;
            out.watermarks.extend(highest.map(WatermarkEvent::Watermark));
        }
        Ok(Step::DONE)
    }
}

// Key, sum and count.
type SumEntry = (i64, (i64, i64));

/// Sums by key; gives the sums at the final watermark, in slices of the budget.
#[derive(Default)]
pub struct KeyedSum {
    name: String,
    groups: u16,
    owned: std::ops::Range<KeyGroup>,
    sums: BTreeMap<i64, (i64, i64)>,
    firing: Option<std::collections::btree_map::IntoIter<i64, (i64, i64)>>,
}

impl Operator for KeyedSum {
    type In = i64;
    /// Key, sum, count.
    type Out = (i64, i64, i64);

    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        self.name = name.to_owned();
        self.groups = cx.key_groups;
        self.owned = cx.owned.clone();
        cx.restored.take_keyed(name).read(&[TableSchema::of::<SumEntry>("sums")], &mut |_, _, entry| {
            self.sums.extend([from_bytes::<SumEntry>(entry)?]);
            Ok(())
        })
    }

    fn rows(
        &mut self,
        _: &mut Context<'_>,
        rows: &mut Rows<i64>,
        _: &mut Output<(i64, i64, i64)>,
    ) -> Result<Step> {
        for (number, hash) in rows.rec.iter().zip(&rows.hash) {
            assert!(
                self.owned.contains(&key_group(*hash, self.groups)),
                "{number} came to the wrong subtask"
            );
            let (sum, count) = self.sums.entry(key_of(number)).or_default();
            *sum += number;
            *count += 1;
        }
        Ok(Step::DONE)
    }

    fn on_watermark(
        &mut self,
        cx: &mut Context<'_>,
        watermark: WatermarkEvent,
        out: &mut Output<(i64, i64, i64)>,
    ) -> Result<Step> {
        if watermark != WatermarkEvent::Watermark(MAX_TIME) {
            out.watermarks.push_back(watermark);
            return Ok(Step::DONE);
        }
        self.firing = Some(std::mem::take(&mut self.sums).into_iter());
        self.resume(cx, Budget { records: 3 }, out)
    }

    fn resume(&mut self, _: &mut Context<'_>, _: Budget, out: &mut Output<(i64, i64, i64)>) -> Result<Step> {
        let Some(firing) = &mut self.firing else { return Ok(Step::DONE) };
        for (key, (sum, count)) in firing.by_ref().take(3) {
            out.rows.push((key, sum, count), MAX_TIME);
        }
        if firing.len() > 0 {
            return Ok(Step::MORE);
        }
        self.firing = None;
        out.watermarks.push_back(WatermarkEvent::Watermark(MAX_TIME));
        Ok(Step::DONE)
    }

    fn snapshot(&mut self, _: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        let mut part = MemoryPart::new(vec![TableSchema::of::<SumEntry>("sums")]);
        for (key, value) in &self.sums {
            part.push(key_group(key.key_hash(), self.groups), 0, to_bytes(&(*key, *value)));
        }
        frozen.keyed.push((self.name.clone(), Box::new(part)));
        Ok(())
    }
}

/// Calls a function on each batch and hands the rows on.
pub struct Each(pub OnBatch);

pub type OnBatch = Arc<dyn Fn(&[i64]) -> Result<Step> + Send + Sync>;

impl Operator for Each {
    type In = i64;
    type Out = i64;

    fn rows(&mut self, _: &mut Context<'_>, rows: &mut Rows<i64>, out: &mut Output<i64>) -> Result<Step> {
        let step = (self.0)(&rows.rec)?;
        rows.append_to(&mut out.rows);
        Ok(step)
    }
}

/// Notes the watermarks that come by.
pub struct WatermarkWatch(pub Arc<Mutex<Vec<Time>>>);

impl Operator for WatermarkWatch {
    type In = i64;
    type Out = i64;

    fn rows(&mut self, _: &mut Context<'_>, rows: &mut Rows<i64>, out: &mut Output<i64>) -> Result<Step> {
        rows.append_to(&mut out.rows);
        Ok(Step::DONE)
    }

    fn on_watermark(
        &mut self,
        _: &mut Context<'_>,
        watermark: WatermarkEvent,
        out: &mut Output<i64>,
    ) -> Result<Step> {
        if let WatermarkEvent::Watermark(time) = watermark {
            self.0.lock().push(time);
        }
        out.watermarks.push_back(watermark);
        Ok(Step::DONE)
    }
}

pub type OnResume = Arc<dyn Fn(&mut Context<'_>) -> Result<Step> + Send + Sync>;

/// Counts its calls of `resume`, and does what it is told to do in them.
pub struct Resumes {
    pub count: Arc<AtomicU64>,
    pub on_rows: Step,
    pub on_resume: OnResume,
    pub on_close: fn(),
}

impl Resumes {
    pub fn new(
        count: &Arc<AtomicU64>,
        on_rows: Step,
        on_resume: impl Fn(&mut Context<'_>) -> Result<Step> + Send + Sync + 'static,
    ) -> Self {
        Self { count: Arc::clone(count), on_rows, on_resume: Arc::new(on_resume), on_close: || () }
    }
}

impl Operator for Resumes {
    type In = i64;
    type Out = i64;

    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut Rows<i64>, out: &mut Output<i64>) -> Result<Step> {
        rows.append_to(&mut out.rows);
        Ok(Step { wake_at: self.on_rows.wake_at.map(|after| cx.now() + after), ..self.on_rows })
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, _: &mut Output<i64>) -> Result<Step> {
        self.count.fetch_add(1, SeqCst);
        (self.on_resume)(cx)
    }

    fn close(&mut self) {
        (self.on_close)();
    }
}

/// Cannot be opened.
pub struct Unopenable;

impl Operator for Unopenable {
    type In = i64;
    type Out = i64;

    fn open(&mut self, _: &str, _: &mut OpenContext) -> Result<()> {
        Err(Error::configuration("the table does not exist"))
    }

    fn rows(&mut self, _: &mut Context<'_>, _: &mut Rows<i64>, _: &mut Output<i64>) -> Result<Step> {
        Err(Error::bug("it was given data"))
    }
}
