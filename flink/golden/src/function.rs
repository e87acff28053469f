//! Functions with state and timers.

use millstream::operators::KeyedCoProcessFunction;
use millstream::prelude::*;
use millstream::state::MapState;

use crate::{Event, Line};

const HOUR: Time = 3_600_000;

/// A user's last cart without a purchase within the hour. Counts carts since the last result.
pub(crate) struct Abandoned {
    pub(crate) cart: ValueState<(Time, u64)>,
}

impl KeyedProcessFunction for Abandoned {
    type Key = String;
    type In = Event;
    type Out = Line;

    fn process(&mut self, event: Event, cx: &mut KeyedContext<'_, String, Line>) -> Result<()> {
        match event.behavior.as_str() {
            "buy" => self.cart.clear(cx),
            "cart" => {
                let (last, carts) = self.cart.get(cx).copied().unwrap_or((event.at, 0));
                let last = last.max(event.at);
                self.cart.set(cx, (last, carts + 1));
                cx.register_timer(TimerKind::EventTime, last + HOUR);
            }
            _ => {}
        }
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer, cx: &mut KeyedContext<'_, String, Line>) -> Result<()> {
        if let Some((last, carts)) = self.cart.get(cx).copied()
            && last + HOUR == timer.time
        {
            let key = cx.key().clone();
            cx.collect(Line { key, from: last, to: timer.time, count: carts });
            self.cart.clear(cx);
        }
        Ok(())
    }
}

/// Views and other events of an item per hour, from two streams. A timer closes the hour.
pub(crate) struct Interest {
    pub(crate) seen: MapState<Time, u64>,
}

impl Interest {
    fn count(&self, at: Time, weight: u64, cx: &mut KeyedContext<'_, String, Line>) {
        let hour = at - at.rem_euclid(HOUR);
        cx.register_timer(TimerKind::EventTime, hour + HOUR - 1);
        *self.seen.get_mut(cx).entry(hour).or_default() += weight;
    }
}

impl KeyedCoProcessFunction for Interest {
    type Key = String;
    type First = Event;
    type Second = Event;
    type Out = Line;

    fn first(&mut self, event: Event, cx: &mut KeyedContext<'_, String, Line>) -> Result<()> {
        self.count(event.at, 1, cx);
        Ok(())
    }

    fn second(&mut self, event: Event, cx: &mut KeyedContext<'_, String, Line>) -> Result<()> {
        self.count(event.at, 1_000_000, cx);
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer, cx: &mut KeyedContext<'_, String, Line>) -> Result<()> {
        let hour = timer.time + 1 - HOUR;
        if let Some(count) = self.seen.get_mut(cx).remove(&hour) {
            let key = cx.key().clone();
            cx.collect(Line { key, from: hour, to: hour + HOUR, count });
        }
        Ok(())
    }
}
