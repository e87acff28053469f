//! Functions with state and timers.

use millstream::prelude::*;
use millstream::state::MapState;

use crate::tripwire::Tripwire;
use crate::{Event, Line};

const HOUR: Time = 3_600_000;

/// Carts that no cart and no purchase of the same user follows within the hour, each with the number of carts
/// since the purchase before. What it gives does not depend on the order in which events come.
pub(crate) struct Abandoned {
    /// By event time: carts and purchases.
    pub(crate) events: MapState<Time, (u64, u64)>,
}

impl KeyedProcessFunction for Abandoned {
    type Key = String;
    type In = Event;
    type Out = Line;

    fn process(&mut self, event: Event, cx: &mut KeyedContext<'_, String, Line>) -> Result<()> {
        let (cart, buy) = (event.behavior == "cart", event.behavior == "buy");
        if cart || buy {
            let events = self.events.get_mut(cx).entry(event.at).or_default();
            *events = (events.0 + u64::from(cart), events.1 + u64::from(buy));
            cx.register_timer(TimerKind::EventTime, event.at + HOUR);
        }
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer, cx: &mut KeyedContext<'_, String, Line>) -> Result<()> {
        let at = timer.time - HOUR;
        let events = self.events.get_mut(cx);
        let followed = events.keys().any(|time| *time > at && *time <= timer.time);
        let bought = events.get(&at).is_none_or(|(_, buys)| *buys > 0);
        if followed {
            return Ok(());
        }
        let last_buy =
            events.iter().filter(|(time, (_, buys))| **time <= at && *buys > 0).map(|(time, _)| *time).max();
        let since = |time: &Time| last_buy.is_none_or(|buy| *time > buy);
        let carts =
            events.iter().filter(|(time, _)| **time <= at && since(time)).map(|(_, (carts, _))| carts).sum();
        events.retain(|time, _| *time > at);
        if !bought {
            let key = cx.key().clone();
            cx.collect(Line { key, from: at, to: timer.time, count: carts });
        }
        Ok(())
    }
}

/// Views and other events of an item per hour, from two streams. A timer closes the hour.
pub(crate) struct Interest {
    pub(crate) seen: MapState<Time, u64>,
    pub(crate) tripwire: Tripwire,
}

impl Interest {
    fn count(&self, at: Time, weight: u64, cx: &mut KeyedContext<'_, String, Line>) -> Result<()> {
        self.tripwire.touch()?;
        let hour = at - at.rem_euclid(HOUR);
        cx.register_timer(TimerKind::EventTime, hour + HOUR - 1);
        *self.seen.get_mut(cx).entry(hour).or_default() += weight;
        Ok(())
    }
}

impl KeyedCoProcessFunction for Interest {
    type Key = String;
    type First = Event;
    type Second = Event;
    type Out = Line;

    fn first(&mut self, event: Event, cx: &mut KeyedContext<'_, String, Line>) -> Result<()> {
        self.count(event.at, 1, cx)
    }

    fn second(&mut self, event: Event, cx: &mut KeyedContext<'_, String, Line>) -> Result<()> {
        self.count(event.at, 1_000_000, cx)
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
