//! How an operator is made.
//!
//! Implement [`Operator`] and pass it to `DataStream::transform`; `Chained` in `millstream_operators` links
//! it to its neighbours. `operators/filter.rs` is the shortest complete one.

use millstream_record::Result;
use std::any::Any;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;

use millstream_record::record::Data;

use crate::batch::Rows;
use crate::context::{Context, OpenContext};
use crate::plan::KeyedSpec;
use crate::snapshot::{CheckpointId, Frozen};
use crate::split::SplitId;
use crate::stage::End;
use crate::step::{Budget, Step};
use crate::watermark::WatermarkEvent;

/// What an operator hands on in one call: side rows, rows, then watermarks.
#[derive(Debug)]
pub struct Output<T> {
    /// Rows for the next operator.
    pub rows: Rows<T>,
    /// Watermarks and changes of idleness, behind the rows.
    pub watermarks: VecDeque<WatermarkEvent>,
    sides: Vec<SideRows>,
}

#[derive(Debug)]
struct SideRows {
    name: Arc<str>,
    rows: Box<dyn Any + Send>,
    clear: fn(&mut (dyn Any + Send)),
}

fn clear<S: Data>(rows: &mut (dyn Any + Send)) {
    if let Some(rows) = rows.downcast_mut::<Rows<S>>() {
        rows.clear();
    }
}

impl<T> Default for Output<T> {
    fn default() -> Self {
        Self { rows: Rows::default(), watermarks: VecDeque::new(), sides: Vec::new() }
    }
}

impl<T> Output<T> {
    /// The rows of a side output.
    pub fn side<S: Data>(&mut self, tag: &SideTag<S>) -> &mut Rows<S> {
        let known = self.sides.iter().position(|side| side.name == tag.name && side.rows.is::<Rows<S>>());
        let index = known.unwrap_or_else(|| {
            let rows = Box::new(Rows::<S>::default());
            self.sides.push(SideRows { name: Arc::clone(&tag.name), rows, clear: clear::<S> });
            self.sides.len() - 1
        });
        self.sides[index].rows.downcast_mut().expect("found or made with this type")
    }

    /// All side outputs that were written to so far.
    pub fn sides_mut(&mut self) -> impl Iterator<Item = (&str, &mut (dyn Any + Send))> {
        self.sides.iter_mut().map(|side| (&*side.name, side.rows.as_mut()))
    }

    /// Empties all side outputs and keeps their memory.
    pub fn clear_sides(&mut self) {
        self.sides.iter_mut().for_each(|side| (side.clear)(side.rows.as_mut()));
    }
}

/// Names a side output and its type.
#[derive(Clone, Debug)]
pub struct SideTag<S> {
    name: Arc<str>,
    of: PhantomData<fn() -> S>,
}

impl<S> SideTag<S> {
    /// A side output of an operator, such as `late`.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), of: PhantomData }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }
}

/// Splits come and go in a source's stage; operators that keep watermarks per split want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitChange {
    /// This reader reads it from now on.
    Added(SplitId),
    /// Its end was reached, or it moved to another reader.
    Removed(SplitId),
    /// An assignment has come, possibly an empty one: a reader without splits now knows that it has none.
    Assigned,
    /// Everything in it was read, as far as its reader knows: from now on its silence says that there is
    /// nothing. Only readers that know the ends of their splits
    /// ([`SplitReader::knows_ends`](crate::source::SplitReader::knows_ends)) say this.
    AtEnd(SplitId),
    /// Its reader lags behind: its silence says nothing.
    Behind(SplitId),
}

