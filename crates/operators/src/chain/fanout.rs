//! One stream with several consumers, or with none.

use millstream_record::Result;
use millstream_record::record::Data;
use millstream_stage::batch::Rows;
use millstream_stage::context::{Context, OpenContext};
use millstream_stage::operator::{Push, SplitChange};
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::stage::End;
use millstream_stage::step::{Budget, Step};
use millstream_stage::watermark::WatermarkEvent;

/// Gives every consumer all rows: copies for all but the last. With no consumer at all, rows end here.
pub struct Fanout<T: Data> {
    consumers: Vec<Box<dyn Push<T>>>,
    copy: Rows<T>,
}

/// A stream that nobody reads.
pub type Discard<T> = Fanout<T>;

impl<T: Data> Fanout<T> {
    /// The only consumer itself, or a fan-out of several.
    pub fn of(mut consumers: Vec<Box<dyn Push<T>>>) -> Box<dyn Push<T>> {
        match consumers.len() {
            1 => consumers.remove(0),
            _ => Box::new(Self { consumers, copy: Rows::default() }),
        }
    }

    fn each(&mut self, mut call: impl FnMut(&mut dyn Push<T>) -> Result<Step>) -> Result<Step> {
        self.consumers.iter_mut().try_fold(Step::DONE, |step, next| Ok(step.and(call(next.as_mut())?)))
    }
}

impl<T: Data> Push<T> for Fanout<T> {
    fn open(&mut self, cx: &mut OpenContext) -> Result<()> {
        self.consumers.iter_mut().try_for_each(|next| next.open(cx))
    }

    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut Rows<T>) -> Result<Step> {
        let Some((last, others)) = self.consumers.split_last_mut() else {
            return Ok(Step::DONE);
        };
        let mut step = Step::DONE;
        for next in others {
            self.copy.clone_from(rows);
            step = step.and(next.rows(cx, &mut self.copy)?);
        }
        Ok(step.and(last.rows(cx, rows)?))
    }

    fn on_watermark(&mut self, cx: &mut Context<'_>, watermark: WatermarkEvent) -> Result<Step> {
        self.each(|next| next.on_watermark(cx, watermark))
    }

    fn resume(&mut self, cx: &mut Context<'_>, budget: Budget) -> Result<Step> {
        self.each(|next| next.resume(cx, budget))
    }

    fn split(&mut self, cx: &mut Context<'_>, change: &SplitChange) -> Result<()> {
        self.consumers.iter_mut().try_for_each(|next| next.split(cx, change))
    }

    fn prepare(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<Step> {
        self.each(|next| next.prepare(cx, id))
    }

    fn snapshot(&mut self, id: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        self.consumers.iter_mut().try_for_each(|next| next.snapshot(id, frozen))
    }

    fn completed(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<()> {
        self.consumers.iter_mut().try_for_each(|next| next.completed(cx, id))
    }

    fn aborted(&mut self, cx: &mut Context<'_>, id: CheckpointId) {
        self.consumers.iter_mut().for_each(|next| next.aborted(cx, id));
    }

    fn end(&mut self, cx: &mut Context<'_>, end: End) -> Result<Step> {
        self.each(|next| next.end(cx, end))
    }

    fn close(&mut self) {
        self.consumers.iter_mut().for_each(|next| next.close());
    }
}
