//! The inputs of a Flink operator, one per edge, and the channels that they stand for.

use millstream_record::{Error, Result};
use millstream_stage::batch::EdgeId;

/// One input of Flink's: an edge and the subtasks that send to this one on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InEdge {
    pub(crate) edge: EdgeId,
    /// How many subtasks the stage upstream has.
    pub(crate) upstreams: u16,
    /// Those that send to this subtask, in their order.
    pub(crate) senders: Vec<u16>,
}

/// All inputs, and which channels have ended. Channels are numbered input by input.
#[derive(Debug)]
pub(super) struct FlinkInputs {
    edges: Vec<InEdge>,
    ended: Vec<bool>,
}

impl FlinkInputs {
    pub(super) fn new(edges: Vec<InEdge>) -> Self {
        let channels = edges.iter().map(|edge| edge.senders.len()).sum();
        Self { edges, ended: vec![false; channels] }
    }

    pub(super) fn edge(&self, input: usize) -> Result<EdgeId> {
        self.input(input).map(|edge| edge.edge)
    }

    pub(super) fn channel(&self, input: usize, upstream: u16) -> Result<usize> {
        let edge = self.input(input)?;
        let number = edge.senders.iter().position(|sender| *sender == upstream);
        let number = number.ok_or_else(|| {
            Error::bug(format!("edge {} has no channel from subtask {upstream}", edge.edge))
        })?;
        Ok(self.first_channel(input) + number)
    }

    pub(super) fn channels_of(&self, input: usize) -> Result<std::ops::Range<usize>> {
        let first = self.first_channel(input);
        self.input(input).map(|edge| first..first + edge.senders.len())
    }

    pub(super) fn open_channels(&self) -> Vec<usize> {
        (0..self.ended.len()).filter(|channel| !self.ended[*channel]).collect()
    }

    /// Notes the end of a channel; whether it had not ended before.
    pub(super) fn end(&mut self, channel: usize) -> bool {
        !std::mem::replace(&mut self.ended[channel], true)
    }

    fn first_channel(&self, input: usize) -> usize {
        self.edges[..input].iter().map(|edge| edge.senders.len()).sum()
    }

    fn input(&self, input: usize) -> Result<&InEdge> {
        self.edges.get(input).ok_or_else(|| Error::bug(format!("the stage has no input {input}")))
    }
}
