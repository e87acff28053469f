//! How a rig is set up.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use millstream_operators::chain::{Chained, Exchanged, Head, InputStage, OneInput, Side, TwoInputs};
use millstream_operators::operators::Either;
use millstream_record::key_group::DEFAULT_KEY_GROUPS;
use millstream_record::{Key, Record, Result};
use millstream_stage::Operator;
use millstream_stage::batch::{EdgeId, RecordCodec};
use millstream_stage::operator::SideTag;
use millstream_stage::stage::Stage;
use millstream_stage::time::Time;

use super::compare::{RigFailure, Rules, run_all};
use super::feed::Feed;
use super::run::{Layout, MAIN, OutputSpec};
use super::script::{HashOf, Script};
use super::seen::{Outcome, Seen, comparable};
use super::transcript::{Entry, read_rows, show_watermark};
use crate::driven_writer::wrong;

type MakeSide = Box<dyn Fn() -> Side>;
type BuildStage = Box<dyn Fn(&[MakeSide]) -> Box<dyn Stage>>;

/// The name under which a rig's operator is opened.
const NAME: &str = "operator";

/// Drives one operator, or one stage, with one input of `A` or two of `A` and `B`. See [`rig`](super).
pub struct Rig<A, B, Out> {
    build: BuildStage,
    inputs: usize,
    hash_first: Option<HashOf<A>>,
    hash_second: Option<HashOf<B>>,
    feed: Vec<Feed<A, B>>,
    outputs: Vec<OutputSpec>,
    names: Vec<(String, EdgeId)>,
    sides: Vec<MakeSide>,
    key_groups: u16,
    rules: Rules,
    of: PhantomData<fn() -> Out>,
}

impl<A: Record + Debug, Out: Record + Debug> Rig<A, (), Out> {
    /// A rig for an operator with one input. Each subtask and each restore gets a new one; its state is found
    /// under the name `operator`.
    pub fn new<O: Operator<In = A, Out = Out>>(operator: impl Fn() -> O + 'static) -> Self {
        Self::of(
            1,
            Box::new(move |sides| stage_of(1, operator(), sides, |next| Box::new(OneInput::new(next)))),
        )
    }
}

impl<A: Record + Debug, B: Record + Debug, Out: Record + Debug> Rig<A, B, Out> {
    /// A rig for an operator with two inputs.
    pub fn with_two_inputs<O: Operator<In = Either<A, B>, Out = Out>>(
        operator: impl Fn() -> O + 'static,
    ) -> Self {
        Self::of(
            2,
            Box::new(move |sides| stage_of(2, operator(), sides, |next| Box::new(TwoInputs::new(next)))),
        )
    }

    fn of(inputs: usize, build: BuildStage) -> Self {
        let rules = Rules { ordered: true, parallel: false, batches: true };
        let rig = Self {
            build,
            inputs,
            hash_first: None,
            hash_second: None,
            feed: Vec::new(),
            outputs: Vec::new(),
            names: Vec::new(),
            sides: Vec::new(),
            key_groups: DEFAULT_KEY_GROUPS,
            rules,
            of: PhantomData,
        };
        rig.edge::<Out>("output", MAIN)
    }

    /// The (first) input is keyed: its batches carry hashes, and records go to the subtask that owns their
    /// key.
    #[must_use]
    pub fn keyed_by<K: Key>(mut self, key: impl Fn(&A) -> K + 'static) -> Self {
        self.hash_first = Some(Arc::new(move |record| key(record).key_hash()));
        self.rules.parallel = true;
        self
    }

    /// The second input's key; the first one must have one too.
    #[must_use]
    pub fn second_keyed_by<K: Key>(mut self, key: impl Fn(&B) -> K + 'static) -> Self {
        self.hash_second = Some(Arc::new(move |record| key(record).key_hash()));
        self
    }

    /// Another number of key groups than 128.
    #[must_use]
    pub fn key_groups(self, key_groups: u16) -> Self {
        Self { key_groups, ..self }
    }

    /// There is no key, but records may go to any subtask: the operator is run at higher parallelism too.
    #[must_use]
    pub fn any_subtask(mut self) -> Self {
        self.rules.parallel = true;
        self
    }

    /// Rows that come in answer to the same records have no order.
    #[must_use]
    pub fn unordered(mut self) -> Self {
        self.rules.ordered = false;
        self
    }

    /// Rows depend on how batches are cut, as of an operator that folds within a batch: only single records
    /// are tried.
    #[must_use]
    pub fn single_records(mut self) -> Self {
        self.rules.batches = false;
        self
    }

    /// Watches a side output of the operator.
    #[must_use]
    pub fn side<S: Record + Debug>(mut self, tag: &SideTag<S>) -> Self {
        let edge = self.sides.len() as EdgeId + 1;
        let (name, copy) = (tag.name().to_string(), tag.clone());
        self.sides.push(Box::new(move || Side::new(&copy, Box::new(Exchanged::<S>::forward(edge)))));
        self.edge::<S>(&name, edge)
    }

