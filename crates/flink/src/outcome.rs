//! What a call gives back to the harness.

use millstream_checkpoint::wire::WireWriter;
use millstream_stage::batch::EdgeId;
use millstream_stage::time::{MAX_TIME, Time};

const MORE: u8 = 1;
const BLOCKED: u8 = 2;
const ENDED: u8 = 4;
const PREPARED: u8 = 8;
const SETTLED: u8 = 16;
const READY: u8 = 32;

const ELEMENT: u8 = 0;
const WATERMARK: u8 = 1;

/// An element for one subtask downstream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutgoingElement {
    pub(crate) edge: EdgeId,
    pub(crate) route: u16,
    pub(crate) bytes: Vec<u8>,
}

/// What the harness is to do after a call.
#[derive(Debug, Default)]
pub(crate) struct CallOutcome {
    /// To be sent, in this order.
    pub(crate) elements: Vec<OutgoingElement>,
    /// A watermark for Flink's page to show.
    pub(crate) watermark: Option<Time>,
    pub(crate) more: bool,
    pub(crate) blocked: bool,
    pub(crate) ended: bool,
    pub(crate) prepared: bool,
    pub(crate) settled: bool,
    pub(crate) ready: bool,
    pub(crate) wake_at: Option<Time>,
}

impl CallOutcome {
    /// The control message; the elements travel beside it.
    pub(crate) fn control(&self) -> Vec<u8> {
        let flags = [
            (self.more, MORE),
            (self.blocked, BLOCKED),
            (self.ended, ENDED),
            (self.prepared, PREPARED),
            (self.settled, SETTLED),
            (self.ready, READY),
        ];
        let mut out = WireWriter::default();
        out.byte(flags.iter().filter(|(is, _)| *is).map(|(_, flag)| flag).sum());
        out.long(self.wake_at.unwrap_or(MAX_TIME));
        out.int(self.elements.len() + usize::from(self.watermark.is_some()));
        for element in &self.elements {
            out.byte(ELEMENT);
            out.int(element.edge as i32);
            out.int(element.route);
        }
        if let Some(time) = self.watermark {
            out.byte(WATERMARK);
            out.long(time);
        }
        out.0
    }
}
