//! Looks at records as they pass.

use std::marker::PhantomData;
use std::sync::Arc;

use millstream_record::{Data, Result};
use millstream_stage::time::Time;
use millstream_stage::{Context, Operator, Output, Rows, Step};

/// Shows each record and its event time to a function and hands it on unchanged.
pub struct Inspect<T, F> {
    look: Arc<F>,
    of: PhantomData<fn(T)>,
}

impl<T, F> Inspect<T, F> {
    /// An inspection; the function is shared by all subtasks.
    pub fn new(look: Arc<F>) -> Self {
        Self { look, of: PhantomData }
    }
}

impl<T: Data, F: Fn(&T, Time) + Send + Sync + 'static> Operator for Inspect<T, F> {
    type In = T;
    type Out = T;

    fn rows(&mut self, _: &mut Context<'_>, rows: &mut Rows<T>, out: &mut Output<T>) -> Result<Step> {
        for (record, ts) in rows.rec.iter().zip(&rows.ts) {
            (self.look)(record, *ts);
        }
        rows.append_to(&mut out.rows);
        Ok(Step::DONE)
    }
}
