//! Writes one subtask's records: encodes them at once, writes them where blocking is allowed.

use std::sync::Arc;

use millstream_record::record::Data;
use millstream_record::{Error, Result};
use millstream_stage::batch::Rows;
use millstream_stage::context::{Context, OpenContext};
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::io::Completions;
use millstream_stage::metrics::OperatorMetrics;
use millstream_stage::sink::SinkWriter;
use millstream_stage::snapshot::{CheckpointId, Frozen, OperatorList, Redistribute};
use millstream_stage::time::{MIN_TIME, Nanos, Time};
use millstream_stage::{Budget, Step};

use crate::config::FilesSinkOptions;
use crate::encode::Encode;
use crate::target::{Appender, Target};

// In every snapshot: the file was begun and must not be emptied after a restore.
const BEGUN: &str = "begun";

// A gzip member of a few lines is larger than the lines: they wait for company.
const GZIP_BLOCK: usize = 256 << 10;
const GZIP_LINGER: Time = 1000;

/// One per subtask. One block is written at a time; what comes in the meantime is the next one.
pub(crate) struct FileWriter<T: Data> {
    encoder: Arc<dyn Encode<T>>,
    name: String,
    buffer_size: usize,
    sync: bool,
    linger: bool,
    // None while a block is being written.
    appender: Option<Appender>,
    // Given with the first block.
    header: Option<Vec<u8>>,
    header_given: bool,
    buffer: Block,
    buffered_since: Time,
    unsynced: bool,
    writes: Completions<WrittenBlock>,
    metrics: Arc<OperatorMetrics>,
}

#[derive(Default)]
struct Block {
    lines: Vec<u8>,
    records: u64,
    ingest: Nanos,
}

struct WrittenBlock {
    appender: Appender,
    records: u64,
    ingest: Nanos,
    synced: bool,
    bytes: Result<u64>,
}

impl<T: Data> FileWriter<T> {
    /// The writer of the sink of this name, for the subtask of `cx`.
    ///
    /// # Errors
    /// A file that cannot be opened, and a header that cannot be encoded or written.
    pub(crate) fn open(
        options: &FilesSinkOptions,
        encoder: Arc<dyn Encode<T>>,
        target: &Target,
        name: &str,
        cx: &mut OpenContext,
    ) -> Result<Self> {
        let restored = !cx.restored.take_list(name, BEGUN).is_empty();
        let mut appender = target.open((cx.job.clone(), cx.epoch), restored)?;
        let header = encoder.header(None).map_err(Error::configuration)?;
        if header.is_some() {
            appender.append(header.as_deref(), &[], false)?;
        }
        Ok(Self {
            encoder,
            name: name.to_owned(),
            buffer_size: options.buffer_size,
            sync: options.sync,
            linger: options.compression.is_gzip(&options.path),
            appender: Some(appender),
            header: None,
            header_given: false,
            buffer: Block::default(),
            buffered_since: MIN_TIME,
            unsynced: false,
            writes: Completions::default(),
            metrics: cx.metrics_of(name),
        })
    }

    // The first record settles the header: what does not fit here fits never.
    fn settle_header(&mut self, record: &T) -> Result<()> {
        if !self.header_given {
            self.header = self.encoder.header(Some(record)).map_err(Error::configuration)?;
            self.header_given = true;
        }
        Ok(())
    }

    // Everything or, where a record cannot be encoded, nothing of it.
    fn encode(&mut self, record: &T) -> Result<(), String> {
        let before = self.buffer.lines.len();
        let encoded = self.encoder.encode(record, &mut self.buffer.lines);
        if encoded.is_err() {
            self.buffer.lines.truncate(before);
        }
        encoded
    }

    fn refuse(&self, record: &T, now: Time, reason: &str) -> DeadLetter {
        DeadLetter::of_value(&self.name, "files", self.encoder.describe(record), now, reason)
    }

    fn take_written(&mut self, cx: &Context<'_>) -> Result<()> {
        for written in self.writes.drain()? {
            self.metrics.bytes_out.add(written.bytes?);
            if written.records > 0 {
                self.metrics.latency.record(cx.nanos().saturating_sub(written.ingest), written.records);
            }
            self.unsynced &= !written.synced;
            self.appender = Some(written.appender);
        }
        Ok(())
    }

    // Starts a write if none is going on and there is enough to write.
    fn go_on(&mut self, cx: &Context<'_>) -> Step {
        if !self.buffer.lines.is_empty() && self.appender.is_some() {
            let due = self.buffered_since.saturating_add(GZIP_LINGER);
            if self.linger && self.buffer.lines.len() < GZIP_BLOCK.min(self.buffer_size) && cx.now() < due {
                return Step::wake_at(due);
            }
            self.start(cx, false);
        }
        if self.buffer.lines.len() >= self.buffer_size { Step::BLOCKED } else { Step::DONE }
    }

    fn start(&mut self, cx: &Context<'_>, sync: bool) {
        let Some(mut appender) = self.appender.take() else { return };
        let Block { lines, records, ingest } = std::mem::take(&mut self.buffer);
        let header = self.header.take();
        self.unsynced |= !lines.is_empty() || header.is_some();
        self.writes.spawn_blocking(cx.io().as_ref(), cx.waker(), move || {
            let bytes = appender.append(header.as_deref(), &lines, sync);
            WrittenBlock { appender, records, ingest, synced: sync, bytes }
        });
    }
}

impl<T: Data> SinkWriter<T> for FileWriter<T> {
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<T>,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<Step> {
        if self.buffer.lines.is_empty() {
            self.buffered_since = cx.now();
        }
        if let Some(record) = rows.rec.first() {
            self.settle_header(record)?;
        }
        for (record, _) in rows.drain() {
            match self.encode(&record) {
                Ok(()) => self.buffer.records += 1,
                Err(reason) => dead.push(self.refuse(&record, cx.now(), &reason), MIN_TIME),
            }
        }
        self.buffer.ingest = cx.ingest;
        Ok(self.go_on(cx))
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, _: &mut Rows<DeadLetter>) -> Result<Step> {
        self.take_written(cx)?;
        Ok(self.go_on(cx))
    }

    fn flush(&mut self, cx: &mut Context<'_>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        self.take_written(cx)?;
        if self.appender.is_some() && (!self.buffer.lines.is_empty() || self.sync && self.unsynced) {
            self.start(cx, self.sync);
        }
        Ok(if self.writes.in_flight() > 0 { Step::BLOCKED } else { Step::DONE })
    }

    fn snapshot(&mut self, _: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        frozen.lists.push(OperatorList {
            operator: self.name.clone(),
            state: BEGUN.to_owned(),
            items: vec![Vec::new()],
            redistribute: Redistribute::Union,
        });
        Ok(())
    }
}
