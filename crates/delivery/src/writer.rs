//! The writers that every sink of this kind has.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use millstream_record::Result;
use millstream_record::record::Data;
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::sink::SinkWriter;
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::unwritten::Backlog;
use millstream_stage::{Budget, Context, OpenContext, Rows, Step};

use crate::delivery::Delivery;
use crate::store::{ItemError, Mapping};

/// The writers of one sink, in all attempts of the job within this process.
#[derive(Debug)]
pub struct Writers<M> {
    mapping: Arc<M>,
    was_ready: Arc<AtomicBool>,
}

impl<M> Writers<M> {
    /// Writers by this mapping.
    pub fn new(mapping: M) -> Self {
        Self { mapping: Arc::new(mapping), was_ready: Arc::default() }
    }

    /// Opens a writer for one subtask of one attempt.
    ///
    /// # Errors
    /// Returns the errors of [`Mapping::open`], and an error for a damaged snapshot or an epoch that is too
    /// high.
    pub fn writer<T: Data>(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SinkWriter<T>>>
    where
        M: Mapping<T>,
    {
        let (store, limits) = self.mapping.open(name, cx)?;
        let delivery = Delivery::open(name, store, limits, Arc::clone(&self.was_ready), cx)?;
        Ok(Box::new(Writer { mapping: Arc::clone(&self.mapping), delivery }))
    }
}

/// Writes one subtask's records.
struct Writer<T: Data, M: Mapping<T>> {
    mapping: Arc<M>,
    delivery: Delivery<M::Store>,
}

impl<T: Data, M: Mapping<T>> SinkWriter<T> for Writer<T, M> {
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<T>,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<Step> {
        let Self { mapping, delivery } = self;
        let (now, ingest) = (cx.nanos(), cx.ingest);
        for (record, _) in rows.drain() {
            let version = delivery.next_version()?;
            match mapping.item(&record, version) {
                Ok(item) => delivery.insert(item, version, ingest, now),
                Err(ItemError::Refused { value, reason }) => delivery.refuse(value, cx.now(), &reason, dead),
                Err(ItemError::Stop(error)) => return Err(error),
            }
        }
        delivery.advance(cx, dead)
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        self.delivery.advance(cx, dead)
    }

    fn flush(&mut self, cx: &mut Context<'_>, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        self.delivery.flush(cx, dead)
    }

    // What was not acknowledged is in the snapshot.
    fn prepare(&mut self, _: &mut Context<'_>, _: CheckpointId, _: &mut Rows<DeadLetter>) -> Result<Step> {
        Ok(Step::DONE)
    }

    fn snapshot(&mut self, _: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        frozen.lists.push(self.delivery.freeze());
        Ok(())
    }

    fn backlog(&self) -> Option<Backlog> {
        Some(self.delivery.backlog())
    }
}
