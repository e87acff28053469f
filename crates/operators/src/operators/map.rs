//! One record for each record.

use std::marker::PhantomData;
use std::sync::Arc;

use millstream_record::{Data, Result};
use millstream_stage::{Context, Operator, Output, Rows, Step};

/// Turns each record into another and keeps its time.
pub struct Map<A, B, F> {
    map: Arc<F>,
    of: PhantomData<fn(A) -> B>,
}

impl<A, B, F> Map<A, B, F> {
    /// A map; the function is shared by all subtasks.
    pub fn new(map: Arc<F>) -> Self {
        Self { map, of: PhantomData }
    }
}

impl<A: Data, B: Data, F: Fn(A) -> B + Send + Sync + 'static> Operator for Map<A, B, F> {
    type In = A;
    type Out = B;

    fn rows(&mut self, _: &mut Context<'_>, rows: &mut Rows<A>, out: &mut Output<B>) -> Result<Step> {
        out.rows.rec.extend(rows.rec.drain(..).map(|record| (self.map)(record)));
        out.rows.ts.append(&mut rows.ts);
        out.rows.origins = std::mem::take(&mut rows.origins);
        Ok(Step::DONE)
    }
}
