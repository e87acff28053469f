//! Where a subtask's output goes: the channels of the subtasks behind its exchanges.

use std::sync::Arc;

use millstream_record::{Error, Result};
use millstream_stage::batch::{Batch, EdgeId};
use millstream_stage::context::Emitted;
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::stage::End;
use millstream_stage::watermark::WatermarkEvent;

use crate::halt::Halt;
use crate::inbox::{Element, Inbox};

/// The sending end of one channel.
pub(crate) struct Sender {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) channel: usize,
}

/// One exchange; by route, the channel that it leads to. A forward exchange has a channel for a single route.
pub(crate) struct Output {
    pub(crate) edge: EdgeId,
    pub(crate) routes: Vec<Option<Sender>>,
}

/// All exchanges that leave a subtask. Each call says whether it had to wait for room.
pub(crate) struct Outputs(Vec<Output>);

impl Outputs {
    pub(crate) fn new(outputs: Vec<Output>) -> Self {
        Self(outputs)
    }

    /// Sends what a call of the stage emitted, in order.
    pub(crate) fn send(&self, emitted: Emitted) -> Result<bool, Halt> {
        match emitted {
            Emitted::Batch(batch) => self.batch(batch),
            Emitted::Watermark(edge, watermark) => self.on_watermark(edge, watermark),
        }
    }

    /// Passes a barrier on, everywhere.
    pub(crate) fn barrier(&self, id: CheckpointId) -> Result<bool, Halt> {
        each(self.0.iter().flat_map(Output::senders), || Element::Barrier(id))
    }

    /// Says that nothing more follows, everywhere.
    pub(crate) fn end(&self, end: End) -> Result<bool, Halt> {
        each(self.0.iter().flat_map(Output::senders), || Element::End(end))
    }

    fn batch(&self, batch: Batch) -> Result<bool, Halt> {
        if batch.records == 0 {
            return Ok(false);
        }
        let output = self.output(batch.edge)?;
        let sender = output.routes.get(usize::from(batch.route)).and_then(Option::as_ref);
        let sender = sender.ok_or_else(|| {
            Error::bug(format!("edge {} has no channel for route {} here", batch.edge, batch.route))
        })?;
        Ok(sender.inbox.send(sender.channel, Element::Batch(batch))?)
    }

    fn on_watermark(&self, edge: EdgeId, watermark: WatermarkEvent) -> Result<bool, Halt> {
        each(self.output(edge)?.senders(), || Element::Watermark(watermark))
    }

    fn output(&self, edge: EdgeId) -> Result<&Output> {
        let output = self.0.iter().find(|output| output.edge == edge);
        output.ok_or_else(|| Error::bug(format!("this stage has no edge {edge}")))
    }
}

impl Output {
    fn senders(&self) -> impl Iterator<Item = &Sender> {
        self.routes.iter().flatten()
    }
}

fn each<'a>(senders: impl Iterator<Item = &'a Sender>, element: impl Fn() -> Element) -> Result<bool, Halt> {
    let mut waited = false;
    for sender in senders {
        waited |= sender.inbox.send(sender.channel, element())?;
    }
    Ok(waited)
}
