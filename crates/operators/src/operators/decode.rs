//! Messages to records.

use std::sync::Arc;

use millstream_record::{Data, Result};
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::decode::{Decoder, Refused};
use millstream_stage::metrics::{Counter, OperatorMetrics};
use millstream_stage::operator::SideTag;
use millstream_stage::origin::Fetched;
use millstream_stage::raw::RawBatch;
use millstream_stage::refusals::{Refusal, Refusals};
use millstream_stage::trouble::Troubles;
use millstream_stage::{Budget, Context, End, OpenContext, Operator, Output, Rows, Step};

/// The side output of messages that could not be decoded.
pub const DEAD_LETTERS: &str = "dead-letters";

/// Runs a decoder over what a source fetched.
pub struct Decode<T> {
    source: Arc<str>,
    keeps_origins: bool,
    decoder: Box<dyn Decoder<T>>,
    tag: SideTag<DeadLetter>,
    metrics: Arc<OperatorMetrics>,
    messages: Arc<Counter>,
    refused: Arc<Counter>,
    refusals: Refusals,
}

impl<T: Data> Decode<T> {
    /// Decodes the messages of a source of this name.
    pub fn new(source: &str, decoder: Box<dyn Decoder<T>>) -> Self {
        let metrics = OperatorMetrics::new("");
        let (messages, refused) = (metrics.counter("messages"), metrics.counter("deadLetters"));
        Self {
            source: source.into(),
            keeps_origins: false,
            decoder,
            tag: SideTag::new(DEAD_LETTERS),
            metrics,
            messages,
            refused,
            refusals: Troubles::default().refusals(source),
        }
    }

    /// Keeps with each record the message that it was decoded from.
    #[must_use]
    pub fn with_origins(self) -> Self {
        Self { keeps_origins: true, ..self }
    }

    fn batch(&mut self, cx: &Context<'_>, batch: RawBatch, out: &mut Output<T>) -> Step {
        let mut letters = std::mem::take(out.side(&self.tag));
        let before = letters.len();
        let mut refused = Refused::new(&self.source, &batch, cx.now(), &mut letters);
        self.decoder.decode(&batch, cx.now(), &mut out.rows, &mut refused);
        self.messages.add(batch.len() as u64);
        // The chain has counted each buffer as one record.
        self.metrics.records_in.add((batch.len() as u64).saturating_sub(1));
        let (all, refused) = (batch.len() + batch.refused().len(), letters.len() - before);
        self.refused.add(refused as u64);
        self.metrics.reasons.count(&letters.rec[before..]);
        let refusals = || Refusal::of(&letters.rec[before..]);
        let step = self.refusals.count_in(cx, all as u64, refused as u64, refusals);
        if self.keeps_origins {
            let refused = &letters.rec[before + batch.refused().len()..];
            keep_origins(&self.source, batch, refused, &mut out.rows);
        }
        *out.side(&self.tag) = letters;
        step
    }
}

// Where a decoder makes several records of one message, it is not known which record came from which message.
fn keep_origins<T>(source: &Arc<str>, batch: RawBatch, refused: &[DeadLetter], rows: &mut Rows<T>) {
    let (messages, before) = (batch.len(), rows.origins.len());
    if before + messages != rows.len() + refused.len() {
        return;
    }
    let from = Arc::new(Fetched { source: Arc::clone(source), batch });
    if refused.is_empty() {
        return rows.origins.extend(&from, 0..messages as u32);
    }
    let mut refused = refused.iter().map(|letter| letter.position).peekable();
    let taken = |position| refused.next_if_eq(&position).is_none();
    let messages: Vec<_> = from.batch.iter().map(|message| message.position).map(taken).collect();
    let taken = (0..).zip(messages).filter(|(_, taken)| *taken).map(|(message, _)| message);
    rows.origins.extend(&from, taken);
}

impl<T: Data> Operator for Decode<T> {
    type In = RawBatch;
    type Out = T;

    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        let metrics = cx.metrics_of(name);
        (self.messages, self.refused) = (metrics.counter("messages"), metrics.counter("deadLetters"));
        self.metrics = metrics;
        self.refusals = cx.refusals_of(name);
        Ok(())
    }

    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut Rows<RawBatch>, out: &mut Output<T>) -> Result<Step> {
        Ok(rows.rec.drain(..).fold(Step::DONE, |step, batch| step.and(self.batch(cx, batch, out))))
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, _: &mut Output<T>) -> Result<Step> {
        Ok(self.refusals.look_in(cx))
    }

    fn end(&mut self, cx: &mut Context<'_>, _: End, _: &mut Output<T>) -> Result<Step> {
        self.refusals.end(cx.nanos());
        Ok(Step::DONE)
    }
}
