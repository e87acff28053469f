//! A user's function over one keyed stream, with state and timers.

use millstream_record::{Data, Key, Result};
use millstream_stage::plan::KeyedSpec;
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::time::Time;
use millstream_stage::{Budget, Context, OpenContext, Operator, Output, Rows, Step, WatermarkEvent};

use crate::firing;
use crate::firing::Firing;
use crate::key_selector::KeySelector;
use crate::state::{KeyedContext, KeyedStates, States, Timer};

/// A function of one keyed stream, as Flink's `KeyedProcessFunction`. Its fields are the handles of its
/// states, which the factory that is given to [`Process::new`] declares; each subtask has a function of its
/// own.
pub trait KeyedProcessFunction: Send + 'static {
    /// The key.
    type Key: Key;
    /// What comes in.
    type In: Data;
    /// What goes out.
    type Out: Data;

    /// A record.
    fn process(&mut self, record: Self::In, cx: &mut KeyedContext<'_, Self::Key, Self::Out>) -> Result<()>;

    /// A timer that this key has set.
    fn on_timer(&mut self, _: Timer, _: &mut KeyedContext<'_, Self::Key, Self::Out>) -> Result<()> {
        Ok(())
    }
}

type Factory<P> = Box<dyn Fn(&mut States) -> Result<P> + Send>;

/// Runs a [`KeyedProcessFunction`].
pub struct Process<P: KeyedProcessFunction> {
    make: Factory<P>,
    function: Option<P>,
    key: KeySelector<P::In, P::Key>,
    // Those of the batch at hand; the memory is used again.
    keys: Vec<P::Key>,
    states: KeyedStates<P::Key>,
    name: String,
    pending_watermark: Option<WatermarkEvent>,
}

const OPENED: &str = "an operator is opened before its first batch and its first timer";

impl<P: KeyedProcessFunction> Process<P> {
    /// An operator around the function that `make` returns. `make` declares the function's states; it is
    /// called when the operator is opened, and with throw-away states by [`keyed`](Operator::keyed).
    pub fn new(
        make: impl Fn(&mut States) -> Result<P> + Send + 'static,
        key: KeySelector<P::In, P::Key>,
    ) -> Self {
        Self {
            make: Box::new(make),
            function: None,
            key,
            keys: Vec::new(),
            states: KeyedStates::default(),
            name: String::new(),
            pending_watermark: None,
        }
    }
}

impl<P: KeyedProcessFunction> Firing<P::Out> for Process<P> {
    fn pending_watermark(&mut self) -> &mut Option<WatermarkEvent> {
        &mut self.pending_watermark
    }

    fn fire_next(&mut self, now: Time, most: usize, out: &mut Output<P::Out>) -> Result<Option<usize>> {
        self.states.tick(now);
        if !self.states.load_due(now, most)? {
            return Ok(None);
        }
        let function = self.function.as_mut().expect(OPENED);
        for fired in 0..most {
            let Some((slot, timer)) = self.states.pop_due(now) else { return Ok(Some(fired)) };
            let mut cx = self.states.context(slot, timer.time, now, out);
            function.on_timer(timer, &mut cx)?;
            self.states.release(slot);
        }
        Ok(Some(most))
    }

    fn settle(&mut self, _: Time) -> Result<()> {
        self.states.settle()
    }

    fn all_fired(&mut self, _: Time) {
        self.states.all_fired();
    }

    fn wake_at(&self) -> Option<Time> {
        self.states.wake_at()
    }
}

impl<P: KeyedProcessFunction> Operator for Process<P> {
    type In = P::In;
    type Out = P::Out;

    // A function that cannot declare its states is found out when the pipeline is described.
    fn keyed(&self) -> KeyedSpec {
        let mut states = States::default();
        let declared = (self.make)(&mut states);
        declared.map(|_| KeyedStates::<P::Key>::spec(&states)).unwrap_or_default()
    }

    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        self.name = name.to_owned();
        let mut states = States::default();
        self.function = Some((self.make)(&mut states)?);
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
        self.keys.clear();
        self.key.keys(&rows.rec, &mut self.keys);
        if self.states.is_cold() {
            self.states.load(rows.hash.iter().copied().zip(&self.keys))?;
        }
        let function = self.function.as_mut().expect(OPENED);
        let hashes = std::mem::take(&mut rows.hash);
        for (((record, ts), hash), key) in rows.drain().zip(hashes).zip(&self.keys) {
            let slot = self.states.resolve(hash, key);
            let mut cx = self.states.context(slot, ts, now, out);
            function.process(record, &mut cx)?;
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
