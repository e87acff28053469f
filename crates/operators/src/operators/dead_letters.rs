//! Makes dead letters of records that were refused later in the pipeline.

use std::marker::PhantomData;
use std::sync::Arc;

use millstream_record::{Record, Result};
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::metrics::Counter;
use millstream_stage::reasons::Reasons;
use millstream_stage::{Context, OpenContext, Operator, Output, Rows, Step};

/// Turns each record into a [`DeadLetter`] with its encoded value.
pub struct DeadLetters<T> {
    operator: String,
    stage: String,
    reason: String,
    letters: Arc<Counter>,
    reasons: Arc<Reasons>,
    of: PhantomData<fn(T)>,
}

impl<T> DeadLetters<T> {
    /// Dead letters of the stage `stage`, such as `late`, all for the same reason.
    pub fn new(stage: &str, reason: &str) -> Self {
        let (stage, reason) = (stage.to_owned(), reason.to_owned());
        let (letters, reasons) = (Arc::default(), Arc::default());
        Self { operator: String::new(), stage, reason, letters, reasons, of: PhantomData }
    }
}

impl<T: Record> Operator for DeadLetters<T> {
    type In = T;
    type Out = DeadLetter;

    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        name.clone_into(&mut self.operator);
        let metrics = cx.metrics_of(name);
        (self.letters, self.reasons) = (metrics.counter("deadLetters"), Arc::clone(&metrics.reasons));
        Ok(())
    }

    fn rows(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<T>,
        out: &mut Output<DeadLetter>,
    ) -> Result<Step> {
        self.letters.add(rows.len() as u64);
        let before = out.rows.len();
        for (record, ts) in rows.drain() {
            let value = millstream_record::record::to_bytes(&record);
            let reason = format_args!("{}; event time {ts}", self.reason);
            out.rows.push(DeadLetter::of_value(&self.operator, &self.stage, value, cx.now(), reason), ts);
        }
        self.reasons.count(&out.rows.rec[before..]);
        Ok(Step::DONE)
    }
}
