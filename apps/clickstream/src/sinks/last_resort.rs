//! The end of the line: a dead letter that its own place refuses.

use millstream::prelude::*;
use millstream::sink::{Guarantee, Sink, SinkWriter};
use millstream::snapshot::{CheckpointId, Frozen};
use millstream::{Budget, Context, OpenContext, Rows, Step};

/// Stops the job at the first record: there is no other place for it, and nothing is lost silently.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastResort;

impl Sink<DeadLetter> for LastResort {
    fn kind(&self) -> &'static str {
        "last-resort"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn writer(&self, _: &str, _: &mut OpenContext) -> Result<Box<dyn SinkWriter<DeadLetter>>> {
        Ok(Box::new(*self))
    }
}

impl SinkWriter<DeadLetter> for LastResort {
    fn write(
        &mut self,
        _: &mut Context<'_>,
        rows: &mut Rows<DeadLetter>,
        _: &mut Rows<DeadLetter>,
    ) -> Result<Step> {
        let Some(letter) = rows.rec.first() else { return Ok(Step::DONE) };
        Err(Error::configuration(format!(
            "a dead letter is refused by its own place, and the job stops so that it is not lost ({}): let the topic \
             take it, or choose another place under `dead-letter`",
            letter.reason
        )))
    }

    fn resume(&mut self, _: &mut Context<'_>, _: Budget, _: &mut Rows<DeadLetter>) -> Result<Step> {
        Ok(Step::DONE)
    }

    fn flush(&mut self, _: &mut Context<'_>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        Ok(Step::DONE)
    }

    fn snapshot(&mut self, _: CheckpointId, _: &mut Frozen) -> Result<()> {
        Ok(())
    }
}
