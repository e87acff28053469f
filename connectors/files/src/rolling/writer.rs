//! One subtask's files.

use std::sync::Arc;

use futures::executor::block_on;
use millstream_record::record::Data;
use millstream_record::{Error, Result};
use millstream_stage::batch::Rows;
use millstream_stage::context::{Context, OpenContext};
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::io::Completions;
use millstream_stage::metrics::OperatorMetrics;
use millstream_stage::sink::SinkWriter;
use millstream_stage::snapshot::{CheckpointId, Committable, Frozen};
use millstream_stage::time::{MIN_TIME, Nanos, Time, millis};
use millstream_stage::{Budget, Step};

use super::config::RollingOptions;
use super::format::{PartFile, PartFormat};
use super::name::FileName;
use super::output_directory::{OutputDirectory, Task, TaskOutcome};
use super::pending_file::PendingFile;

// Smaller appends wait for company, or for the checkpoint.
const APPEND: usize = 256 << 10;

/// One per subtask. Tasks are done one bundle at a time, in order; what comes in the meantime is the next
/// bundle.
pub(crate) struct RollingWriter<T: Data> {
    options: RollingOptions,
    format: Arc<dyn PartFormat<T>>,
    name: String,
    names: FileName,
    subtask: u16,
    number: u64,
    part: Option<OpenPartFile<T>>,
    tasks: Vec<Task>,
    queued: usize,
    // None while its work is being done.
    place: Option<OutputDirectory>,
    is_local: bool,
    done: Completions<(OutputDirectory, Result<TaskOutcome>)>,
    // Closed files by the checkpoint that shows them; none: by the next one.
    closed: Vec<(Option<CheckpointId>, PendingFile)>,
    // Files that are being shown: part of every snapshot until they are.
    showing: Vec<PendingFile>,
    synced: Option<PendingFile>,
    prepared: bool,
    cleaned: bool,
    metrics: Arc<OperatorMetrics>,
    ingests: Vec<(Nanos, u64)>,
}

struct OpenPartFile<T> {
    part: Box<dyn PartFile<T>>,
    name: String,
    since: Time,
    size: usize,
}

impl<T: Data> RollingWriter<T> {
    /// The writer of the sink of this name, for the subtask of `cx`. It begins with showing the files that
    /// the checkpoint holds.
    ///
    /// # Errors
    /// A directory that can never work, and a restored state that cannot be read.
    pub(crate) fn open(
        options: RollingOptions,
        format: Arc<dyn PartFormat<T>>,
        name: &str,
        cx: &mut OpenContext,
    ) -> Result<Self> {
        let place = OutputDirectory::new(&options)?;
        let restored = cx.restored.take_commits(name);
        let files =
            restored.iter().map(|handle| PendingFile::of_handle(handle)).collect::<Result<Vec<_>>>()?;
        let mut writer = Self {
            is_local: place.is_local(),
            place: Some(place),
            options,
            format,
            name: name.to_owned(),
            names: FileName::new(&cx.job, name, cx.epoch, cx.subtask, cx.parallelism),
            subtask: cx.subtask,
            number: 0,
            part: None,
            tasks: Vec::new(),
            queued: 0,
            done: Completions::default(),
            closed: Vec::new(),
            showing: Vec::new(),
            synced: None,
            prepared: false,
            cleaned: false,
            metrics: cx.metrics_of(name),
            ingests: Vec::new(),
        };
        writer.show(files);
        Ok(writer)
    }

    fn add(&mut self, record: &T, now: Time) -> Result<(), String> {
        let part = match &mut self.part {
            Some(part) => part,
            none => {
                let name = self.names.of(self.number, self.format.extension());
                self.number += 1;
                none.insert(OpenPartFile { part: self.format.part(), name, since: now, size: 0 })
            }
        };
        part.part.add(record)
    }

    // Hands on what is ready; ends the file where it is large enough.
    fn hand_on(&mut self, at_least: usize) -> Result<()> {
        let Some(part) = &mut self.part else { return Ok(()) };
        let bytes = part.part.take().map_err(|reason| broken(&part.name, &reason))?;
        part.size += bytes.len();
        self.queued += bytes.len();
        match self.tasks.last_mut() {
            Some(Task::Append(name, waiting)) if *name == part.name => waiting.extend(bytes),
            _ if bytes.is_empty() => {}
            _ => self.tasks.push(Task::Append(part.name.clone(), bytes)),
        }
        if part.size >= at_least { self.close_part() } else { Ok(()) }
    }

    fn close_part(&mut self) -> Result<()> {
        let Some(OpenPartFile { part, name, .. }) = self.part.take() else { return Ok(()) };
        let rest = part.finish().map_err(|reason| broken(&name, &reason))?;
        self.queued += rest.len();
        self.tasks.extend([Task::Append(name, rest), Task::Close]);
        Ok(())
    }

