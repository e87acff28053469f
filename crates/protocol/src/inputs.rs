//! Merges the channels of each input of a subtask: watermarks to their minimum, ends to one end.

use millstream_stage::stage::{End, InputId};
use millstream_stage::watermark::WatermarkEvent;
use millstream_stage::watermark::WatermarkMerger;

/// A change of an input that the stage must hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputEvent {
    /// Its event time goes on.
    Watermark(InputId, WatermarkEvent),
    /// Its last channel has ended.
    End(InputId, End),
}

/// The inputs of one subtask and the channels that feed them.
#[derive(Debug)]
pub struct Inputs {
    // By channel: its input, and its number among that input's channels.
    channels: Vec<(InputId, usize)>,
    inputs: Vec<Input>,
}

#[derive(Debug)]
struct Input {
    merge: WatermarkMerger,
    open: usize,
    stopped: bool,
}

impl Inputs {
    /// For channels that feed these inputs, out of `count` inputs.
    pub fn new(count: InputId, feeds: &[InputId]) -> Self {
        let mut sizes = vec![0; usize::from(count)];
        let number = |input: &InputId| {
            let size = &mut sizes[usize::from(*input)];
            *size += 1;
            (*input, *size - 1)
        };
        let channels = feeds.iter().map(number).collect();
        let input = |open| Input { merge: WatermarkMerger::new(open), open, stopped: false };
        Self { channels, inputs: sizes.into_iter().map(input).collect() }
    }

    /// Inputs that no channel leads to: they have ended before they began.
    pub fn unfed(&self) -> impl Iterator<Item = InputEvent> {
        let unfed = (0..).zip(&self.inputs).filter(|(_, input)| input.open == 0);
        unfed.map(|(id, _)| InputEvent::End(id, End::Finished))
    }

    /// The numbers of all channels.
    pub fn channels(&self) -> std::ops::Range<usize> {
        0..self.channels.len()
    }

    /// Which input a channel feeds.
    pub fn of(&self, channel: usize) -> InputId {
        self.channels[channel].0
    }

    /// What a watermark on a channel means for the input.
    pub fn on_watermark(&mut self, channel: usize, watermark: WatermarkEvent) -> [Option<InputEvent>; 2] {
        let (id, number) = self.channels[channel];
        let watermarks = self.inputs[usize::from(id)].merge.on(number, watermark);
        watermarks.map(|watermark| watermark.map(|watermark| InputEvent::Watermark(id, watermark)))
    }

    /// What the end of a channel means for the input. A channel that was stopped keeps holding event time
    /// back: it is not complete.
    pub fn end(&mut self, channel: usize, end: End) -> [Option<InputEvent>; 2] {
        let (id, number) = self.channels[channel];
        let input = &mut self.inputs[usize::from(id)];
        input.open -= 1;
        input.stopped |= end == End::Stopped;
        if input.open == 0 {
            let end = if input.stopped { End::Stopped } else { End::Finished };
            return [Some(InputEvent::End(id, end)), None];
        }
        if end == End::Stopped {
            return [None, None];
        }
        input
            .merge
            .end(number)
            .map(|watermark| watermark.map(|watermark| InputEvent::Watermark(id, watermark)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [Option<InputEvent>; 2] = [None, None];

    #[test]
    fn the_watermark_of_an_input_is_the_minimum_of_its_channels() {
        let mut inputs = Inputs::new(2, &[0, 1, 0]);
        assert_eq!(inputs.on_watermark(0, WatermarkEvent::Watermark(5)), NONE);
        assert_eq!(
            inputs.on_watermark(1, WatermarkEvent::Watermark(9)),
            [None, Some(InputEvent::Watermark(1, WatermarkEvent::Watermark(9)))]
        );
        assert_eq!(
            inputs.on_watermark(2, WatermarkEvent::Watermark(3)),
            [None, Some(InputEvent::Watermark(0, WatermarkEvent::Watermark(3)))]
        );
        assert_eq!(inputs.of(2), 0);
    }

    #[test]
    fn an_input_ends_with_its_last_channel() {
        let mut inputs = Inputs::new(1, &[0, 0]);
        assert_eq!(inputs.on_watermark(1, WatermarkEvent::Watermark(3)), NONE);
        assert_eq!(
            inputs.end(0, End::Finished),
            [None, Some(InputEvent::Watermark(0, WatermarkEvent::Watermark(3)))]
        );
        assert_eq!(inputs.end(1, End::Finished), [Some(InputEvent::End(0, End::Finished)), None]);
    }

    #[test]
    fn a_stopped_channel_holds_event_time_back() {
        let mut inputs = Inputs::new(1, &[0, 0]);
        assert_eq!(inputs.on_watermark(1, WatermarkEvent::Watermark(3)), NONE);
        assert_eq!(inputs.end(0, End::Stopped), NONE);
        assert_eq!(inputs.on_watermark(1, WatermarkEvent::Watermark(7)), NONE);
        assert_eq!(inputs.end(1, End::Finished), [Some(InputEvent::End(0, End::Stopped)), None]);
    }

    #[test]
    fn an_input_without_channels_has_ended() {
        let inputs = Inputs::new(2, &[1]);
        assert_eq!(inputs.unfed().collect::<Vec<_>>(), [InputEvent::End(0, End::Finished)]);
    }
}
