//! A user's function over one keyed stream, with state and timers.

use std::sync::Arc;

use millstream_record::{Data, Key, Result};
use millstream_stage::plan::KeyedSpec;
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::time::Time;
use millstream_stage::{Budget, Context, OpenContext, Operator, Output, Rows, Step, WatermarkEvent};

use crate::firing;
use crate::firing::Firing;
use crate::state::{KeyedContext, KeyedStates, States, Timer};

/// A function of one keyed stream, as Flink's `KeyedProcessFunction`. Each subtask works on a clone.
pub trait KeyedProcess: Clone + Send + Sync + 'static {
    /// The key.
    type Key: Key;
    /// What comes in.
    type In: Data;
    /// What goes out.
    type Out: Data;

    /// Declares the states, each under its name, and keeps their handles.
    fn open(&mut self, states: &mut States) -> Result<()>;

    /// A record.
    fn process(&mut self, record: Self::In, cx: &mut KeyedContext<'_, Self::Key, Self::Out>) -> Result<()>;

    /// A timer that this key has set.
    fn on_timer(&mut self, _: Timer, _: &mut KeyedContext<'_, Self::Key, Self::Out>) -> Result<()> {
        Ok(())
    }
}

/// Runs a [`KeyedProcess`].
pub struct Process<P: KeyedProcess, KF> {
    function: P,
    key: Arc<KF>,
    states: KeyedStates<P::Key>,
    name: String,
    held: Option<WatermarkEvent>,
}

impl<P: KeyedProcess, KF> Process<P, KF> {
    /// An operator around a function.
    pub fn new(function: P, key: Arc<KF>) -> Self {
        Self { function, key, states: KeyedStates::default(), name: String::new(), held: None }
    }
}

impl<P: KeyedProcess, KF> Firing<P::Out> for Process<P, KF> {
    fn held(&mut self) -> &mut Option<WatermarkEvent> {
        &mut self.held
    }

    fn fire_next(&mut self, now: Time, most: usize, out: &mut Output<P::Out>) -> Result<Option<usize>> {
        self.states.tick(now);
        if !self.states.load_due(now, most)? {
            return Ok(None);
        }
        for fired in 0..most {
            let Some((slot, timer)) = self.states.pop_due(now) else { return Ok(Some(fired)) };
            let mut cx = self.states.context(slot, timer.time, now, out);
            self.function.on_timer(timer, &mut cx)?;
            self.states.release(slot);
        }
        Ok(Some(most))
    }

    fn settle(&mut self, _: Time) -> Result<()> {
        self.states.settle()
    }

    fn wake_at(&self) -> Option<Time> {
        self.states.wake_at()
    }
}

impl<P: KeyedProcess, KF: Fn(&P::In) -> P::Key + Send + Sync + 'static> Operator for Process<P, KF> {
    type In = P::In;
    type Out = P::Out;

    // A function that cannot declare its states is found out when the pipeline is described.
    fn keyed(&self) -> KeyedSpec {
        let mut states = States::default();
        let declared = self.function.clone().open(&mut states);
        declared.map(|()| KeyedStates::<P::Key>::spec(&states)).unwrap_or_default()
    }

    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        self.name = name.to_owned();
        let mut states = States::default();
        self.function.open(&mut states)?;
        self.states = KeyedStates::open(name, states, cx)?;
        Ok(())
    }

    fn rows(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<P::In>,
        out: &mut Output<P::Out>,
    ) -> Result<Step> {
        let now = cx.now();
        self.states.tick(now);
        if self.states.is_cold() {
            let keys = rows.rec.iter().map(|record| (self.key)(record));
            self.states.load(rows.hash.iter().copied().zip(keys))?;
        }
        let hashes = std::mem::take(&mut rows.hash);
        for ((record, ts), hash) in rows.drain().zip(hashes) {
            let slot = self.states.resolve(hash, (self.key)(&record));
            let mut cx = self.states.context(slot, ts, now, out);
            self.function.process(record, &mut cx)?;
            self.states.release(slot);
        }
        self.states.settle()?;
        Ok(Step { wake_at: self.states.wake_at(), ..Step::DONE })
    }

    fn on_watermark(
        &mut self,
        cx: &mut Context<'_>,
        watermark: WatermarkEvent,
        out: &mut Output<P::Out>,
    ) -> Result<Step> {
        if let WatermarkEvent::Watermark(time) = watermark {
            self.states.advance(time);
        }
        firing::begin(self, cx, watermark, out)
    }

    fn resume(&mut self, cx: &mut Context<'_>, budget: Budget, out: &mut Output<P::Out>) -> Result<Step> {
        firing::slice(self, cx.now(), budget, out)
    }

    fn prepare(&mut self, _: &mut Context<'_>, _: CheckpointId, _: &mut Output<P::Out>) -> Result<Step> {
        Ok(firing::before_barrier(self))
    }

    fn snapshot(&mut self, id: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        frozen.keyed.push((self.name.clone(), self.states.freeze(id)?));
        Ok(())
    }
}
