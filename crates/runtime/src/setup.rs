//! What is the same for every attempt to run a job.

use std::sync::Arc;

use millstream_protocol::job_id::JobId;
use millstream_stage::chance::Chance;
use millstream_stage::metrics::{JobMetrics, SubtaskMetrics};
use millstream_stage::plan::{Plan, StageSpec};
use millstream_stage::state_backend::StateBackend;
use millstream_stage::time::Clock;
use millstream_stage::trouble::Troubles;
use millstream_storage::Reports;

use crate::clock::SystemClock;
use crate::layout::{self, SubtaskId};
use crate::options::RuntimeOptions;

/// What is the same for every attempt to run a job.
pub(crate) struct Setup {
    pub(crate) id: JobId,
    pub(crate) plan: Plan,
    pub(crate) options: RuntimeOptions,
    /// State that the job has no place for is left behind.
    pub(crate) allow_non_restored: bool,
    pub(crate) backend: Arc<dyn StateBackend>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Chance,
    pub(crate) places: Vec<SubtaskId>,
    /// They count on from attempt to attempt.
    pub(crate) metrics: Arc<JobMetrics>,
}

impl Setup {
    pub(crate) fn new(plan: Plan, mut options: RuntimeOptions, backend: Arc<dyn StateBackend>) -> Self {
        let places = layout::subtasks(&plan);
        let troubles = Arc::<Troubles>::default();
        let metrics = |place: &SubtaskId| {
            let stage = &plan.stages[place.stage as usize].name;
            Arc::new(SubtaskMetrics::within(stage, place.subtask, Arc::clone(&troubles)))
        };
        let subtasks = places.iter().map(metrics).collect();
        let metrics = Arc::new(JobMetrics { job: plan.name.clone(), subtasks, troubles });
        let (id, clock) = (JobId::of(&plan.name), Arc::new(SystemClock::new()));
        let chance = Chance::from_system();
        options.storage.chance = chance.clone();
        options.storage.reports = Reports::to(Arc::clone(&metrics.troubles), clock.clone());
        Self { id, plan, options, allow_non_restored: false, backend, clock, chance, places, metrics }
    }

    /// The stage that a subtask runs. Subtasks are numbered over all stages.
    pub(crate) fn stage(&self, index: usize) -> &StageSpec {
        &self.plan.stages[self.places[index].stage as usize]
    }

    /// A subtask's name in messages.
    pub(crate) fn who(&self, index: usize) -> String {
        let stage = self.stage(index);
        let number = self.places[index].subtask + 1;
        format!("stage `{}` (subtask {number} of {})", stage.name, stage.parallelism)
    }

    /// A subtask's number.
    pub(crate) fn index(&self, place: SubtaskId) -> Option<usize> {
        self.places.iter().position(|other| *other == place)
    }
}
