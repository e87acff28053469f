//! Keeps the records that a predicate accepts.

use std::marker::PhantomData;
use std::sync::Arc;

use millstream_record::{Data, Result};
use millstream_stage::{Context, Operator, Output, Rows, Step};

/// Keeps the records for which `keep` says so, in their order.
///
/// This is what a stateless operator looks like: types in and out, and one method that moves rows from one to
/// the other.
pub struct Filter<T, F> {
    keep: Arc<F>,
    of: PhantomData<fn(T)>,
}

impl<T, F> Filter<T, F> {
    /// A filter; the predicate is shared by all subtasks.
    pub fn new(keep: Arc<F>) -> Self {
        Self { keep, of: PhantomData }
    }
}

impl<T: Data, F: Fn(&T) -> bool + Send + Sync + 'static> Operator for Filter<T, F> {
    type In = T;
    type Out = T;

    fn rows(&mut self, _: &mut Context<'_>, rows: &mut Rows<T>, out: &mut Output<T>) -> Result<Step> {
        rows.retain(self.keep.as_ref());
        rows.append_to(&mut out.rows);
        Ok(Step::DONE)
    }
}
