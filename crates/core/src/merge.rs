//! Merges the progress of several inputs (channels, inputs of a stage, splits) into one.

use crate::stage::Mark;
use crate::time::{MIN_TIME, Time};

/// The minimum of the watermarks of all active inputs, which never goes back; idle when all inputs are.
///
/// The rule of Flink's `StatusWatermarkValve`: an input that turns active again and lags behind does not pull the result back, and is
/// left out of the minimum until it has caught up.
#[derive(Clone, Debug)]
pub struct MarkMerge {
    inputs: Vec<Input>,
    watermark: Time,
    idle: bool,
}

#[derive(Clone, Copy, Debug)]
struct Input {
    watermark: Time,
    idle: bool,
}

impl MarkMerge {
    /// A merge of so many inputs, all active and at the beginning.
    pub fn new(inputs: usize) -> Self {
        Self {
            inputs: vec![Input { watermark: MIN_TIME, idle: false }; inputs],
            watermark: MIN_TIME,
            idle: false,
        }
    }

    /// What the mark of one input changes in the result: at most a change of idleness and a watermark, in this order.
    pub fn on(&mut self, input: usize, mark: Mark) -> [Option<Mark>; 2] {
        let was_idle = self.idle;
        match mark {
            Mark::Time(time) => {
                let input = &mut self.inputs[input];
                input.watermark = input.watermark.max(time);
            }
            Mark::Idle => self.inputs[input].idle = true,
            Mark::Active => self.inputs[input].idle = false,
        }
        self.idle = self.inputs.iter().all(|input| input.idle);
        let change = match (was_idle, self.idle) {
            (false, true) => Some(Mark::Idle),
            (true, false) => Some(Mark::Active),
            _ => None,
        };
        [change, self.advance().map(Mark::Time)]
    }

    /// An input has ended: it holds nothing back any more.
    pub fn end(&mut self, input: usize) -> [Option<Mark>; 2] {
        self.inputs[input].watermark = crate::time::MAX_TIME;
        // An ended input among idle ones does not make the result active.
        self.on(input, Mark::Idle)
    }

    /// The watermark so far.
    pub fn watermark(&self) -> Time {
        self.watermark
    }

    // When the last active input turns idle, the others' highest watermark counts, as in Flink: nothing is held back any more.
    fn advance(&mut self) -> Option<Time> {
        let active = self.inputs.iter().filter(|input| !input.idle);
        let candidate = match active.map(|input| input.watermark).min() {
            Some(minimum) => minimum,
            None => self.inputs.iter().map(|input| input.watermark).max()?,
        };
        (candidate > self.watermark).then(|| {
            self.watermark = candidate;
            candidate
        })
    }
}
