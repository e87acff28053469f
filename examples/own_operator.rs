//! An operator of your own: it hands on every nth record, and counts across restarts.
//!
//! `cargo run -p examples --example own_operator` prints every third number up to 30.

use millstream::connectors::files::{FilesSink, FilesSinkOptions};
use millstream::prelude::*;
use millstream::record::{from_bytes, to_bytes};
use millstream::snapshot::{CheckpointId, Frozen, OperatorList, Redistribute};
use millstream::{Context, OpenContext, Operator, Output, Rows, Step};

const SEEN: &str = "seen";

/// Hands on every `nth` record of its subtask.
struct Every {
    nth: u64,
    seen: u64,
    name: String,
}

impl Every {
    fn new(nth: u64) -> Self {
        Self { nth, seen: 0, name: String::new() }
    }
}

impl Operator for Every {
    type In = u64;
    type Out = u64;

    // Takes back what `snapshot` has put into the checkpoint.
    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        name.clone_into(&mut self.name);
        for item in cx.restored.take_list(name, SEEN) {
            self.seen += from_bytes::<u64>(&item)?;
        }
        Ok(())
    }

    // Records come in batches, each with its event time.
    fn rows(&mut self, _: &mut Context<'_>, rows: &mut Rows<u64>, out: &mut Output<u64>) -> Result<Step> {
        for (record, time) in rows.drain() {
            self.seen += 1;
            if self.seen.is_multiple_of(self.nth) {
                out.rows.push(record, time);
            }
        }
        Ok(Step::DONE)
    }

    fn snapshot(&mut self, _: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        frozen.lists.push(OperatorList {
            operator: self.name.clone(),
            state: SEEN.to_owned(),
            items: vec![to_bytes(&self.seen)],
            redistribute: Redistribute::Split,
        });
        Ok(())
    }
}

fn every_third(numbers: &DataStream<u64>) -> DataStream<u64> {
    numbers.transform("every-third", || Every::new(3))
}

fn main() -> Result<()> {
    let env = Environment::new("own-operator");
    let sink = FilesSink::lines(FilesSinkOptions::to("-"), |number: &u64, line| {
        line.extend_from_slice(format!("{number}\n").as_bytes());
    });
    every_third(&env.source("numbers", Collection::of(1..=30))).sink_to("out", sink);
    env.execute()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_third_number_is_handed_on() {
        let (env, results) = (Environment::new("test"), Collected::default());
        every_third(&env.source("numbers", Collection::of(1..=10))).sink_to("out", results.clone());
        env.execute().unwrap();
        assert_eq!(results.take(), [3, 6, 9]);
    }

    #[test]
    fn the_count_is_in_the_snapshot() {
        let mut operator = Every { seen: 5, ..Every::new(3) };
        let mut frozen = Frozen::default();
        operator.snapshot(1, &mut frozen).unwrap();
        assert_eq!(from_bytes::<u64>(&frozen.lists[0].items[0]).unwrap(), 5);
    }
}
