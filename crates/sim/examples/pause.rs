//! How long a barrier stops a window operator on the heap, and what the batches behind it cost: `cargo run
//! --release -p millstream-sim --example pause -- 10000000`, the argument being the number of keys.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a measurement")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_operators::KeySelector;
use millstream_operators::window::WindowSpec;
use millstream_operators::window::{Count, EventTimeTrigger, Tumbling, Window, WindowOperator};
use millstream_record::{Error, Key, Result};
use millstream_sim::{Harness, Simulated};
use millstream_stage::snapshot::Frozen;
use millstream_stage::{Operator, Output, Rows};

const BATCH: i64 = 4096;
const BATCHES: i64 = 400;

fn main() -> Result<()> {
    let keys = std::env::args().nth(1).unwrap_or_else(|| "1000000".to_owned());
    let keys: i64 =
        keys.parse().map_err(|_| Error::configuration(format!("{keys:?} is no number of keys")))?;
    let minutes = Tumbling::of(Duration::from_secs(60));
    let counted = Arc::new(|key: &i64, _: &Window, count: u64, out: &mut Vec<(i64, u64)>| {
        out.push((*key, count));
    });
    let key = KeySelector::new(|key: &i64| *key);
    let mut operator = WindowOperator::new(WindowSpec::new(key, minutes, EventTimeTrigger, Count, counted));
    let harness = Harness::new(Arc::new(Simulated::new(0, 0)));
    operator.open("count", &mut harness.open_context())?;
    for first in (0..keys).step_by(BATCH as usize) {
        run(&harness, &mut operator, (first..first + BATCH).map(|number| number % keys))?;
    }
    let mut held = None;
    for checkpoint in 0..4 {
        let mut took = Vec::new();
        for batch in 0..BATCHES {
            let numbers = (batch * BATCH..(batch + 1) * BATCH).map(|number| number * 7_777_777 % keys);
            took.push(run(&harness, &mut operator, numbers)?);
        }
        let (sum, worst) = (took.iter().sum::<Duration>(), took.iter().max().copied().unwrap_or_default());
        println!("{:?} per record, worst batch {worst:?}", sum / (BATCH * BATCHES) as u32);
        // The snapshot before is written out by now.
        drop(held.take());
        let (mut frozen, started) = (Frozen::default(), Instant::now());
        operator.snapshot(checkpoint, &mut frozen)?;
        println!("checkpoint {checkpoint} of {keys} keys: stopped for {:?}", started.elapsed());
        held = Some(frozen);
    }
    Ok(())
}

fn run<O: Operator<In = i64>>(
    harness: &Harness,
    operator: &mut O,
    keys: impl Iterator<Item = i64>,
) -> Result<Duration> {
    let mut rows = Rows::default();
    for key in keys {
        rows.hash.push(key.key_hash());
        rows.push(key, 1000);
    }
    let started = Instant::now();
    harness.call(|cx| operator.rows(cx, &mut rows, &mut Output::default()))?;
    Ok(started.elapsed())
}
