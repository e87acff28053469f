//! The front of a stage with two inputs of different types.

use millstream_record::Result;
use millstream_record::record::Record;
use millstream_stage::batch::{Batch, Rows};
use millstream_stage::context::{Context, OpenContext};
use millstream_stage::operator::Push;
use millstream_stage::stage::{InputId, no_such_input};
use millstream_stage::step::Step;

use super::input::{Call, Head, forward};
use crate::operators::Either;

/// Input 0 carries `A`, input 1 carries `B`; both go to one operator.
pub struct TwoInputs<A: Record, B: Record> {
    next: Box<dyn Push<Either<A, B>>>,
}

impl<A: Record, B: Record> TwoInputs<A, B> {
    /// Rows of both inputs go to `next`.
    pub fn new(next: Box<dyn Push<Either<A, B>>>) -> Self {
        Self { next }
    }
}

fn either<T: Record, E>(batch: Batch, wrap: fn(T) -> E) -> Result<Rows<E>> {
    let Rows { rec, ts, hash, origins } = batch.into_rows::<T>()?;
    Ok(Rows { rec: rec.into_iter().map(wrap).collect(), ts, hash, origins })
}

impl<A: Record, B: Record> Head for TwoInputs<A, B> {
    fn open(&mut self, cx: &mut OpenContext) -> Result<()> {
        self.next.open(cx)
    }

    fn batch(&mut self, cx: &mut Context<'_>, input: InputId, batch: Batch) -> Result<Step> {
        let mut rows = match input {
            0 => either(batch, Either::First)?,
            1 => either(batch, Either::Second)?,
            _ => return Err(no_such_input(input)),
        };
        self.next.rows(cx, &mut rows)
    }

    fn call(&mut self, cx: &mut Context<'_>, call: Call<'_>) -> Result<Step> {
        forward(self.next.as_mut(), cx, call)
    }

    fn close(&mut self) {
        self.next.close();
    }
}
