//! Sums up the orders of each customer per minute, with a process function that keeps state and sets timers.
//!
//! `cargo run -p examples --example orders_per_minute` prints the sums of some orders. A tumbling window
//! would do the same in one line; this is how to write what no window does.

use millstream::connectors::files::{FilesSink, FilesSinkOptions};
use millstream::prelude::*;
use millstream::state::MapState;

const MINUTE: Time = 60_000;

#[derive(Clone, Debug, Record)]
struct Order {
    customer: String,
    cents: i64,
    at: Time,
}

/// What one customer has ordered in one minute.
#[derive(Clone, Debug, Default, PartialEq, Record)]
struct Sum {
    customer: String,
    minute: Time,
    orders: u64,
    cents: i64,
}

/// Keeps the open minutes of each customer; a timer closes each of them.
struct PerMinute {
    open: MapState<Time, Sum>,
}

impl KeyedProcessFunction for PerMinute {
    type Key = String;
    type In = Order;
    type Out = Sum;

    fn process(&mut self, order: Order, cx: &mut KeyedContext<'_, String, Sum>) -> Result<()> {
        let minute = order.at - order.at.rem_euclid(MINUTE);
        // Fires at once when the minute is over already: a late order is a sum of its own.
        cx.register_timer(TimerKind::EventTime, minute + MINUTE - 1);
        let sum = self.open.get_mut(cx).entry(minute).or_default();
        sum.orders += 1;
        sum.cents += order.cents;
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer, cx: &mut KeyedContext<'_, String, Sum>) -> Result<()> {
        let minute = timer.time + 1 - MINUTE;
        if let Some(sum) = self.open.get_mut(cx).remove(&minute) {
            let customer = cx.key().clone();
            cx.collect(Sum { customer, minute, ..sum });
        }
        Ok(())
    }
}

/// The sums of a stream of orders that are at most ten seconds out of order.
fn per_minute(orders: &DataStream<Order>) -> DataStream<Sum> {
    let strategy = WatermarkStrategy::bounded_out_of_orderness(Duration::from_secs(10))
        .with_timestamps(|order: &Order| order.at);
    orders
        .assign_timestamps_and_watermarks("event-time", strategy)
        .key_by(|order| order.customer.clone())
        .process("per-minute", |states| Ok(PerMinute { open: states.map("open-minutes")? }))
}

fn orders() -> Collection<Order> {
    let order = |(customer, cents, at): (&str, i64, Time)| Order { customer: customer.to_owned(), cents, at };
    // The third order comes after the one behind it in time.
    let orders = [("ann", 250, 1_000), ("bob", 999, 61_000), ("ann", 100, 59_000), ("ann", 500, 125_000)];
    Collection::of(orders.map(order))
}

fn main() -> Result<()> {
    let env = Environment::new("orders-per-minute");
    let sink = FilesSink::lines(FilesSinkOptions::to("-"), |sum: &Sum, line| {
        let Sum { customer, minute, orders, cents } = sum;
        line.extend_from_slice(format!("{customer} {minute}: {orders} orders, {cents} cents\n").as_bytes());
    });
    per_minute(&env.source("orders", orders())).sink_to("sums", sink);
    env.execute()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_customer_has_one_sum_per_minute() {
        let (env, results) = (Environment::new("test"), Collected::default());
        per_minute(&env.source("orders", orders())).sink_to("sums", results.clone());
        env.execute().unwrap();
        let sum = |customer: &str, minute, orders, cents| Sum {
            customer: customer.to_owned(),
            minute,
            orders,
            cents,
        };
        let mut sums = results.take();
        sums.sort_by_key(|sum| sum.minute);
        assert_eq!(sums, [sum("ann", 0, 2, 350), sum("bob", MINUTE, 1, 999), sum("ann", 2 * MINUTE, 1, 500)]);
    }
}
