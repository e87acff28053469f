//! A source of numbers: each split counts through a range.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use millstream_record::record::to_bytes;
use millstream_record::{Error, Result};
use millstream_stage::batch::Rows;
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::source::{
    Assignment, Enumerator, EnumeratorContext, EnumeratorEvent, Polled, Source, Split, SplitReader, deal,
    split_state,
};
use millstream_stage::split::SplitId;
use millstream_stage::{Budget, Context, OpenContext};
use parking_lot::Mutex;

/// What the readers of a test share with the test.
#[derive(Default)]
pub struct Probe {
    pub polls: AtomicU64,
    pub read: AtomicU64,
    pub closed: AtomicU64,
    /// Readers halt before `gate_at` until the gate is open, and are woken by whoever opens it.
    pub gate_open: AtomicBool,
    pub wakers: Mutex<Vec<std::task::Waker>>,
    /// Told once, when a reader has come to its gate.
    pub at_gate: Mutex<Option<Sender<()>>>,
}

impl Probe {
    /// Told when the first reader has come to its gate.
    pub fn gate(&self) -> Receiver<()> {
        let (sender, receiver) = channel();
        *self.at_gate.lock() = Some(sender);
        receiver
    }

    pub fn open_gate(&self) {
        self.gate_open.store(true, SeqCst);
        self.wakers.lock().iter().for_each(std::task::Waker::wake_by_ref);
    }
}

/// Splits by number; each counts from its start to its end. Event time is the number itself.
#[derive(Clone)]
pub struct Numbers {
    pub splits: Vec<(i64, i64)>,
    /// Nothing follows: the job ends.
    pub bounded: bool,
    /// Where every split waits for the gate.
    pub gate_at: i64,
    /// The splits cannot be found.
    pub lost: bool,
    /// Splits are handed out one by one, to whoever is ready.
    pub on_demand: bool,
    /// Splits are found one by one, at each tick.
    pub by_tick: bool,
    pub probe: Arc<Probe>,
}

impl Numbers {
    pub fn new(splits: &[(i64, i64)]) -> Self {
        Self {
            splits: splits.to_vec(),
            bounded: true,
            gate_at: i64::MAX,
            lost: false,
            on_demand: false,
            by_tick: false,
            probe: Arc::default(),
        }
    }

    pub fn endless(splits: i64) -> Self {
        Self { bounded: false, ..Self::new(&(0..splits).map(|_| (0, i64::MAX)).collect::<Vec<_>>()) }
    }
}

impl Source for Numbers {
    type Out = i64;

    fn kind(&self) -> &'static str {
        "numbers"
    }

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(Dealer { source: self.clone(), left: VecDeque::new() })
    }

    fn reader(&self, _: &str, cx: &mut OpenContext) -> Result<Box<dyn SplitReader<Out = i64>>> {
        self.probe.wakers.lock().push(cx.waker.clone());
        Ok(Box::new(Reader { source: self.clone(), splits: VecDeque::new() }))
    }
}

struct Dealer {
    source: Numbers,
    left: VecDeque<Split>,
}

impl Enumerator for Dealer {
    fn on(&mut self, cx: &EnumeratorContext, event: EnumeratorEvent) -> Result<Vec<Assignment>> {
        let parallelism = cx.parallelism;
        if self.source.lost {
            return Err(Error::configuration("there is no topic `numbers`"));
        }
        Ok(match event {
            EnumeratorEvent::Start { restored: None } => {
                let splits = self.source.splits.iter().enumerate().map(|(number, range)| Split {
                    id: format!("numbers-{number}").into(),
                    state: to_bytes(range),
                });
                if self.source.on_demand || self.source.by_tick {
                    self.left = splits.collect();
                    Vec::new()
                } else {
                    deal(splits, parallelism, self.source.bounded)
                }
            }
            EnumeratorEvent::Start { restored: Some(_) } => deal([], parallelism, self.source.bounded),
            EnumeratorEvent::Tick if self.source.by_tick => match self.left.pop_front() {
                Some(split) => vec![Assignment { subtask: 0, splits: vec![split], last: false }],
                None => deal([], parallelism, self.source.bounded),
            },
            EnumeratorEvent::ReaderReady { subtask } if self.source.on_demand => {
                let splits: Vec<_> = self.left.pop_front().into_iter().collect();
                vec![Assignment { subtask, last: splits.is_empty() && self.source.bounded, splits }]
            }
            _ => Vec::new(),
        })
    }

    fn tick_every(&self) -> Option<Duration> {
        self.source.by_tick.then_some(Duration::from_millis(5))
    }

    fn snapshot(&self) -> Vec<u8> {
        b"dealt".to_vec()
    }
}

struct Reader {
    source: Numbers,
    splits: VecDeque<(SplitId, (i64, i64))>,
}

impl SplitReader for Reader {
    type Out = i64;

    fn add_splits(&mut self, splits: Vec<Split>) -> Result<()> {
        for split in splits {
            self.splits.push_back((split.id.clone(), split_state(&split)?));
        }
        Ok(())
    }

    fn pause(&mut self, _: &[SplitId]) {}

    fn resume(&mut self, _: &[SplitId]) {}

    fn poll(&mut self, _: &mut Context<'_>, budget: Budget, rows: &mut Rows<i64>) -> Result<Polled> {
        let probe = &self.source.probe;
        probe.polls.fetch_add(1, SeqCst);
        let gate = if probe.gate_open.load(SeqCst) { i64::MAX } else { self.source.gate_at };
        let Some(index) = self.splits.iter().position(|(_, (next, end))| next >= end || *next < gate) else {
            if let Some(sender) = probe.at_gate.lock().take_if(|_| !self.splits.is_empty()) {
                let _ = sender.send(());
            }
            return Ok(Polled::Pending(None));
        };
        self.splits.rotate_left(index);
        let Some((id, (next, end))) = self.splits.front_mut() else { return Ok(Polled::Pending(None)) };
        let id = SplitId::clone(id);
        if next >= end {
            self.splits.pop_front();
            return Ok(Polled::Finished(id));
        }
        let stop = next.saturating_add(budget.records as i64).min(*end).min(gate);
        probe.read.fetch_add((stop - *next) as u64, SeqCst);
        (*next..stop).for_each(|number| rows.push(number, number));
        *next = stop;
        self.splits.rotate_left(1);
        Ok(Polled::Rows(id))
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<Split>> {
        let split = |(id, range): &(SplitId, (i64, i64))| Split { id: id.clone(), state: to_bytes(range) };
        Ok(self.splits.iter().map(split).collect())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.source.probe.closed.fetch_add(1, SeqCst);
    }
}
