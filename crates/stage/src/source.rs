//! A source is two things: an enumerator, one per job, that finds and assigns splits; and readers, one per
//! subtask, that read them. In Flink they live in different processes, so they share nothing but [`Split`]s.

use std::sync::Arc;

use millstream_record::record::{Names, Record};
use millstream_record::{Error, Result};

use crate::batch::Rows;
use crate::context::{Context, OpenContext};
use crate::output_location::OutputLocation;
use crate::snapshot::CheckpointId;
use crate::split::SplitId;
use crate::step::Budget;
use crate::time::{Clock, Time};
use crate::trouble::Troubles;

/// The name of the list in the state of a source that holds the splits of its readers.
pub const SPLITS: &str = "splits";

/// A part of a source that one reader reads in order: a Kafka partition, a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Its name, stable for the life of the job.
    pub id: SplitId,
    /// What the reader needs to go on reading it, in the connector's own encoding: where it is, from which
    /// position, up to where.
    pub state: Vec<u8>,
}

impl Record for Split {
    fn schema(_: &mut Names) -> String {
        concat!(
            r#"{"type":"record","name":"Split","fields":[{"name":"id","type":"string"},"#,
            r#"{"name":"state","type":{"type":"array","items":"int"}}]}"#
        )
        .to_owned()
    }
    fn encode(&self, out: &mut Vec<u8>) {
        self.id.to_string().encode(out);
        self.state.encode(out);
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        Ok(Self { id: String::decode(bytes)?.into(), state: Vec::decode(bytes)? })
    }
}

/// A source: plain settings that make the enumerator and the readers, possibly in different processes.
pub trait Source: Send + Sync + 'static {
    /// What the readers give.
    type Out: Record;
    /// The system's name for plans and metrics, such as `kafka`.
    fn kind(&self) -> &'static str;
    /// Refuses settings that can never work. No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration).
    fn validate(&self) -> Result<()> {
        Ok(())
    }
    /// Whether it reads, or would read if it were there, what a sink of the same pipeline writes: the plan
    /// then refuses the pipeline. May look at files; asks no server. False by default.
    fn reads_output(&self, _: &OutputLocation) -> bool {
        false
    }
    /// The enumerator; it runs once per job.
    fn enumerator(&self) -> Box<dyn Enumerator>;
    /// Opens a reader for the subtask of `cx`. Its metrics are `cx.metrics_of(name)`, where `name` is the
    /// source's name in the pipeline.
    ///
    /// # Errors
    /// Returns the errors of whatever the reader needs before it gets its first split. The job then does not
    /// start.
    fn reader(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SplitReader<Out = Self::Out>>>;
}

/// What an enumerator is told.
#[derive(Clone, Debug)]
pub enum EnumeratorEvent {
    /// The job starts: find the splits and assign all that are known. With `restored`, from
    /// [`Enumerator::snapshot`], the readers get the splits of that snapshot back by themselves and only
    /// newer ones are to be assigned.
    Start {
        /// The enumerator's own snapshot.
        restored: Option<Vec<u8>>,
    },
    /// A reader waits for work.
    ReaderReady {
        /// Its subtask.
        subtask: u16,
    },
    /// Splits of a failed or re-scaled reader, to be assigned anew.
    Returned {
        /// The splits at the positions to go on from.
        splits: Vec<Split>,
    },
    /// Time to look for new splits.
    Tick,
}

/// Splits for a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Which reader.
    pub subtask: u16,
    /// Its new splits.
    pub splits: Vec<Split>,
    /// Nothing will follow: the reader ends when it has read what it has.
    pub last: bool,
}

/// What an enumerator may use.
pub struct EnumeratorContext {
    /// The job's name.
    pub job: String,
    /// How many readers there are.
    pub parallelism: u16,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where it reports that its system is away and back.
    pub troubles: Arc<Troubles>,
}

/// Finds and assigns splits. Its calls may do I/O and block for a bounded time: drivers call it away from the
/// hot threads.
pub trait Enumerator: Send {
    /// Answers an event with assignments. A bounded source sends every reader an assignment with `last`, also
    /// where it is empty.
    ///
    /// # Errors
    /// Returns the errors of the system that it asks, such as an unknown topic: the job does not start.
    fn on(&mut self, cx: &EnumeratorContext, event: EnumeratorEvent) -> Result<Vec<Assignment>>;
    /// How often it wants a [`EnumeratorEvent::Tick`]; none by default.
    fn tick_every(&self) -> Option<std::time::Duration> {
        None
    }
    /// Whether it assigns splits later than at the start: when a reader is ready for them
    /// ([`EnumeratorEvent::ReaderReady`]), or when its system can be reached. Readers of all others hear at
    /// the start what they were assigned, also where that is nothing: drivers see to that. A reader that was
    /// told nothing yet holds event time back, so an enumerator that says yes must send an empty assignment
    /// to each reader for which it has nothing.
    fn assigns_on_demand(&self) -> bool {
        false
    }
    /// What it must know after a restore.
    fn snapshot(&self) -> Vec<u8>;
}

