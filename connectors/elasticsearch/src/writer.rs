//! Takes one subtask's records.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use millstream_core::dead_letter::DeadLetter;
use millstream_core::record::Data;
use millstream_core::sink::SinkWriter;
use millstream_core::snapshot::{CheckpointId, Frozen};
use millstream_core::{Budget, Context, Error, OpenContext, Result, Rows, Step, Version, Versions};

use crate::buffer::{Key, Pending};
use crate::client::Client;
use crate::delivery::Delivery;
use crate::document::Document;
use crate::encode;
use crate::pace::Pace;
use crate::sink::Settings;
use crate::snapshot::{STATE, thaw};
use crate::start::Start;
use millstream_core::backoff::Backoff;

/// How a record becomes a document.
pub(crate) type Mapping<T> = Arc<dyn Fn(&T) -> Document + Send + Sync>;

/// Writes one subtask's records.
pub(crate) struct Writer<T> {
    settings: Arc<Settings>,
    mapping: Mapping<T>,
    open: Option<Open>,
}

/// What is there from `open` on.
struct Open {
    versions: Versions,
    delivery: Delivery,
}

impl<T: Data> Writer<T> {
    pub(crate) fn new(settings: Arc<Settings>, mapping: Mapping<T>) -> Self {
        Self { settings, mapping, open: None }
    }

    fn open_mut(&mut self) -> Result<&mut Open> {
        self.open
            .as_mut()
            .ok_or_else(|| Error::bug("the Elasticsearch writer is used before open or after close"))
    }
}

impl<T: Data> SinkWriter<T> for Writer<T> {
    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        let restored = cx.restored.take_list(name, STATE);
        let mut open = self.settings.open(name, cx)?;
        for item in restored {
            let (document, version) = thaw(&item, cx.epoch).map_err(|error| error.in_context(name))?;
            let key = Key { index: document.index.into(), id: document.id.into() };
            open.delivery
                .insert(Pending { rows: 0, ..pending(key, version, &document.body, cx.clock.nanos(), 0) });
        }
        self.open = Some(open);
        Ok(())
    }

    fn write(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<T>,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<Step> {
        let (settings, mapping) = (Arc::clone(&self.settings), Arc::clone(&self.mapping));
        let open = self.open_mut()?;
        let (now, ingest) = (cx.nanos(), cx.ingest);
        for (record, _) in rows.drain() {
            let document = mapping(&record);
            let fault = document.fault(settings.options.max_document_bytes);
            let (document, reason) = match (document, fault) {
                (Document { index, id, body: Ok(body) }, None) => {
                    let key = Key { index: settings.index(&index), id };
                    open.delivery.insert(pending(key, open.versions.take()?, &body, now, ingest));
                    continue;
                }
                (document, fault) => (document, fault.unwrap_or_default()),
            };
            let reason = format!(
                "document {:?} of index {:?}: {reason}",
                document.id,
                settings.index(&document.index)
            );
            let value = document.body.unwrap_or_else(|_| document.id.as_bytes().to_vec());
            open.delivery.refuse(value, cx.now(), &reason, dead);
        }
        open.delivery.advance(cx, dead)
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        self.open_mut()?.delivery.advance(cx, dead)
    }

    fn flush(&mut self, cx: &mut Context<'_>, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        self.open_mut()?.delivery.flush(cx, dead)
    }

    // What was not acknowledged is in the snapshot.
    fn prepare(&mut self, _: &mut Context<'_>, _: CheckpointId, _: &mut Rows<DeadLetter>) -> Result<Step> {
        Ok(Step::DONE)
    }

    fn snapshot(&mut self, _: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        frozen.lists.push(self.open_mut()?.delivery.freeze());
        Ok(())
    }

    fn close(&mut self) {
        self.open = None;
    }
}

impl Settings {
    fn open(&self, name: &str, cx: &OpenContext) -> Result<Open> {
        let options = &self.options;
        let backoff = |salt: u8| {
            let mut seed = DefaultHasher::new();
            (&cx.job, name, cx.subtask, cx.epoch, salt).hash(&mut seed);
            Backoff::new(options.backoff_delay, options.backoff_max_delay, seed.finish())
        };
        let start = Start {
            client: Arc::new(Client::new(options, Arc::clone(&cx.clock))?),
            templates: self
                .templates
                .iter()
                .map(|template| template.prefixed(&options.index_prefix))
                .collect(),
            io: Arc::clone(&cx.io),
            clock: Arc::clone(&cx.clock),
            backoff: backoff(0),
            timeout: options.start_timeout,
        };
        let pace = Pace::new(options.max_in_flight, options.max_bytes, backoff(1));
        let delivery = Delivery::open(name, options, pace, start, cx);
        Ok(Open { versions: Versions::new(cx.epoch)?, delivery })
    }
}

fn pending(key: Key, version: Version, body: &[u8], now: u64, ingest: u64) -> Pending {
    let (lines, body_at) = encode::lines(&key.index, &key.id, version, body);
    Pending {
        key: Arc::new(key),
        version,
        lines,
        body_at,
        rows: 1,
        ingest,
        ready_at: now,
        tries: 0,
        failed_at: None,
    }
}
