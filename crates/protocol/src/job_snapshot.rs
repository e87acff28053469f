//! A whole job's state at one checkpoint.

use millstream_record::Result;
use millstream_stage::plan::{Plan, StageSpec};
use millstream_stage::snapshot::{CheckpointId, Frozen, Restored, StageSnapshot};

use super::layout::SubtaskId;
use super::restore_check;

/// A whole job's state at one checkpoint, in memory: a job starts from it at any parallelism.
#[derive(Clone, Debug, Default)]
pub struct JobSnapshot {
    /// The job's name; empty where it was not written down.
    pub job: String,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// The attempt that made it.
    pub epoch: u64,
    /// Key groups of the job: a restore must have as many.
    pub key_groups: u16,
    /// Stage by stage.
    pub stages: Vec<StagePart>,
}

/// The part of one stage.
#[derive(Clone, Debug, Default)]
pub struct StagePart {
    /// The stage's name.
    pub name: String,
    /// The names of its operators, upstream first.
    pub operators: Vec<String>,
    /// The state of its operators, all subtasks together.
    pub state: StageSnapshot,
    /// Where it starts with a source: the enumerator's state.
    pub enumerator: Option<Vec<u8>>,
}

impl JobSnapshot {
    /// The snapshot of a whole job: the frozen parts of its subtasks, and the enumerators' by stage.
    ///
    /// # Errors
    /// Whatever writing a key group gives, naming the stage.
    pub fn assemble(
        plan: &Plan,
        checkpoint: CheckpointId,
        epoch: u64,
        frozen: impl IntoIterator<Item = (SubtaskId, Frozen)>,
        enumerators: Vec<Option<Vec<u8>>>,
    ) -> Result<Self> {
        let mut stages: Vec<_> = plan.stages.iter().zip(enumerators).map(StagePart::empty).collect();
        for (place, frozen) in frozen {
            let part = &mut stages[place.stage as usize];
            let added = part.state.add(frozen);
            added.map_err(|error| error.in_context(format_args!("stage `{}`", part.name)))?;
        }
        let (job, key_groups) = (plan.name.clone(), plan.key_groups);
        Ok(Self { job, checkpoint, epoch, key_groups, stages })
    }

    /// Refuses a plan that has no place for something in the snapshot, see [`restore_check`].
    ///
    /// # Errors
    /// Returns the errors of [`RestoreReport::refusal`](restore_check::RestoreReport::refusal).
    pub fn validate(&self, plan: &Plan) -> Result<()> {
        self.validate_allowing(plan, false)
    }

    /// The same, but what the plan has no place for may be left behind where that is allowed.
    ///
    /// # Errors
    /// Returns the same errors as [`validate`](Self::validate).
    pub fn validate_allowing(&self, plan: &Plan, non_restored_state: bool) -> Result<()> {
        restore_check::check(plan, self)?.refusal(non_restored_state)
    }

    /// What a subtask gets back. Parts are found by operator, so that chains may be cut differently than
    /// before.
    pub fn restored(&self, plan: &Plan, place: SubtaskId) -> Restored {
        let stage = &plan.stages[place.stage as usize];
        let owned =
            millstream_record::key_group::owned_groups(place.subtask, plan.key_groups, stage.parallelism);
        let mut all = Restored::default();
        for part in self.parts_of(plan, place) {
            let Restored { keyed, lists, commits } =
                part.state.share(place.subtask, stage.parallelism, &owned);
            all.keyed.extend(keyed);
            all.lists.extend(lists);
            all.commits.extend(commits);
        }
        all
    }

    /// The state of a stage's enumerator.
    pub fn enumerator(&self, plan: &Plan, place: SubtaskId) -> Option<Vec<u8>> {
        self.parts_of(plan, place).find_map(|part| part.enumerator.clone())
    }

    fn parts_of(&self, plan: &Plan, place: SubtaskId) -> impl Iterator<Item = &StagePart> {
        let operators = &plan.stages[place.stage as usize].operators;
        let shares =
            |part: &&StagePart| operators.iter().any(|operator| part.operators.contains(&operator.name));
        self.stages.iter().filter(shares)
    }
}

impl StagePart {
    fn empty((stage, enumerator): (&StageSpec, Option<Vec<u8>>)) -> Self {
        let operators = stage.operators.iter().map(|operator| operator.name.clone()).collect();
        Self { name: stage.name.clone(), operators, state: StageSnapshot::default(), enumerator }
    }
}
