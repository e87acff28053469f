//! Messages to records.

use std::sync::Arc;

use crate::dead_letter::DeadLetter;
use crate::decode::{Decoder, Refused};
use crate::figures::{Counter, OperatorFigures};
use crate::operator::SideTag;
use crate::raw::RawBatch;
use crate::{Context, Data, OpenContext, Operator, Output, Result, Rows, Step};

/// The side output of messages that could not be decoded.
pub const DEAD_LETTERS: &str = "dead-letters";

/// Runs a decoder over what a source fetched.
pub struct Decode<T> {
    source: String,
    decoder: Box<dyn Decoder<T>>,
    tag: SideTag<DeadLetter>,
    figures: Arc<OperatorFigures>,
    messages: Arc<Counter>,
    refused: Arc<Counter>,
}

impl<T: Data> Decode<T> {
    /// Decodes the messages of a source of this name.
    pub fn new(source: &str, decoder: Box<dyn Decoder<T>>) -> Self {
        let figures = OperatorFigures::new("");
        let (messages, refused) = (figures.counter("messages"), figures.counter("deadLetters"));
        Self {
            source: source.to_owned(),
            decoder,
            tag: SideTag::new(DEAD_LETTERS),
            figures,
            messages,
            refused,
        }
    }
}

impl<T: Data> Operator for Decode<T> {
    type In = RawBatch;
    type Out = T;

    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        let figures = cx.figures_of(name);
        (self.messages, self.refused) = (figures.counter("messages"), figures.counter("deadLetters"));
        self.figures = figures;
        Ok(())
    }

    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut Rows<RawBatch>, out: &mut Output<T>) -> Result<Step> {
        for batch in &rows.rec {
            let mut letters = std::mem::take(out.side(&self.tag));
            let before = letters.len();
            let mut refused = Refused::new(&self.source, batch, cx.now(), &mut letters);
            self.decoder.decode(batch, cx.now(), &mut out.rows, &mut refused);
            self.messages.add(batch.len() as u64);
            // The chain has counted each buffer as one record.
            self.figures.records_in.add((batch.len() as u64).saturating_sub(1));
            self.refused.add((letters.len() - before) as u64);
            *out.side(&self.tag) = letters;
        }
        Ok(Step::DONE)
    }
}
