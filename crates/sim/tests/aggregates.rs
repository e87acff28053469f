//! Sums, averages and extremes in windows: merged, snapshotted and restored at every point, as the rig does.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use millstream_operators::KeySelector;
use millstream_operators::window::{
    AggregateFunction, Average, EventTimeTrigger, Max, Min, Session, SessionOperator, Sum, Tumbling, Window,
    WindowOperator, WindowSpec,
};
use millstream_record::Record;
use millstream_sim::rig::{Feed, Rig, end, event, watermark};
use rust_decimal::Decimal;

type Price = (String, f64);

fn key(price: &Price) -> String {
    price.0.clone()
}

fn price(shop: &str, price: f64, time: i64) -> Feed<Price> {
    event((shop.to_owned(), price), time)
}

/// Two records that one session holds apart until a third one joins them, a large number among small ones,
/// and a second key.
fn feed() -> Vec<Feed<Price>> {
    vec![
        price("a", 0.1, 0),
        price("a", 1e16, 15),
        price("b", 7.5, 3),
        watermark(5),
        price("a", 0.2, 8),
        price("a", -1e16, 16),
        watermark(20),
        end(),
    ]
}

fn expect<A>(aggregate: A, results: &[(&str, A::Out)])
where
    A: AggregateFunction<Price, Out: Record + Debug>,
{
    let show = || {
        Arc::new(|shop: &String, _: &Window, result: A::Out, out: &mut Vec<(String, A::Out)>| {
            out.push((shop.clone(), result));
        })
    };
    let expected = || results.iter().map(|(shop, result)| ((*shop).to_owned(), result.clone()));
    let ms = Duration::from_millis;
    let merged = aggregate.clone();
    let sessions = move || {
        let spec = WindowSpec::new(
            KeySelector::new(key),
            Session::with_gap(ms(10)),
            EventTimeTrigger,
            merged.clone(),
            show(),
        );
        SessionOperator::new(spec)
    };
    Rig::new(sessions).keyed_by(key).unordered().feed(feed()).expect_records(expected());
    let windows = move || {
        let spec = WindowSpec::new(
            KeySelector::new(key),
            Tumbling::of(ms(100)),
            EventTimeTrigger,
            aggregate.clone(),
            show(),
        );
        WindowOperator::new(spec)
    };
    Rig::new(windows).keyed_by(key).unordered().feed(feed()).expect_records(expected());
}

#[test]
fn sums_of_floats_do_not_depend_on_how_windows_merge() {
    expect(Sum::of(|price: &Price| price.1), &[("b", 7.5), ("a", 0.1 + 0.2)]);
}

#[test]
fn averages() {
    expect(Average::of(|price: &Price| price.1), &[("b", Some(7.5)), ("a", Some((0.1 + 0.2) / 4.0))]);
    expect(Average::of(|price: &Price| (price.1 > 1.0) as u64), &[("b", Some(1.0)), ("a", Some(0.25))]);
}

#[test]
fn extremes() {
    expect(Min::of(|price: &Price| price.1), &[("b", Some(7.5)), ("a", Some(-1e16))]);
    expect(Max::of(|price: &Price| price.1), &[("b", Some(7.5)), ("a", Some(1e16))]);
}

#[test]
fn decimals_are_exact() {
    let cents = |price: &Price| Decimal::new((price.1 * 100.0) as i64, 2);
    let decimal = |cents| Decimal::new(cents, 2);
    expect(Sum::of(cents), &[("b", decimal(750)), ("a", decimal(30))]);
    expect(Average::of(cents), &[("b", Some(decimal(750))), ("a", Some(Decimal::new(750, 4)))]);
    expect(Max::of(cents), &[("b", Some(decimal(750))), ("a", Some(decimal(1_000_000_000_000_000_000)))]);
}
