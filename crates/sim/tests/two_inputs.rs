//! A function over two keyed streams through the rig, as Flink's `KeyedCoProcessFunction`.

use millstream_operators::KeySelector;
use millstream_operators::operators::{Either, KeyedCoProcessFunction, Process, ProcessTwo};
use millstream_operators::state::{KeyedContext, States, Timer, TimerKind, ValueState};
use millstream_record::Result;
use millstream_sim::rig::{Rig, end, event, processing_time, second};

/// User and number.
type Click = (String, i64);

fn click(user: &str, number: i64) -> Click {
    (user.to_owned(), number)
}

fn user(click: &Click) -> String {
    click.0.clone()
}

/// Pairs an order with its payment; an unpaid order is told after a minute by the clock.
struct Pay {
    order: ValueState<i64>,
}

impl KeyedCoProcessFunction for Pay {
    type Key = String;
    type First = Click;
    type Second = Click;
    type Out = Click;

    fn first(&mut self, order: Click, cx: &mut KeyedContext<'_, String, Click>) -> Result<()> {
        let due = cx.processing_time() + 60_000;
        cx.register_timer(TimerKind::ProcessingTime, due);
        self.order.set(cx, order.1);
        Ok(())
    }

    fn second(&mut self, paid: Click, cx: &mut KeyedContext<'_, String, Click>) -> Result<()> {
        if let Some(order) = self.order.take(cx) {
            cx.collect((paid.0, paid.1 - order));
        }
        Ok(())
    }

    fn on_timer(&mut self, _: Timer, cx: &mut KeyedContext<'_, String, Click>) -> Result<()> {
        if self.order.take(cx).is_some() {
            let unpaid = (cx.key().clone(), -1);
            cx.collect(unpaid);
        }
        Ok(())
    }
}

#[test]
fn two_inputs_share_state_and_processing_time_timers() {
    let pay = |states: &mut States| Ok(ProcessTwo(Pay { order: states.value("order")? }));
    let key = || Either::key_selector(KeySelector::new(user), KeySelector::new(user));
    Rig::with_two_inputs(move || Process::new(pay, key()))
        .keyed_by(user)
        .second_keyed_by(user)
        .unordered()
        .feed([
            processing_time(1000),
            event(click("a", 5), 1),
            event(click("b", 6), 2),
            second(click("a", 9), 3),
            processing_time(61_000),
            end(),
        ])
        .expect_records([click("a", 4), click("b", -1)]);
}
