//! How an operator is made.
//!
//! Implement [`Operator`] and pass it to `DataStream::transform`; [`Chained`](crate::chain::Chained) links it to its
//! neighbours. `operators/filter.rs` is the shortest complete one.

use crate::Result;
use crate::batch::{Rows, SplitId};
use crate::context::{Context, OpenContext};
use crate::record::Data;
use crate::snapshot::{CheckpointId, Frozen};
use crate::stage::{Budget, End, Mark, Step};

/// What an operator hands on in one call: rows first, then at most one mark.
#[derive(Debug)]
pub struct Output<T> {
    /// Rows for the next operator.
    pub rows: Rows<T>,
    /// A watermark or change of idleness, behind the rows.
    pub mark: Option<Mark>,
}

impl<T> Default for Output<T> {
    fn default() -> Self {
        Self { rows: Rows::default(), mark: None }
    }
}

/// Splits come and go in a source's stage; operators that keep watermarks per split want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitChange {
    /// This reader reads it from now on.
    Added(SplitId),
    /// Its end was reached, or it moved to another reader.
    Removed(SplitId),
}

/// One step of a chain: rows in, rows out. Everything but [`rows`](Self::rows) has a default that fits an operator without
/// state and without timers; one with state implements [`snapshot`](Self::snapshot) and takes it back in [`open`](Self::open).
pub trait Operator: Send + 'static {
    /// What comes in.
    type In: Data;
    /// What goes out.
    type Out: Data;

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

    /// Event time goes on: by default it is passed on at once. An operator that must first fire windows sets `out.mark` when it is done,
    /// possibly in a later `resume`, and answers *more* until then.
    fn mark(&mut self, _: &mut Context<'_>, mark: Mark, out: &mut Output<Self::Out>) -> Result<Step> {
        out.mark = Some(mark);
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

    /// Nothing more comes; when everything was read, the final watermark came before this. Called again after each `resume`
    /// until the step is complete.
    fn end(&mut self, _: &mut Context<'_>, _: End, _: &mut Output<Self::Out>) -> Result<Step> {
        Ok(Step::DONE)
    }

    /// Frees everything.
    fn close(&mut self) {}
}

/// Where rows of one type go within a chain: an operator with all that follows it, an exchange, several of these.
///
/// Each call covers everything downstream; the step is what any of it wants.
pub trait Push<T: Data>: Send {
    /// Opens this and what follows.
    fn open(&mut self, cx: &mut OpenContext) -> Result<()>;
    /// Takes all rows.
    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut Rows<T>) -> Result<Step>;
    /// Event time goes on.
    fn mark(&mut self, cx: &mut Context<'_>, mark: Mark) -> Result<Step>;
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
