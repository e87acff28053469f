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
use millstream_stage::{Budget, Context, End, OpenContext, Operator, Output, Rows, Step};

use crate::opened::Opened;

/// The side output of messages that could not be decoded.
pub const DEAD_LETTERS: &str = "dead-letters";

/// Runs a decoder over what a source fetched.
pub struct Decode<T> {
    source: Arc<str>,
    keeps_origins: bool,
    decoder: Box<dyn Decoder<T>>,
    tag: SideTag<DeadLetter>,
    opened: Opened<DecodeMetrics>,
}

struct DecodeMetrics {
    operator: Arc<OperatorMetrics>,
    messages: Arc<Counter>,
    refused: Arc<Counter>,
    refusals: Refusals,
}

impl DecodeMetrics {
    // Counts a batch and what was refused of it.
    fn count(&mut self, cx: &Context<'_>, batch: &RawBatch, refused: &[DeadLetter]) -> Step {
        self.messages.add(batch.len() as u64);
        // The chain has counted each buffer as one record.
        self.operator.records_in.add((batch.len() as u64).saturating_sub(1));
        self.refused.add(refused.len() as u64);
        self.operator.reasons.count(refused);
        let all = batch.len() + batch.refused().len();
        self.refusals.count_in(cx, all as u64, refused.len() as u64, || Refusal::of(refused))
    }
}

impl<T: Data> Decode<T> {
    /// Decodes the messages of a source of this name.
    pub fn new(source: &str, decoder: Box<dyn Decoder<T>>) -> Self {
        Self {
            source: source.into(),
            keeps_origins: false,
            decoder,
            tag: SideTag::new(DEAD_LETTERS),
            opened: Opened::default(),
        }
    }

    /// Keeps with each record the message that it was decoded from.
    #[must_use]
    pub fn with_origins(self) -> Self {
        Self { keeps_origins: true, ..self }
    }

    fn batch(&mut self, cx: &Context<'_>, batch: RawBatch, out: &mut Output<T>) -> Result<Step> {
        let mut letters = std::mem::take(out.side(&self.tag));
        let before = letters.len();
        let mut refused = Refused::new(&self.source, &batch, cx.now(), &mut letters);
        self.decoder.decode(&batch, cx.now(), &mut out.rows, &mut refused);
        let step = self.opened.get_mut()?.count(cx, &batch, &letters.rec[before..]);
        if self.keeps_origins {
            let refused = &letters.rec[before + batch.refused().len()..];
            keep_origins(&self.source, batch, refused, &mut out.rows);
        }
        *out.side(&self.tag) = letters;
        Ok(step)
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
        let operator = cx.metrics_of(name);
        let (messages, refused) = (operator.counter("messages"), operator.counter("deadLetters"));
        self.opened.open(DecodeMetrics { operator, messages, refused, refusals: cx.refusals_of(name) });
        Ok(())
    }

    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut Rows<RawBatch>, out: &mut Output<T>) -> Result<Step> {
        rows.rec.drain(..).try_fold(Step::DONE, |step, batch| Ok(step.and(self.batch(cx, batch, out)?)))
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, _: &mut Output<T>) -> Result<Step> {
        Ok(self.opened.get_mut()?.refusals.look_in(cx))
    }

    fn end(&mut self, cx: &mut Context<'_>, _: End, _: &mut Output<T>) -> Result<Step> {
        self.opened.get_mut()?.refusals.end(cx.nanos());
        Ok(Step::DONE)
    }
}
