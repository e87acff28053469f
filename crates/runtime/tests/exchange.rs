//! Records reach the right subtasks, ends and watermarks arrive.

mod support;

use std::sync::Arc;

use millstream_runtime::start;
use millstream_stage::plan::Exchange;
use millstream_stage::stage::End;
use parking_lot::Mutex;
use support::numbers::Numbers;
use support::ops::{WatermarkWatch, Watermarks};
use support::plans::*;
use support::sinks::Written;
use support::wait;

#[test]
fn keyed_sums_are_exact_at_every_parallelism() {
    let splits = [(0, 10_000), (10_000, 10_000), (500, 40_500), (7, 8)];
    for (readers, summers) in [(1, 1), (2, 3), (3, 2), (1, 4), (5, 1)] {
        let written = Sums::default();
        let job = start(keyed_sum(&Numbers::new(&splits), readers, summers, &written), support::options());
        let report = job.unwrap().wait().unwrap();
        assert_eq!(written.sorted(), sums_of(&splits), "{readers} readers, {summers} summers");
        assert_eq!(report.end, End::Finished);
        assert_eq!(report.operator("sum").unwrap().records_in, 50_001);
        assert_eq!(report.operator("out").unwrap().records_in, 50);
    }
}

#[test]
fn an_empty_source_ends() {
    for splits in [&[][..], &[(3, 3)]] {
        let written = Sums::default();
        let job = start(keyed_sum(&Numbers::new(splits), 2, 2, &written), support::options()).unwrap();
        assert_eq!(job.wait().unwrap().end, End::Finished);
        assert!(written.sorted().is_empty());
    }
}

#[test]
fn splits_on_demand_go_to_whoever_is_ready() {
    let splits: Vec<_> = (0..20).map(|number| (number * 100, number * 100 + 100)).collect();
    let numbers = Numbers { on_demand: true, ..Numbers::new(&splits) };
    let written = Sums::default();
    start(keyed_sum(&numbers, 3, 2, &written), support::options()).unwrap().wait().unwrap();
    assert_eq!(written.sorted(), sums_of(&splits));
}

#[test]
fn splits_that_are_found_later_are_read() {
    let splits = [(0, 100), (100, 200), (200, 300)];
    let numbers = Numbers { by_tick: true, ..Numbers::new(&splits) };
    let written = Sums::default();
    wait(start(keyed_sum(&numbers, 2, 2, &written), support::options()).unwrap()).unwrap();
    assert_eq!(written.sorted(), sums_of(&splits));
}

#[test]
fn rebalance_spreads_and_forward_stays() {
    for exchange in [Exchange::Rebalance, Exchange::Forward] {
        for (readers, writers) in [(1, 3), (3, 1), (2, 2), (3, 2)] {
            let written = Written::<i64>::default();
            let out = written.clone();
            let leave = if exchange == Exchange::Forward { forwarded(0) } else { rebalanced(0) };
            let numbers = Numbers::new(&[(0, 3000), (3000, 6000), (6000, 9000)]);
            let plan = plan(
                vec![
                    source("numbers", readers, &numbers, leave),
                    stage_of("out", writers, 1, sink("out", out.direct())),
                ],
                vec![edge(0, 1, 0, exchange)],
            );
            let job = start(plan, support::options()).unwrap();
            let metrics = job.metrics();
            job.wait().unwrap();
            assert_eq!(written.sorted(), (0..9000).collect::<Vec<_>>());
            let busy =
                metrics.operators().filter(|(_, op)| op.name == "out" && op.records_in.get() > 0).count();
            let expected = if exchange == Exchange::Forward { readers.min(writers) } else { writers };
            assert_eq!(busy, usize::from(expected), "{exchange:?} {readers} to {writers}");
        }
    }
}

#[test]
fn a_union_takes_both_and_its_watermark_is_the_minimum() {
    let seen: Arc<Mutex<Vec<i64>>> = Arc::default();
    let written = Written::<i64>::default();
    let out = written.clone();
    // The second source ends early, the first one goes on: the end of one releases the watermark of the
    // other.
    let (left, right) = (Numbers::new(&[(0, 20_000)]), Numbers::new(&[(0, 50)]));
    let watermarks = Arc::clone(&seen);
    let watch = move || WatermarkWatch(Arc::clone(&watermarks));
    let plan = plan(
        vec![
            source("left -> watermarks", 1, &left, then("watermarks", Watermarks::default, rebalanced(0))),
            source(
                "right -> watermarks2",
                1,
                &right,
                then("watermarks2", Watermarks::default, rebalanced(1)),
            ),
            stage_of("watch -> out", 1, 2, then("watch", watch, sink("out", out.direct()))),
        ],
        vec![edge(0, 2, 0, Exchange::Rebalance), edge(1, 2, 1, Exchange::Rebalance)],
    );
    start(plan, support::options()).unwrap().wait().unwrap();
    assert_eq!(written.sorted().len(), 20_050);
    let seen = seen.lock();
    assert!(seen.is_sorted(), "a watermark never goes back");
    assert_eq!(*seen.last().unwrap(), i64::MAX);
}
