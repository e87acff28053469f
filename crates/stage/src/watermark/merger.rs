//! Merges the progress of several inputs (channels, inputs of a stage, splits) into one.

use crate::time::{MAX_TIME, MIN_TIME, Time};
use crate::watermark::WatermarkEvent;

/// The minimum of the watermarks of all active inputs, which never goes back; idle when all inputs are.
///
/// The rule of Flink's `StatusWatermarkValve`: an input that turns active again and lags behind does not pull
/// the result back. Unlike there, an input that has ended (its watermark is the final one) does not take the
/// place of others that are merely idle: the final watermark comes only when every input has ended.
#[derive(Clone, Debug)]
pub struct WatermarkMerger {
    inputs: Vec<Input>,
    watermark: Time,
    idle: bool,
}

#[derive(Clone, Copy, Debug)]
struct Input {
    watermark: Time,
    idle: bool,
}

impl Input {
    fn has_ended(&self) -> bool {
        self.watermark == MAX_TIME
    }
}

impl WatermarkMerger {
    /// A merge of so many inputs, all active and at the beginning.
    pub fn new(inputs: usize) -> Self {
        Self {
            inputs: vec![Input { watermark: MIN_TIME, idle: false }; inputs],
            watermark: MIN_TIME,
            idle: false,
        }
    }

    /// What the watermark of one input changes in the result, in order: it turns active before a watermark,
    /// and idle behind one. What that watermark sets off would else come from somebody who is idle, whom
    /// nobody waits for.
    pub fn on(&mut self, input: usize, watermark: WatermarkEvent) -> [Option<WatermarkEvent>; 2] {
        let was_idle = self.idle;
        let input = &mut self.inputs[input];
        match watermark {
            WatermarkEvent::Watermark(time) => input.watermark = input.watermark.max(time),
            WatermarkEvent::Idle => input.idle = true,
            WatermarkEvent::Active => input.idle = false,
        }
        let mut left = self.inputs.iter().filter(|input| !input.has_ended()).peekable();
        self.idle = left.peek().is_some() && left.all(|input| input.idle);
        let time = self.advance().map(WatermarkEvent::Watermark);
        match (was_idle, self.idle) {
            (false, true) => [time, Some(WatermarkEvent::Idle)],
            (true, false) => [Some(WatermarkEvent::Active), time],
            _ => [None, time],
        }
    }

    /// An input has ended: it holds nothing back any more.
    pub fn end(&mut self, input: usize) -> [Option<WatermarkEvent>; 2] {
        self.on(input, WatermarkEvent::Watermark(MAX_TIME))
    }

    /// The watermark so far.
    pub fn watermark(&self) -> Time {
        self.watermark
    }

    // When the last active input turns idle, the highest watermark counts, as in Flink: nothing is held back
    // any more.
    fn advance(&mut self) -> Option<Time> {
        let left = || self.inputs.iter().filter(|input| !input.has_ended());
        let active = left().filter(|input| !input.idle).map(|input| input.watermark).min();
        let candidate = active.or_else(|| left().map(|input| input.watermark).max()).unwrap_or(MAX_TIME);
        (candidate > self.watermark).then(|| {
            self.watermark = candidate;
            candidate
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: [Option<WatermarkEvent>; 2] = [None, None];

    fn time(time: Time) -> [Option<WatermarkEvent>; 2] {
        [None, Some(WatermarkEvent::Watermark(time))]
    }

    #[test]
    fn the_minimum_of_the_active_as_in_flinks_status_watermark_valve_test() {
        let mut merge = WatermarkMerger::new(2);
        assert_eq!(merge.on(0, WatermarkEvent::Watermark(10)), NOTHING);
        assert_eq!(merge.on(1, WatermarkEvent::Watermark(5)), time(5));
        assert_eq!(merge.on(1, WatermarkEvent::Idle), time(10));
        assert_eq!(merge.on(0, WatermarkEvent::Watermark(20)), time(20));
        assert_eq!(
            merge.on(1, WatermarkEvent::Active),
            NOTHING,
            "an input that lags behind does not pull back"
        );
        assert_eq!(merge.on(1, WatermarkEvent::Watermark(15)), NOTHING);
        assert_eq!(merge.on(1, WatermarkEvent::Watermark(25)), NOTHING);
        assert_eq!(merge.on(0, WatermarkEvent::Watermark(22)), time(22));
    }

    #[test]
    fn idle_when_all_are_and_then_the_highest_counts() {
        let mut merge = WatermarkMerger::new(2);
        merge.on(0, WatermarkEvent::Watermark(10));
        merge.on(1, WatermarkEvent::Watermark(5));
        assert_eq!(merge.on(0, WatermarkEvent::Idle), NOTHING);
        assert_eq!(
            merge.on(1, WatermarkEvent::Idle),
            [Some(WatermarkEvent::Watermark(10)), Some(WatermarkEvent::Idle)]
        );
        assert_eq!(merge.on(0, WatermarkEvent::Active), [Some(WatermarkEvent::Active), None]);
    }

    #[test]
    fn an_ended_input_does_not_stand_in_for_idle_ones() {
        let mut merge = WatermarkMerger::new(2);
        merge.on(0, WatermarkEvent::Watermark(10));
        assert_eq!(merge.on(1, WatermarkEvent::Idle), time(10));
        assert_eq!(merge.end(0), [None, Some(WatermarkEvent::Idle)], "the silent one may still come");
        assert_eq!(merge.on(1, WatermarkEvent::Active), [Some(WatermarkEvent::Active), None]);
        assert_eq!(merge.on(1, WatermarkEvent::Watermark(30)), time(30));
        assert_eq!(merge.end(1), time(MAX_TIME));
    }
}
