//! Any number of records for each record.

use std::marker::PhantomData;
use std::sync::Arc;

use millstream_record::{Data, Result};
use millstream_stage::{Context, Operator, Output, Rows, Step};

/// Turns each record into as many as an iterator gives; all keep its time.
pub struct FlatMap<A, I, F> {
    map: Arc<F>,
    of: PhantomData<fn(A) -> I>,
}

impl<A, I, F> FlatMap<A, I, F> {
    /// A flat map; the function is shared by all subtasks.
    pub fn new(map: Arc<F>) -> Self {
        Self { map, of: PhantomData }
    }
}

impl<A, I, F> Operator for FlatMap<A, I, F>
where
    A: Data,
    I: IntoIterator<Item: Data> + 'static,
    F: Fn(A) -> I + Send + Sync + 'static,
{
    type In = A;
    type Out = I::Item;

    fn rows(&mut self, _: &mut Context<'_>, rows: &mut Rows<A>, out: &mut Output<I::Item>) -> Result<Step> {
        for (record, ts) in rows.drain() {
            for made in (self.map)(record) {
                out.rows.push(made, ts);
            }
        }
        Ok(Step::DONE)
    }
}
