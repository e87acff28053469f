//! Where an operator's side output goes.

use std::any::Any;
use std::sync::Arc;

use millstream_record::record::Data;
use millstream_record::{Error, Result};
use millstream_stage::batch::Rows;
use millstream_stage::context::{Context, OpenContext};
use millstream_stage::operator::{Push, SideTag};
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::stage::End;
use millstream_stage::step::{Budget, Step};
use millstream_stage::watermark::WatermarkEvent;

/// A side output of an operator and what reads it.
pub struct Side {
    pub(super) name: Arc<str>,
    pub(super) next: Box<dyn SidePush>,
}

impl Side {
    /// Rows with this tag go to `next`.
    pub fn new<S: Data>(tag: &SideTag<S>, next: Box<dyn Push<S>>) -> Self {
        Self { name: Arc::clone(tag.name()), next: Box::new(Erased(next)) }
    }
}

/// [`Push`] without its type: the operator does not know the types of its side outputs.
pub(super) trait SidePush: Send {
    fn open(&mut self, cx: &mut OpenContext) -> Result<()>;
    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut (dyn Any + Send)) -> Result<Step>;
    fn on_watermark(&mut self, cx: &mut Context<'_>, watermark: WatermarkEvent) -> Result<Step>;
    fn resume(&mut self, cx: &mut Context<'_>, budget: Budget) -> Result<Step>;
    fn prepare(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<Step>;
    fn snapshot(&mut self, id: CheckpointId, frozen: &mut Frozen) -> Result<()>;
    fn completed(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<()>;
    fn aborted(&mut self, cx: &mut Context<'_>, id: CheckpointId);
    fn end(&mut self, cx: &mut Context<'_>, end: End) -> Result<Step>;
    fn close(&mut self);
}

struct Erased<S: Data>(Box<dyn Push<S>>);

impl<S: Data> SidePush for Erased<S> {
    fn open(&mut self, cx: &mut OpenContext) -> Result<()> {
        self.0.open(cx)
    }

    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut (dyn Any + Send)) -> Result<Step> {
        let rows: &mut Rows<S> = rows.downcast_mut().ok_or_else(|| {
            Error::bug(format!(
                "a side output is read as {}, but written as another type",
                std::any::type_name::<S>()
            ))
        })?;
        if rows.is_empty() {
            return Ok(Step::DONE);
        }
        self.0.rows(cx, rows)
    }

    fn on_watermark(&mut self, cx: &mut Context<'_>, watermark: WatermarkEvent) -> Result<Step> {
        self.0.on_watermark(cx, watermark)
    }

    fn resume(&mut self, cx: &mut Context<'_>, budget: Budget) -> Result<Step> {
        self.0.resume(cx, budget)
    }

    fn prepare(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<Step> {
        self.0.prepare(cx, id)
    }

    fn snapshot(&mut self, id: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        self.0.snapshot(id, frozen)
    }

    fn completed(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<()> {
        self.0.completed(cx, id)
    }

    fn aborted(&mut self, cx: &mut Context<'_>, id: CheckpointId) {
        self.0.aborted(cx, id);
    }

    fn end(&mut self, cx: &mut Context<'_>, end: End) -> Result<Step> {
        self.0.end(cx, end)
    }

    fn close(&mut self) {
        self.0.close();
    }
}
