//! One subtask's writer: maps records and drives their delivery.

use std::sync::Arc;

use millstream_core::context::{Context, OpenContext};
use millstream_core::dead_letter::DeadLetter;
use millstream_core::sink::SinkWriter;
use millstream_core::snapshot::{CheckpointId, Frozen};
use millstream_core::{Budget, Data, Error, Result, Rows, Step};

use crate::config::RedisOptions;
use crate::delivery::Delivery;
use crate::sink::Mapping;

pub(crate) struct RedisWriter<T> {
    options: Arc<RedisOptions>,
    map: Mapping<T>,
    delivery: Option<Delivery>,
    // A flush was asked for and is not complete yet: nothing waits for company.
    flushing: bool,
}

impl<T> RedisWriter<T> {
    pub(crate) fn new(options: Arc<RedisOptions>, map: Mapping<T>) -> Self {
        Self { options, map, delivery: None, flushing: false }
    }

    fn go_on(&mut self, cx: &Context<'_>, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        let flushing = self.flushing;
        let delivery = opened(&mut self.delivery)?;
        delivery.collect(cx, dead)?;
        delivery.send(cx, flushing);
        Ok(delivery.step(cx.now()))
    }
}

fn opened(delivery: &mut Option<Delivery>) -> Result<&mut Delivery> {
    delivery
        .as_mut()
        .ok_or_else(|| Error::bug("a Redis writer was used before it was opened or after it was closed"))
}

impl<T: Data> SinkWriter<T> for RedisWriter<T> {
    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        self.delivery = Some(Delivery::open(name, &self.options, cx)?);
        Ok(())
    }

    fn write(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<T>,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<Step> {
        let delivery = opened(&mut self.delivery)?;
        for (record, _) in rows.drain() {
            delivery.push(cx, (self.map)(&record), dead)?;
        }
        self.go_on(cx, dead)
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        self.go_on(cx, dead)
    }

    fn flush(&mut self, cx: &mut Context<'_>, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        self.flushing = true;
        let step = self.go_on(cx, dead)?;
        self.flushing = !opened(&mut self.delivery)?.is_empty();
        // The pipelines on their way wake the subtask.
        Ok(Step { blocked: self.flushing, ..step })
    }

    // What was not acknowledged is in the snapshot.
    fn prepare(&mut self, _: &mut Context<'_>, _: CheckpointId, _: &mut Rows<DeadLetter>) -> Result<Step> {
        Ok(Step::DONE)
    }

    fn snapshot(&mut self, _: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        opened(&mut self.delivery)?.snapshot(frozen);
        Ok(())
    }

    fn close(&mut self) {
        self.delivery = None;
    }
}