    // Takes what was done and starts the next bundle.
    fn go_on(&mut self, cx: &Context<'_>, at_once: bool) -> Result<Step> {
        for (place, outcome) in self.done.drain()? {
            self.place = Some(place);
            self.take(cx, outcome?);
        }
        let enough = at_once || self.queued >= APPEND || !matches!(&self.tasks[..], [] | [Task::Append(..)]);
        if enough && !self.tasks.is_empty() {
            self.start(cx);
        }
        if self.queued > self.options.buffer_size { Ok(Step::BLOCKED) } else { Ok(Step::DONE) }
    }

    fn start(&mut self, cx: &Context<'_>) {
        let Some(mut place) = self.place.take() else { return };
        let tasks = std::mem::take(&mut self.tasks);
        self.queued = 0;
        let work = async move {
            let outcome = place.run(tasks).await;
            (place, outcome)
        };
        if self.is_local {
            self.done.spawn_blocking(cx.io().as_ref(), cx.waker(), || block_on(work));
        } else {
            self.done.spawn(cx.io().as_ref(), cx.waker(), work);
        }
    }

    fn take(&mut self, cx: &Context<'_>, outcome: TaskOutcome) {
        self.closed.extend(outcome.closed.into_iter().map(|file| (None, file)));
        if let Some(synced) = outcome.synced {
            self.synced = synced;
        }
        self.showing.drain(..outcome.shown);
        self.metrics.bytes_out.add(outcome.bytes);
        if outcome.shown > 0 {
            for (ingest, records) in self.ingests.drain(..) {
                self.metrics.latency.record(cx.nanos().saturating_sub(ingest), records);
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.place.is_some() && self.tasks.is_empty()
    }

    fn wait_until_idle(&mut self, cx: &Context<'_>) -> Result<Step> {
        self.go_on(cx, true)?;
        Ok(if self.is_idle() { Step::DONE } else { Step::BLOCKED })
    }

    fn show(&mut self, files: Vec<PendingFile>) {
        if !files.is_empty() {
            self.showing.extend(files.iter().cloned());
            self.tasks.push(Task::Show(files));
        }
    }

    // Object stores cannot keep a file open; a format may not allow it; a large or old file need not.
    fn closes_at_checkpoint(&self, now: Time) -> bool {
        let old = |part: &OpenPartFile<T>| now - part.since >= millis(self.options.roll_interval);
        !self.is_local || !self.format.can_be_cut() || self.part.as_ref().is_some_and(old)
    }
}

impl<T: Data> SinkWriter<T> for RollingWriter<T> {
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<T>,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<Step> {
        let (now, records) = (cx.now(), rows.rec.len() as u64);
        for (record, _) in rows.drain() {
            if let Err(reason) = self.add(&record, now) {
                let raw = self.format.describe(&record);
                dead.push(DeadLetter::of_value(&self.name, "files", raw, now, &reason), MIN_TIME);
            }
        }
        self.ingests.push((cx.ingest, records));
        self.hand_on(self.options.roll_size)?;
        self.go_on(cx, false)
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, _: &mut Rows<DeadLetter>) -> Result<Step> {
        self.go_on(cx, false)
    }

    fn flush(&mut self, cx: &mut Context<'_>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        self.close_part()?;
        self.wait_until_idle(cx)
    }

    fn prepare(&mut self, cx: &mut Context<'_>, _: CheckpointId, _: &mut Rows<DeadLetter>) -> Result<Step> {
        if !self.prepared {
            self.prepared = true;
            if self.closes_at_checkpoint(cx.now()) {
                self.close_part()?;
            } else {
                self.hand_on(self.options.roll_size)?;
                self.tasks.push(Task::Sync);
            }
        }
        self.wait_until_idle(cx)
    }

    fn snapshot(&mut self, id: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        self.prepared = false;
        for (checkpoint, _) in &mut self.closed {
            checkpoint.get_or_insert(id);
        }
        let closed = self.closed.iter().map(|(_, file)| file);
        for file in self.showing.iter().chain(closed).chain(&self.synced) {
            let (operator, subtask) = (self.name.clone(), self.subtask);
            frozen.commits.push(Committable { operator, subtask, handle: file.to_handle() });
        }
        Ok(())
    }

    fn completed(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<()> {
        let due = |(checkpoint, _): &mut (Option<CheckpointId>, PendingFile)| {
            checkpoint.is_some_and(|checkpoint| checkpoint <= id)
        };
        let files = self.closed.extract_if(.., due).map(|(_, file)| file).collect();
        self.show(files);
        if !std::mem::replace(&mut self.cleaned, true) {
            self.tasks.push(Task::Clean(self.names.clone()));
        }
        self.go_on(cx, true).map(|_| ())
    }

    fn aborted(&mut self, _: &mut Context<'_>, _: CheckpointId) {
        self.prepared = false;
    }
}

fn broken(name: &str, reason: &str) -> Error {
    Error::restart(format!("{name} cannot be written: {reason}"))
}
