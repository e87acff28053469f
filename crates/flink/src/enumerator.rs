//! The enumerator of one source, in Flink's JobManager.

use std::sync::Arc;

use millstream_checkpoint::flink_form::{decode_assignment, encode_assignment};
use millstream_checkpoint::store::ReadOptions;
use millstream_checkpoint::wire::{WireReader, WireWriter};
use millstream_protocol::enumerators::{Assignments, Enumerators, unguarded};
use millstream_protocol::job_snapshot::{JobSnapshot, StagePart};
use millstream_protocol::layout::SubtaskId;
use millstream_record::{Error, Result};
use millstream_runtime::SystemClock;
use millstream_stage::plan::{Plan, StageId};
use millstream_stage::time::Clock;

use crate::program::{Job, Program};
use crate::savepoint;

/// What the harness tells an enumerator.
const START: i32 = 0;
const READER_READY: i32 = 1;
const TICK: i32 = 2;

/// One source's enumerator.
pub(crate) struct StageEnumerator {
    job: Job,
    plan: Plan,
    stage: StageId,
    enumerators: Enumerators,
    settings: crate::program::Loaded,
}

impl StageEnumerator {
    /// Makes the enumerator of a stage that runs as so many subtasks.
    pub(crate) fn open(program: &dyn Program, job: Job, stage: StageId, parallelism: u16) -> Result<Self> {
        let loaded = job.load(program)?;
        let plan = plan_of_one(&loaded.plan, stage, parallelism)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let enumerators = Enumerators::make(&plan, &clock, &Arc::default(), unguarded)?;
        Ok(Self { job, plan, stage, enumerators, settings: loaded })
    }

    /// Answers an event with assignments.
    pub(crate) fn on(&mut self, event: i32, argument: Option<&[u8]>) -> Result<Vec<u8>> {
        let assignments = match event {
            START => self.start(argument)?,
            READER_READY => {
                let subtask = WireReader(argument.unwrap_or_default()).number()?;
                self.enumerators.reader_ready(SubtaskId { stage: self.stage, subtask })?
            }
            TICK => self.enumerators.tick()?,
            other => return Err(Error::bug(format!("an enumerator has no event {other}"))),
        };
        self.answer(assignments)
    }

    fn start(&mut self, restored: Option<&[u8]>) -> Result<Assignments> {
        let from = match (restored, &self.job.from_savepoint) {
            (Some(snapshot), _) => Some(self.snapshot_with(snapshot.to_vec())),
            (None, Some(url)) => {
                let options = ReadOptions::default().for_plan(&self.plan);
                Some(savepoint::read(url, &self.settings.storage, &options)?)
            }
            (None, None) => None,
        };
        self.enumerators.start(&self.plan, from.as_ref())
    }

    // A snapshot that holds nothing but this enumerator.
    fn snapshot_with(&self, enumerator: Vec<u8>) -> JobSnapshot {
        let spec = &self.plan.stages[self.stage as usize];
        let operators = spec.operators.iter().map(|operator| operator.name.clone()).collect();
        let part = StagePart {
            name: spec.name.clone(),
            operators,
            enumerator: Some(enumerator),
            ..StagePart::default()
        };
        JobSnapshot { job: self.plan.name.clone(), stages: vec![part], ..JobSnapshot::default() }
    }

    fn answer(&self, assignments: Assignments) -> Result<Vec<u8>> {
        let stages = self.plan.stages.len();
        let snapshot = self.enumerators.snapshot(stages)?.swap_remove(self.stage as usize);
        let mut out = WireWriter::default();
        out.long(
            self.enumerators.tick_every().map_or(0, |every| millstream_stage::time::millis(every).max(1)),
        );
        out.bytes(&snapshot.unwrap_or_default());
        out.list(assignments, |out, (place, assignment)| {
            out.int(place.subtask);
            out.bytes(&encode_assignment(&assignment));
        });
        Ok(out.0)
    }
}

/// The plan with this source alone, and with the parallelism that it really has.
fn plan_of_one(plan: &Plan, stage: StageId, parallelism: u16) -> Result<Plan> {
    let mut plan = plan.clone();
    for (id, spec) in (0..).zip(&mut plan.stages) {
        if id != stage {
            spec.enumerator = None;
        }
    }
    let spec = plan.stages.get_mut(stage as usize);
    let spec = spec.ok_or_else(|| Error::bug(format!("the plan has no stage {stage}")))?;
    spec.parallelism = parallelism;
    Ok(plan)
}

/// Whether an assignment is a reader's last one.
pub(crate) fn is_last(assignment: &[u8]) -> Result<bool> {
    decode_assignment(assignment).map(|assignment| assignment.last)
}