/// Deals splits out to `parallelism` readers, one after the other: what most bounded enumerators answer to
/// `Start`.
pub fn deal(splits: impl IntoIterator<Item = Split>, parallelism: u16, last: bool) -> Vec<Assignment> {
    let empty = |subtask| Assignment { subtask, splits: Vec::new(), last };
    let mut assignments: Vec<_> = (0..parallelism).map(empty).collect();
    for (number, split) in splits.into_iter().enumerate() {
        assignments[number % usize::from(parallelism)].splits.push(split);
    }
    assignments
}

/// What one poll of a reader gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Rows of this split were appended; ask again.
    Rows(SplitId),
    /// Nothing is there. Ask again when the waker was called, or at this time at the latest.
    Pending(Option<Time>),
    /// The split's end was reached and it is forgotten; ask again.
    Finished(SplitId),
}

/// Reads the splits of one subtask. When the subtask ends, the reader is dropped and frees everything.
pub trait SplitReader: Send {
    /// What it gives.
    type Out: Record;
    /// More splits to read, from the position in their state.
    fn add_splits(&mut self, splits: Vec<Split>) -> Result<()>;
    /// Stops reading these splits for a while, so that others catch up.
    fn pause(&mut self, splits: &[SplitId]);
    /// Goes on reading them.
    fn resume(&mut self, splits: &[SplitId]);
    /// Appends what is there, of one split, without waiting for it: at most about `budget` records.
    ///
    /// # Errors
    /// What cannot be ridden out. A broken record is no error: decoding comes later.
    fn poll(&mut self, cx: &mut Context<'_>, budget: Budget, rows: &mut Rows<Self::Out>) -> Result<Polled>;
    /// Whether nothing is left to read of this split, as far as is known: a split whose broker is away, or
    /// that waits for its turn, is silent too, and must not be taken for idle.
    fn is_at_end(&self, _: &SplitId) -> bool {
        true
    }
    /// Whether [`is_at_end`](Self::is_at_end) is knowledge. A split that is known to be at its end, and never
    /// had a record, is idle at once: nobody waits for an empty partition.
    fn knows_ends(&self) -> bool {
        false
    }
    /// Why a split ended before its end, such as a file that is damaged from some place on; asked when
    /// everything that can be read was processed. The job then fails with this error, after its results are
    /// written and without a last checkpoint. Such a split is [`Polled::Finished`], but stays in the
    /// snapshot: whoever goes on from there meets the same place again.
    fn damage(&mut self) -> Option<Error> {
        None
    }
    /// Every split that is not finished, with the position behind the last record that `poll` gave.
    fn snapshot(&mut self, id: CheckpointId) -> Result<Vec<Split>>;
    /// The checkpoint is complete: positions may be committed for others to see.
    fn completed(&mut self, _: CheckpointId) -> Result<()> {
        Ok(())
    }
}

/// What a driver tells the reader of a source's stage.
pub trait SplitControl {
    /// Hands over an assignment.
    fn assign(&mut self, cx: &mut Context<'_>, assignment: Assignment) -> Result<()>;
    /// Stops reading these splits for a while.
    fn pause(&mut self, splits: &[SplitId]);
    /// Goes on reading them.
    fn resume(&mut self, splits: &[SplitId]);
    /// Whether the last assignment has come and everything was read.
    fn is_finished(&self) -> bool;
    /// Why a split ended before its end: [`SplitReader::damage`].
    fn damage(&mut self) -> Option<Error>;
    /// Whether it has nothing to read and more assignments may come: the driver sends
    /// [`EnumeratorEvent::ReaderReady`].
    fn is_waiting(&self) -> bool;
}

/// The state of a split in the connector's own record type.
///
/// # Errors
/// [`ErrorKind::Data`](millstream_record::ErrorKind::Data), naming the split, when the state is none of that
/// type.
pub fn split_state<S: Record>(split: &Split) -> Result<S> {
    millstream_record::record::from_bytes(&split.state)
        .map_err(|error: Error| error.in_context(format_args!("the state of split {}", split.id)))
}
