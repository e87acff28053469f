//! What a pipeline compiles to: stages and the exchanges between them. A driver needs nothing else to run it.

use std::sync::Arc;

use crate::batch::{EdgeCodec, EdgeId};
use crate::sink::Guarantee;
use crate::snapshot::TableSchema;
use crate::source::Enumerator;
use crate::stage::{InputId, Stage};

/// Numbers the stages of a plan; its index.
pub type StageId = u32;

/// Makes one subtask's stage. Called once per subtask and attempt.
pub type MakeStage = Arc<dyn Fn() -> Box<dyn Stage> + Send + Sync>;

/// Makes a source's enumerator. Called once per attempt.
pub type MakeEnumerator = Arc<dyn Fn() -> Box<dyn Enumerator> + Send + Sync>;

/// A whole pipeline. Stages are in topological order: an edge leads from a lower to a higher one.
#[derive(Clone)]
pub struct Plan {
    /// The job's name.
    pub name: String,
    /// Key groups: the upper bound of parallelism.
    pub key_groups: u16,
    /// Stages, by [`StageId`].
    pub stages: Vec<StageSpec>,
    /// Exchanges, by [`EdgeId`].
    pub edges: Vec<EdgeSpec>,
}

/// One stage.
#[derive(Clone)]
pub struct StageSpec {
    /// The names of its operators, in order, joined by ` -> `.
    pub name: String,
    /// How many subtasks it runs as.
    pub parallelism: u16,
    /// Its operators, upstream first.
    pub operators: Vec<OperatorSpec>,
    /// Makes one subtask's stage.
    pub make: MakeStage,
    /// Where it starts with a source: makes the enumerator.
    pub enumerator: Option<MakeEnumerator>,
}

/// One operator, for display and for checking names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorSpec {
    /// The name that the user gave; unique in the plan.
    pub name: String,
    /// What it is: `filter`, `window`, `kafka source`, ...
    pub kind: String,
    /// The operator that it follows within the stage; none for the first.
    pub after: Option<String>,
    /// The tables of its keyed state; none where it has no such state.
    pub tables: Vec<TableSchema>,
    /// What it keeps per key, and for how long.
    pub states: Vec<StateSpec>,
    /// Of a sink: what its readers can rely on.
    pub sink: Option<Guarantee>,
}

/// The keyed state of an operator, as far as it is known before a job starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyedSpec {
    /// What its snapshots consist of.
    pub tables: Vec<TableSchema>,
    /// What it keeps per key.
    pub states: Vec<StateSpec>,
}

/// One keyed state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSpec {
    /// Its name within the operator.
    pub name: String,
    /// For how long a key's share of it is kept.
    pub kept: Kept,
}

/// For how long state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Until its window is over.
    Window,
    /// Until nobody has touched it for so long: a time to live, in words.
    Ttl(String),
    /// Until the function itself forgets it: with ever new keys it grows for ever.
    UntilCleared,
}

impl std::fmt::Display for StateSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.kept {
            Kept::Window => write!(f, "state {}: until its window is over", self.name),
            Kept::Ttl(ttl) => write!(f, "state {}: {ttl}", self.name),
            Kept::UntilCleared => write!(f, "state {}: until it is cleared", self.name),
        }
    }
}

/// How records choose a subtask of the next stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// By key group.
    Hash,
    /// Each upstream subtask to one downstream subtask (`subtask % parallelism`).
    Forward,
    /// Round robin by batch.
    Rebalance,
}

/// An exchange between two stages.
#[derive(Clone)]
pub struct EdgeSpec {
    /// The stage that it leaves.
    pub from: StageId,
    /// The stage that it enters.
    pub to: StageId,
    /// Which of that stage's inputs.
    pub input: InputId,
    /// How records choose a subtask.
    pub exchange: Exchange,
    /// Its batches as bytes.
    pub codec: Arc<dyn EdgeCodec>,
}

impl Plan {
    /// What may go wrong in the long run, a sentence each: state that nothing bounds.
    pub fn warnings(&self) -> Vec<String> {
        let states =
            self.operators().flat_map(|operator| operator.states.iter().map(move |state| (operator, state)));
        let unbounded = states.filter(|(_, state)| state.kept == Kept::UntilCleared);
        let warning = |(operator, state): (&OperatorSpec, &StateSpec)| {
            format!(
                "state {:?} of operator {:?} has neither a window nor a time to live: with ever new keys it grows for ever, \
                 unless the function clears it; see States::with_ttl",
                state.name, operator.name
            )
        };
        unbounded.map(warning).collect()
    }

    /// The sinks whose results are seen when a checkpoint is complete, and not before.
    pub fn transactional_sinks(&self) -> impl Iterator<Item = &str> {
        let sinks = self.operators().filter(|operator| operator.sink == Some(Guarantee::Transactional));
        sinks.map(|operator| operator.name.as_str())
    }

    fn operators(&self) -> impl Iterator<Item = &OperatorSpec> {
        self.stages.iter().flat_map(|stage| &stage.operators)
    }

    /// Edges that enter a stage, with their ids.
    pub fn inputs(&self, stage: StageId) -> impl Iterator<Item = (EdgeId, &EdgeSpec)> {
        self.edges().filter(move |(_, edge)| edge.to == stage)
    }

    /// Edges that leave a stage, with their ids.
    pub fn outputs(&self, stage: StageId) -> impl Iterator<Item = (EdgeId, &EdgeSpec)> {
        self.edges().filter(move |(_, edge)| edge.from == stage)
    }

    fn edges(&self) -> impl Iterator<Item = (EdgeId, &EdgeSpec)> {
        (0..).zip(&self.edges)
    }
}
