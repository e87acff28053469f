//! The writers that every sink of this kind has.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use millstream_record::record::Data;
use millstream_record::{Error, Result};
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::sink::SinkWriter;
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::{Budget, Context, OpenContext, Rows, Step};

use crate::delivery::Delivery;
use crate::store::{Fault, Mapping};

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

    /// A writer for one subtask of one attempt.
    pub fn writer<T: Data>(&self) -> Box<dyn SinkWriter<T>>
    where
        M: Mapping<T>,
    {
        let (mapping, was_ready) = (Arc::clone(&self.mapping), Arc::clone(&self.was_ready));
        Box::new(Writer { mapping, was_ready, delivery: None })
    }
}

/// Writes one subtask's records.
struct Writer<T: Data, M: Mapping<T>> {
    mapping: Arc<M>,
    was_ready: Arc<AtomicBool>,
    delivery: Option<Delivery<M::Store>>,
}

impl<T: Data, M: Mapping<T>> Writer<T, M> {
    fn opened(&mut self) -> Result<&mut Delivery<M::Store>> {
        let unopened = || Error::bug("a sink's writer was used before it was opened or after it was closed");
        self.delivery.as_mut().ok_or_else(unopened)
    }
}

impl<T: Data, M: Mapping<T>> SinkWriter<T> for Writer<T, M> {
    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        let (store, limits) = self.mapping.open(name, cx)?;
        self.delivery = Some(Delivery::open(name, store, limits, Arc::clone(&self.was_ready), cx)?);
        Ok(())
    }

    fn write(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<T>,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<Step> {
        let mapping = Arc::clone(&self.mapping);
        let delivery = self.opened()?;
        let (now, ingest) = (cx.nanos(), cx.ingest);
        for (record, _) in rows.drain() {
            let version = delivery.next_version()?;
            match mapping.item(&record, version) {
                Ok(item) => delivery.insert(item, version, ingest, now),
                Err(Fault::Refused { value, reason }) => delivery.refuse(value, cx.now(), &reason, dead),
                Err(Fault::Stop(error)) => return Err(error),
            }
        }
        delivery.advance(cx, dead)
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        self.opened()?.advance(cx, dead)
    }

    fn flush(&mut self, cx: &mut Context<'_>, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        self.opened()?.flush(cx, dead)
    }

    // What was not acknowledged is in the snapshot.
    fn prepare(&mut self, _: &mut Context<'_>, _: CheckpointId, _: &mut Rows<DeadLetter>) -> Result<Step> {
        Ok(Step::DONE)
    }

    fn snapshot(&mut self, _: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        frozen.lists.push(self.opened()?.freeze());
        Ok(())
    }

    fn close(&mut self) {
        self.delivery = None;
    }
}