    /// Watches another edge that leaves the stage, under a name for [`Outcome::side_named`].
    #[must_use]
    pub fn edge<S: Record + Debug>(mut self, name: &str, edge: EdgeId) -> Self {
        let codec = Arc::new(RecordCodec::<S>::default());
        self.outputs.push(OutputSpec { edge, read: read_rows::<S>, codec });
        self.names.push((name.to_owned(), edge));
        self
    }

    /// What happens to the operator, in order. Without an [`end`](super::end) the input stays open.
    #[must_use]
    pub fn feed(mut self, feed: impl IntoIterator<Item = Feed<A, B>>) -> Self {
        self.feed.extend(feed);
        self
    }

    /// Runs every mode.
    ///
    /// # Errors
    /// When the operator breaks its contract or gives an error, or when two modes differ.
    pub fn run(self) -> Result<Outcome<Out>, RigFailure> {
        self.run_all().map_err(RigFailure::new)
    }

    fn run_all(self) -> Result<Outcome<Out>> {
        if self.inputs == 2 && self.hash_first.is_some() != self.hash_second.is_some() {
            return Err(wrong("of two inputs both or none must be keyed: see keyed_by and second_keyed_by"));
        }
        let keyed = self.hash_first.is_some();
        let script = Script::new(self.feed, (self.hash_first, self.hash_second), self.inputs);
        let (build, sides) = (self.build, self.sides);
        let make = Box::new(move || build(&sides));
        let layout = Layout { make, outputs: self.outputs, key_groups: self.key_groups, keyed };
        Outcome::new(run_all(&layout, &script, self.rules)?, self.names)
    }

    /// Runs every mode and compares records and watermarks of the main output with what is expected.
    ///
    /// # Panics
    /// As an assertion does, with what differs.
    #[track_caller]
    pub fn expect(self, expected: impl IntoIterator<Item = Seen<Out>>) -> Outcome<Out> {
        let ordered = self.rules.ordered;
        let outcome = self.run_or_panic();
        same(&outcome.output, &expected.into_iter().collect::<Vec<_>>(), ordered);
        outcome
    }

    /// As [`expect`](Self::expect), without the watermarks.
    ///
    /// # Panics
    /// As an assertion does, with what differs.
    #[track_caller]
    pub fn expect_rows(self, expected: impl IntoIterator<Item = (Out, Time)>) -> Outcome<Out> {
        let ordered = self.rules.ordered;
        let outcome = self.run_or_panic();
        let seen = |(record, ts)| Seen::Row(record, ts);
        let rows: Vec<_> = outcome.rows().into_iter().map(seen).collect();
        same(&rows, &expected.into_iter().map(seen).collect::<Vec<_>>(), ordered);
        outcome
    }

    /// As [`expect`](Self::expect), without watermarks and times.
    ///
    /// # Panics
    /// As an assertion does, with what differs.
    #[track_caller]
    pub fn expect_records(self, expected: impl IntoIterator<Item = Out>) -> Outcome<Out> {
        let ordered = self.rules.ordered;
        let outcome = self.run_or_panic();
        let seen = |record| Seen::Row(record, 0);
        let rows: Vec<_> = outcome.records().into_iter().map(seen).collect();
        same(&rows, &expected.into_iter().map(seen).collect::<Vec<_>>(), ordered);
        outcome
    }

    #[track_caller]
    #[allow(clippy::panic, reason = "an assertion")]
    fn run_or_panic(self) -> Outcome<Out> {
        match self.run() {
            Ok(outcome) => outcome,
            Err(failure) => panic!("{failure}"),
        }
    }
}

fn stage_of<O: Operator<Out: Record>>(
    inputs: usize,
    operator: O,
    sides: &[MakeSide],
    head: impl FnOnce(Box<dyn millstream_stage::Push<O::In>>) -> Box<dyn Head>,
) -> Box<dyn Stage> {
    let sides = sides.iter().map(|make| make()).collect();
    let end = Box::new(Exchanged::<O::Out>::forward(MAIN));
    let head = head(Box::new(Chained::new(NAME.into(), operator, end).with_sides(sides)));
    Box::new(InputStage::new(inputs, head))
}

#[track_caller]
#[allow(clippy::panic, reason = "an assertion")]
fn same<Out: Record + Debug>(came: &[Seen<Out>], expected: &[Seen<Out>], ordered: bool) {
    let (came, expected) = (comparable(came, ordered), comparable(expected, ordered));
    if came == expected {
        return;
    }
    let first = came.iter().zip(&expected).take_while(|(came, expected)| came == expected).count();
    panic!(
        "record by record, the output differs from what is expected at number {first}\n  came:{}\n  expected:{}",
        show(&came),
        show(&expected)
    );
}

fn show(entries: &[Entry]) -> String {
    let line = |entry: &Entry| match entry {
        Entry::Row(row) => format!("\n    {}", row.text),
        Entry::Watermark(watermark) => format!("\n    {}", show_watermark(*watermark)),
    };
    entries.iter().map(line).collect()
}
