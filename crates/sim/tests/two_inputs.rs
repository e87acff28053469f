//! A function over two keyed streams through the rig, as Flink's `KeyedCoProcessFunction`.

use std::sync::Arc;

use millstream_operators::operators::{Either, KeyedCoProcess, Process, ProcessTwo};
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
#[derive(Clone, Default)]
struct Pay(Option<ValueState<i64>>);

impl KeyedCoProcess for Pay {
    type Key = String;
    type First = Click;
    type Second = Click;
    type Out = Click;

    fn open(&mut self, states: &mut States) -> Result<()> {
        self.0 = Some(states.value("order")?);
        Ok(())
    }

    fn first(&mut self, order: Click, cx: &mut KeyedContext<'_, String, Click>) -> Result<()> {
        let due = cx.processing_time() + 60_000;
        cx.register_timer(TimerKind::ProcessingTime, due);
        self.0.as_ref().expect("opened first").set(cx, order.1);
        Ok(())
    }

    fn second(&mut self, paid: Click, cx: &mut KeyedContext<'_, String, Click>) -> Result<()> {
        if let Some(order) = self.0.as_ref().expect("opened first").take(cx) {
            cx.collect((paid.0, paid.1 - order));
        }
        Ok(())
    }

    fn on_timer(&mut self, _: Timer, cx: &mut KeyedContext<'_, String, Click>) -> Result<()> {
        if self.0.as_ref().expect("opened first").take(cx).is_some() {
            let unpaid = (cx.key().clone(), -1);
            cx.collect(unpaid);
        }
        Ok(())
    }
}

#[test]
fn two_inputs_share_state_and_processing_time_timers() {
    let key = |click: &Either<Click, Click>| match click {
        Either::First(click) | Either::Second(click) => click.0.clone(),
    };
    Rig::with_two_inputs(move || Process::new(ProcessTwo(Pay::default()), Arc::new(key)))
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
