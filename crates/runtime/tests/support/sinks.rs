//! Sinks of tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use millstream_record::Result;
use millstream_record::record::Data;
use millstream_stage::batch::Rows;
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::io::Completions;
use millstream_stage::sink::{Guarantee, Sink, SinkWriter};
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::{Budget, Context, OpenContext, Step};
use parking_lot::Mutex;

/// What a sink's writers have written, all together.
pub struct Written<T> {
    pub rows: Arc<Mutex<Vec<T>>>,
    /// By subtask: checkpoints that the writer heard of.
    pub completed: Arc<Mutex<BTreeMap<u16, Vec<CheckpointId>>>>,
    pub closed: Arc<AtomicU64>,
}

impl<T> Default for Written<T> {
    fn default() -> Self {
        Self { rows: Arc::default(), completed: Arc::default(), closed: Arc::default() }
    }
}

impl<T> Clone for Written<T> {
    fn clone(&self) -> Self {
        Self {
            rows: Arc::clone(&self.rows),
            completed: Arc::clone(&self.completed),
            closed: Arc::clone(&self.closed),
        }
    }
}

impl<T: Data + Ord> Written<T> {
    pub fn sorted(&self) -> Vec<T> {
        let mut rows = self.rows.lock().clone();
        rows.sort();
        rows
    }

    /// A sink that writes at once.
    pub fn direct(&self) -> TestSink<T> {
        TestSink { written: self.clone(), limit: None }
    }

    /// A sink that buffers, and writes with futures, at most `limit` rows in its hands before it is blocked.
    pub fn buffered(&self, limit: usize) -> TestSink<T> {
        TestSink { written: self.clone(), limit: Some(limit) }
    }
}

pub struct TestSink<T> {
    written: Written<T>,
    limit: Option<usize>,
}

impl<T: Data> Sink<T> for TestSink<T> {
    fn kind(&self) -> &'static str {
        "test"
    }
    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }
    fn writer(&self, _: &str, cx: &mut OpenContext) -> Result<Box<dyn SinkWriter<T>>> {
        let written = self.written.clone();
        Ok(match self.limit {
            None => Box::new(Direct { written, subtask: cx.subtask }),
            Some(limit) => {
                Box::new(Buffered { written, limit, buffer: Vec::new(), requests: Completions::default() })
            }
        })
    }
}

struct Direct<T> {
    written: Written<T>,
    subtask: u16,
}

impl<T: Data> SinkWriter<T> for Direct<T> {
    fn write(&mut self, _: &mut Context<'_>, rows: &mut Rows<T>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        self.written.rows.lock().append(&mut rows.rec);
        Ok(Step::DONE)
    }
    fn resume(&mut self, _: &mut Context<'_>, _: Budget, _: &mut Rows<DeadLetter>) -> Result<Step> {
        Ok(Step::DONE)
    }
    fn flush(&mut self, _: &mut Context<'_>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        Ok(Step::DONE)
    }
    fn snapshot(&mut self, _: CheckpointId, _: &mut Frozen) -> Result<()> {
        Ok(())
    }
    fn completed(&mut self, _: &mut Context<'_>, id: CheckpointId) -> Result<()> {
        self.written.completed.lock().entry(self.subtask).or_default().push(id);
        Ok(())
    }
}

impl<T> Drop for Direct<T> {
    fn drop(&mut self) {
        self.written.closed.fetch_add(1, SeqCst);
    }
}

struct Buffered<T> {
    written: Written<T>,
    limit: usize,
    buffer: Vec<T>,
    requests: Completions<()>,
}

impl<T: Data> Buffered<T> {
    // One request at a time; a full buffer blocks.
    fn go_on(&mut self, cx: &mut Context<'_>, least: usize) -> Result<Step> {
        self.requests.drain()?;
        if self.requests.in_flight() == 0 && self.buffer.len() >= least && !self.buffer.is_empty() {
            let (rows, mut batch) = (Arc::clone(&self.written.rows), std::mem::take(&mut self.buffer));
            let pause = cx.io().sleep(std::time::Duration::from_millis(1));
            self.requests.spawn(cx.io().as_ref(), cx.waker(), async move {
                pause.await;
                rows.lock().append(&mut batch);
            });
        }
        Ok(if self.buffer.len() >= self.limit { Step::BLOCKED } else { Step::DONE })
    }
}

impl<T: Data> SinkWriter<T> for Buffered<T> {
    fn write(&mut self, cx: &mut Context<'_>, rows: &mut Rows<T>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        assert!(self.buffer.len() < self.limit, "a blocked sink was given data");
        self.buffer.append(&mut rows.rec);
        self.go_on(cx, self.limit)
    }
    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, _: &mut Rows<DeadLetter>) -> Result<Step> {
        self.go_on(cx, self.limit)
    }
    fn flush(&mut self, cx: &mut Context<'_>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        self.go_on(cx, 1)?;
        let done = self.buffer.is_empty() && self.requests.in_flight() == 0;
        Ok(if done { Step::DONE } else { Step::BLOCKED })
    }
    fn snapshot(&mut self, _: CheckpointId, _: &mut Frozen) -> Result<()> {
        assert!(self.buffer.is_empty(), "flushed before");
        Ok(())
    }
}

impl<T> Drop for Buffered<T> {
    fn drop(&mut self) {
        self.written.closed.fetch_add(1, SeqCst);
    }
}
