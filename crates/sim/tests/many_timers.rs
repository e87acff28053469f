#![allow(clippy::unwrap_used, reason = "a test's own functions")]
//! Far more timers than are held in memory above a cold store: they fire in the order of all, none twice,
//! none forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;

use millstream_operators::KeySelector;
use millstream_operators::operators::{KeyedProcessFunction, Process};
use millstream_operators::state::{KeyedContext, Timer, TimerKind};
use millstream_record::{Key, Result};
use millstream_sim::{Harness, MemoryCold, Simulated};
use millstream_stage::time::Time;
use millstream_stage::{Budget, Operator, Output, Rows, WatermarkEvent};

/// Asks for a timer, or takes one back.
#[derive(Clone, Copy)]
struct Ask {
    key: i64,
    time: Time,
    wanted: bool,
}

struct Alarm(TimerKind);

impl KeyedProcessFunction for Alarm {
    type Key = i64;
    type In = Ask;
    type Out = (Time, i64);

    fn process(&mut self, ask: Ask, cx: &mut KeyedContext<'_, i64, (Time, i64)>) -> Result<()> {
        if ask.wanted {
            cx.register_timer(self.0, ask.time);
        } else {
            cx.delete_timer(self.0, ask.time);
        }
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer, cx: &mut KeyedContext<'_, i64, (Time, i64)>) -> Result<()> {
        let key = *cx.key();
        cx.collect((timer.time, key));
        Ok(())
    }
}

type Alarms = Process<Alarm>;

struct Beside {
    world: Arc<Simulated>,
    harness: Harness,
    operator: Alarms,
    kind: TimerKind,
    expected: BTreeSet<(Time, i64)>,
}

impl Beside {
    fn new(kind: TimerKind) -> Self {
        let world = Arc::new(Simulated::new(0, 0));
        let harness = Harness::new(Arc::clone(&world) as Arc<_>).key_groups(2);
        let harness = harness.backend(Arc::new(MemoryCold::new(10_000)));
        let mut operator = Alarms::new(move |_| Ok(Alarm(kind)), KeySelector::new(|ask: &Ask| ask.key));
        operator.open("alarms", &mut harness.open_context()).unwrap();
        let mut this = Self { world, harness, operator, kind, expected: BTreeSet::new() };
        // The index learns that the store is empty: from here on it holds everything, until that is too much.
        assert_eq!(this.fire(0), []);
        this
    }

    fn ask(&mut self, asks: impl IntoIterator<Item = Ask>) {
        let mut rows = Rows::default();
        for ask in asks {
            let timer = (ask.time, ask.key);
            if ask.wanted {
                self.expected.insert(timer)
            } else {
                self.expected.remove(&timer)
            };
            rows.hash.push(ask.key.key_hash());
            rows.push(ask, 0);
        }
        let (operator, mut out) = (&mut self.operator, Output::default());
        self.harness.call(|cx| operator.rows(cx, &mut rows, &mut out)).unwrap();
    }

    fn fire(&mut self, upto: Time) -> Vec<(Time, i64)> {
        let (operator, mut out) = (&mut self.operator, Output::default());
        let mut step = match self.kind {
            TimerKind::EventTime => self
                .harness
                .call(|cx| operator.on_watermark(cx, WatermarkEvent::Watermark(upto), &mut out))
                .unwrap(),
            TimerKind::ProcessingTime => {
                self.world.virtual_clock().set(upto);
                self.harness.call(|cx| operator.resume(cx, Budget::default(), &mut out)).unwrap()
            }
        };
        while step.more {
            step = self.harness.call(|cx| operator.resume(cx, Budget { records: 300 }, &mut out)).unwrap();
        }
        out.rows.rec
    }

    fn check(&mut self, upto: Time) {
        let rest = self.expected.split_off(&(upto + 1, i64::MIN));
        let due: Vec<_> = std::mem::replace(&mut self.expected, rest).into_iter().collect();
        let fired = self.fire(upto);
        let differs = fired.iter().zip(&due).position(|(fired, due)| fired != due);
        assert_eq!((fired.len(), differs), (due.len(), None), "{:?} up to {upto}", self.kind);
    }
}

#[test]
fn more_timers_than_memory_holds_fire_in_order() {
    for kind in [TimerKind::EventTime, TimerKind::ProcessingTime] {
        let mut beside = Beside::new(kind);
        let mut random = 7_u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((random >> 33) % below) as i64
        };
        for _ in 0..20 {
            let asks: Vec<_> =
                (0..1000).map(|_| Ask { key: next(30_000), time: 1 + next(1000), wanted: true }).collect();
            beside.ask(asks.iter().copied());
            beside.ask(asks.iter().step_by(7).map(|ask| Ask { wanted: false, ..*ask }));
        }
        // Several hundred of one time, more than one look at the store brings.
        beside.ask((0..700).map(|key| Ask { key, time: 400, wanted: true }));
        for upto in (50..=1100).step_by(50) {
            beside.check(upto);
            // Sooner than what is in memory, and later.
            beside.ask((0..5).map(|_| Ask { key: next(30_000), time: upto + 1 + next(3), wanted: true }));
            beside.ask((0..5).map(|_| Ask { key: next(30_000), time: upto + 1 + next(400), wanted: true }));
        }
        beside.check(2000);
        assert!(beside.expected.is_empty());
    }
}
