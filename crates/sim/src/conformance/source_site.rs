//! A place of one check: what the readers of a source gave, against what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millstream_record::{Error, Result};
use millstream_stage::Rows;
use millstream_stage::source::{Assignment, EnumeratorContext, EnumeratorEvent, Source, Split};

use super::{Content, Message, SourceFixture, place_name};
use crate::driven_reader::{DrivenReader, Reading};
use crate::driven_writer::wrong;
use crate::harness::Harness;
use crate::world::World;

pub(super) type Reader<F> = DrivenReader<<<F as SourceFixture>::Source as Source>::Out>;

/// One check's place.
pub(super) struct Site<'a, F: SourceFixture> {
    fixture: &'a F,
    pub(super) source: F::Source,
    pub(super) content: Content,
    world: Arc<dyn World>,
    epoch: u64,
}

impl<'a, F: SourceFixture> Site<'a, F> {
    pub(super) fn new(fixture: &'a F, check: &str, splits: usize, records: usize) -> Result<Self> {
        let prepared = fixture.prepare(&place_name(check), splits, records)?;
        prepared.source.validate()?;
        let world = fixture.world()?;
        Ok(Self { fixture, source: prepared.source, content: prepared.content, world, epoch: 0 })
    }

    /// Opens a reader of a new attempt.
    pub(super) fn reader(&mut self, subtask: u16, parallelism: u16) -> Result<Reader<F>> {
        self.epoch += 1;
        let harness = Harness::new(Arc::clone(&self.world)).subtask(subtask, parallelism).epoch(self.epoch);
        DrivenReader::open(&self.source, harness)
    }

    pub(super) fn enumerator_context(&self, parallelism: u16) -> EnumeratorContext {
        EnumeratorContext {
            job: "test".to_owned(),
            parallelism,
            clock: self.world.clock(),
            troubles: Arc::default(),
        }
    }

    /// What a new enumerator assigns at the start.
    pub(super) fn assign(&self, parallelism: u16) -> Result<Vec<Assignment>> {
        let start = EnumeratorEvent::Start { restored: None };
        self.source.enumerator().on(&self.enumerator_context(parallelism), start)
    }

    /// All splits, in the enumerator's order.
    pub(super) fn splits(&self) -> Result<Vec<Split>> {
        Ok(self.assign(1)?.into_iter().flat_map(|assignment| assignment.splits).collect())
    }

    pub(super) fn messages(&self, rows: &Rows<<F::Source as Source>::Out>) -> Vec<Message> {
        self.fixture.messages(rows)
    }

    pub(super) fn at_most(&self, budget: usize) -> usize {
        self.fixture.at_most(budget)
    }

    /// Reads until these splits are finished.
    pub(super) fn read_all(
        &self,
        reader: &mut Reader<F>,
        seen: &mut ReadMessages,
        budget: usize,
    ) -> Result<()> {
        while seen.has_open() {
            let reading = reader.next(budget)?;
            self.note(seen, reading)?;
        }
        Ok(())
    }

    /// Adds what a poll gave.
    pub(super) fn note(
        &self,
        seen: &mut ReadMessages,
        reading: Reading<<F::Source as Source>::Out>,
    ) -> Result<()> {
        match reading {
            Reading::Rows(split, rows) => seen.add(&split, self.messages(&rows)),
            Reading::Finished(split) => seen.finish(&split),
            Reading::Pending => Ok(()),
        }
    }

    pub(super) fn expect_all(&self, seen: &ReadMessages) -> Result<()> {
        seen.expect(&self.content)
    }
}

/// What readers gave, by split.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadMessages {
    open: BTreeSet<String>,
    messages: BTreeMap<String, Vec<Message>>,
}

impl ReadMessages {
    /// Splits that are being read from now on.
    pub(super) fn start<'s>(&mut self, splits: impl IntoIterator<Item = &'s Split>) -> Result<()> {
        for split in splits {
            self.messages.entry(split.id.to_string()).or_default();
            if !self.open.insert(split.id.to_string()) {
                return Err(wrong(format!("split {} was assigned twice", split.id)));
            }
        }
        Ok(())
    }

    pub(super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    pub(super) fn open_count(&self) -> usize {
        self.open.len()
    }

    pub(super) fn is_open(&self, split: &str) -> bool {
        self.open.contains(split)
    }

    pub(super) fn splits(&self) -> impl Iterator<Item = &str> {
        self.messages.keys().map(String::as_str)
    }

    pub(super) fn count(&self, split: &str) -> usize {
        self.messages.get(split).map_or(0, Vec::len)
    }

    fn add(&mut self, split: &str, messages: Vec<Message>) -> Result<()> {
        if !self.open.contains(split) {
            return Err(wrong(format!("rows came of split {split}, which is not being read")));
        }
        let seen = self.messages.entry(split.to_owned()).or_default();
        for message in messages {
            let last = seen.last().and_then(|last| last.position);
            if last.zip(message.position).is_some_and(|(last, position)| position <= last) {
                return Err(wrong(format!(
                    "split {split}: position {:?} follows {last:?}",
                    message.position
                )));
            }
            seen.push(message);
        }
        Ok(())
    }

    fn finish(&mut self, split: &str) -> Result<()> {
        if self.open.remove(split) {
            return Ok(());
        }
        Err(wrong(format!("split {split} is reported as finished, but it is not being read")))
    }

    fn expect(&self, content: &Content) -> Result<()> {
        let texts = |messages: &Vec<Message>| messages.iter().map(|message| message.text.clone()).collect();
        let seen: Content = self.messages.iter().map(|(split, read)| (split.clone(), texts(read))).collect();
        for split in content.keys().chain(seen.keys()).collect::<BTreeSet<_>>() {
            let none = Vec::new();
            let (read, expected) = (seen.get(split).unwrap_or(&none), content.get(split).unwrap_or(&none));
            if read != expected {
                return Err(difference(split, read, expected));
            }
        }
        Ok(())
    }
}

fn difference(split: &str, read: &[String], expected: &[String]) -> Error {
    let same = read.iter().zip(expected).take_while(|(read, expected)| read == expected).count();
    wrong(format!(
        "split {split}: {} records read, {} expected; the first difference is at number {same}: {:?} read, {:?} expected",
        read.len(),
        expected.len(),
        read.get(same),
        expected.get(same),
    ))
}