/// One step of a chain: rows in, rows out. Everything but [`rows`](Self::rows) has a default that fits an
/// operator without state and without timers; one with state implements [`snapshot`](Self::snapshot) and
/// takes it back in [`open`](Self::open).
pub trait Operator: Send + 'static {
    /// What comes in.
    type In: Data;
    /// What goes out.
    type Out: Data;

    /// What it will keep per key: asked while the pipeline is described, of an instance that is never opened.
    fn keyed(&self) -> KeyedSpec {
        KeyedSpec::default()
    }

    /// Called once, before anything else.
    fn open(&mut self, _: &str, _: &mut OpenContext) -> Result<()> {
        Ok(())
    }

    /// A batch. What is left in `rows` afterwards is dropped; move what goes on to `out`.
    fn rows(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<Self::In>,
        out: &mut Output<Self::Out>,
    ) -> Result<Step>;

    /// Event time goes on: by default it is passed on at once. An operator that must first fire windows adds
    /// to `out.watermarks` when it is done, possibly in a later `resume`, and answers *more* until then.
    fn on_watermark(
        &mut self,
        _: &mut Context<'_>,
        watermark: WatermarkEvent,
        out: &mut Output<Self::Out>,
    ) -> Result<Step> {
        out.watermarks.push_back(watermark);
        Ok(Step::DONE)
    }

    /// Timers, completions, the rest of what was cut off by *more*.
    fn resume(&mut self, _: &mut Context<'_>, _: Budget, _: &mut Output<Self::Out>) -> Result<Step> {
        Ok(Step::DONE)
    }

    /// A split came or went (source stages only).
    fn split(&mut self, _: &mut Context<'_>, _: &SplitChange) -> Result<()> {
        Ok(())
    }

    /// Before a barrier goes on.
    fn prepare(&mut self, _: &mut Context<'_>, _: CheckpointId, _: &mut Output<Self::Out>) -> Result<Step> {
        Ok(Step::DONE)
    }

    /// Adds its state.
    fn snapshot(&mut self, _: CheckpointId, _: &mut Frozen) -> Result<()> {
        Ok(())
    }

    /// The checkpoint is complete.
    fn completed(&mut self, _: &mut Context<'_>, _: CheckpointId) -> Result<()> {
        Ok(())
    }

    /// The checkpoint will not complete.
    fn aborted(&mut self, _: &mut Context<'_>, _: CheckpointId) {}

    /// Nothing more comes; when everything was read, the final watermark came before this. Called again after
    /// each `resume` until the step is complete; from then on the operator is not resumed, so no timer fires.
    fn end(&mut self, _: &mut Context<'_>, _: End, _: &mut Output<Self::Out>) -> Result<Step> {
        Ok(Step::DONE)
    }

    /// Frees everything.
    fn close(&mut self) {}
}

/// Where rows of one type go within a chain: an operator with all that follows it, an exchange, several of
/// these.
///
/// Each call covers everything downstream; the step is what any of it wants.
pub trait Push<T: Data>: Send {
    /// Opens this and what follows.
    fn open(&mut self, cx: &mut OpenContext) -> Result<()>;
    /// Takes all rows.
    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut Rows<T>) -> Result<Step>;
    /// Event time goes on.
    fn on_watermark(&mut self, cx: &mut Context<'_>, watermark: WatermarkEvent) -> Result<Step>;
    /// Timers, completions, the rest.
    fn resume(&mut self, cx: &mut Context<'_>, budget: Budget) -> Result<Step>;
    /// A split came or went.
    fn split(&mut self, cx: &mut Context<'_>, change: &SplitChange) -> Result<()>;
    /// Before a barrier goes on. What follows is prepared only when this is complete.
    fn prepare(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<Step>;
    /// Adds all state.
    fn snapshot(&mut self, id: CheckpointId, frozen: &mut Frozen) -> Result<()>;
    /// The checkpoint is complete.
    fn completed(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<()>;
    /// The checkpoint will not complete.
    fn aborted(&mut self, cx: &mut Context<'_>, id: CheckpointId);
    /// Nothing more comes. What follows ends only when this is complete.
    fn end(&mut self, cx: &mut Context<'_>, end: End) -> Result<Step>;
    /// Frees everything.
    fn close(&mut self);
}
