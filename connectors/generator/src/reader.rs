//! Gives the traffic of one subtask's splits, in turns.

use std::collections::BTreeSet;
use std::sync::Arc;

use millstream_record::Result;
use millstream_record::record::to_bytes;
use millstream_stage::Budget;
use millstream_stage::batch::Rows;
use millstream_stage::context::Context;
use millstream_stage::raw::RawBatch;
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::source::{Polled, Split, SplitReader, split_state};
use millstream_stage::split::SplitId;
use millstream_stage::time::{MIN_TIME, Time};

use crate::config::GeneratorOptions;
use crate::pace::{Pace, wake_at};
use crate::split::TrafficSplit;
use crate::traffic::ShopTraffic;

/// One per subtask.
pub(crate) struct GeneratorReader {
    options: Arc<GeneratorOptions>,
    parts: Vec<GeneratedSplit>,
    paused: BTreeSet<SplitId>,
    bytes: Vec<u8>,
}

struct GeneratedSplit {
    id: SplitId,
    split: TrafficSplit,
    traffic: ShopTraffic,
    pace: Option<Pace>,
}

enum GeneratorTurn {
    Rows(RawBatch),
    Finished,
    Wait(Time),
}

impl GeneratorReader {
    pub(crate) fn new(options: Arc<GeneratorOptions>) -> Self {
        Self { options, parts: Vec::new(), paused: BTreeSet::new(), bytes: Vec::new() }
    }

    fn part(&self, split: &Split) -> Result<GeneratedSplit> {
        let state: TrafficSplit = split_state(split)?;
        let mut traffic = ShopTraffic::new(Arc::clone(&self.options), state.number, state.start);
        traffic.seek(state.position);
        let share = |rate| rate / f64::from(self.options.splits);
        let pace = self.options.rate.map(|rate| Pace::new(share(rate), self.options.catch_up));
        Ok(GeneratedSplit { id: Arc::clone(&split.id), split: state, traffic, pace })
    }
}

impl GeneratedSplit {
    fn turn(
        &mut self,
        cx: &Context<'_>,
        budget: Budget,
        bytes: &mut Vec<u8>,
        options: &GeneratorOptions,
    ) -> GeneratorTurn {
        if self.traffic.left() == Some(0) {
            return GeneratorTurn::Finished;
        }
        let nanos = cx.nanos();
        let position = self.traffic.position();
        let due = self.pace.as_mut().map_or(u64::MAX, |pace| pace.due(nanos, position));
        let most = due.min(budget.records.max(1) as u64) as usize;
        match &self.pace {
            Some(pace) if most == 0 => GeneratorTurn::Wait(wake_at(cx.now(), pace.wait(nanos, position))),
            _ => GeneratorTurn::Rows(self.generate(most, bytes, options)),
        }
    }

    fn generate(&mut self, most: usize, bytes: &mut Vec<u8>, options: &GeneratorOptions) -> RawBatch {
        let mut batch = RawBatch::with_capacity(Arc::clone(&self.id), most * 200, most);
        for shot in self.traffic.by_ref().take(most) {
            bytes.clear();
            shot.write(options, bytes);
            batch.push(bytes, shot.position as i64, MIN_TIME);
        }
        self.split.position = self.traffic.position();
        batch
    }
}

impl SplitReader for GeneratorReader {
    type Out = RawBatch;

    fn add_splits(&mut self, splits: Vec<Split>) -> Result<()> {
        for split in &splits {
            self.parts.push(self.part(split)?);
        }
        Ok(())
    }

    fn pause(&mut self, splits: &[SplitId]) {
        self.paused.extend(splits.iter().cloned());
    }

    fn resume(&mut self, splits: &[SplitId]) {
        splits.iter().for_each(|split| {
            self.paused.remove(split);
        });
    }

    fn poll(&mut self, cx: &mut Context<'_>, budget: Budget, rows: &mut Rows<RawBatch>) -> Result<Polled> {
        let mut wait: Option<Time> = None;
        for _ in 0..self.parts.len() {
            self.parts.rotate_left(1);
            let last = self.parts.len() - 1;
            let part = &mut self.parts[last];
            if self.paused.contains(&part.id) {
                continue;
            }
            match part.turn(cx, budget, &mut self.bytes, &self.options) {
                GeneratorTurn::Rows(batch) => {
                    rows.push(batch, MIN_TIME);
                    return Ok(Polled::Rows(Arc::clone(&part.id)));
                }
                GeneratorTurn::Finished => {
                    let part = self.parts.remove(last);
                    self.paused.remove(&part.id);
                    return Ok(Polled::Finished(part.id));
                }
                GeneratorTurn::Wait(time) => wait = Some(wait.map_or(time, |earlier| earlier.min(time))),
            }
        }
        Ok(Polled::Pending(wait))
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<Split>> {
        let split = |part: &GeneratedSplit| Split { id: Arc::clone(&part.id), state: to_bytes(&part.split) };
        Ok(self.parts.iter().map(split).collect())
    }
}
