//! The enumerators of a simulated job.

use std::sync::Arc;

use millstream_core::Result;
use millstream_core::drive::job_snapshot::JobSnapshot;
use millstream_core::drive::layout::Place;
use millstream_core::plan::{Plan, StageId};
use millstream_core::source::{Assignment, Enumerator, EnumeratorContext, EnumeratorEvent};
use millstream_core::time::{Clock, Nanos};

/// Splits on their way to a subtask.
pub(super) type Assignments = Vec<(Place, Assignment)>;

/// All enumerators.
pub(super) struct Sources(Vec<Source>);

struct Source {
    stage: StageId,
    name: String,
    enumerator: Box<dyn Enumerator>,
    cx: EnumeratorContext,
    every: Option<Nanos>,
    next_tick: Nanos,
}

impl Sources {
    /// Makes and starts all of them.
    pub(super) fn start(
        plan: &Plan,
        clock: &Arc<dyn Clock>,
        from: Option<&JobSnapshot>,
    ) -> Result<(Self, Assignments)> {
        let (mut all, mut assignments) = (Vec::new(), Assignments::new());
        for (stage, spec) in (0..).zip(&plan.stages) {
            let Some(make) = &spec.enumerator else { continue };
            let enumerator = make();
            let every = enumerator.tick_every().map(|every| every.as_nanos().max(1) as Nanos);
            let (job, parallelism, clock) = (plan.name.clone(), spec.parallelism, Arc::clone(clock));
            let next_tick = clock.nanos() + every.unwrap_or(0);
            let cx = EnumeratorContext { job, parallelism, clock, troubles: Arc::default() };
            let mut source = Source { stage, name: spec.name.clone(), enumerator, cx, every, next_tick };
            let restored = from.and_then(|from| from.enumerator(plan, Place { stage, subtask: 0 }));
            assignments.extend(source.on(EnumeratorEvent::Start { restored })?);
            all.push(source);
        }
        Ok((Self(all), assignments))
    }

    /// A reader waits for work.
    pub(super) fn reader_ready(&mut self, place: Place) -> Result<Assignments> {
        match self.0.iter_mut().find(|source| source.stage == place.stage) {
            Some(source) => source.on(EnumeratorEvent::ReaderReady { subtask: place.subtask }),
            None => Ok(Assignments::new()),
        }
    }

    /// When the next one wants to look for new splits.
    pub(super) fn next_tick(&self) -> Option<Nanos> {
        self.0.iter().filter(|source| source.every.is_some()).map(|source| source.next_tick).min()
    }

    /// Lets those look for new splits whose time has come.
    pub(super) fn tick(&mut self, now: Nanos) -> Result<Assignments> {
        let mut assignments = Assignments::new();
        for source in &mut self.0 {
            let Some(every) = source.every.filter(|_| source.next_tick <= now) else { continue };
            source.next_tick = now + every;
            assignments.extend(source.on(EnumeratorEvent::Tick)?);
        }
        Ok(assignments)
    }

    /// What each must know after a restore, by stage.
    pub(super) fn snapshot(&self, stages: usize) -> Vec<Option<Vec<u8>>> {
        let mut all = vec![None; stages];
        for source in &self.0 {
            all[source.stage as usize] = Some(source.enumerator.snapshot());
        }
        all
    }
}

impl Source {
    fn on(&mut self, event: EnumeratorEvent) -> Result<Assignments> {
        let assignments = self.enumerator.on(&self.cx, event);
        let assignments =
            assignments.map_err(|error| error.in_context(format_args!("source {}", self.name)))?;
        let stage = self.stage;
        let place = |assignment: Assignment| (Place { stage, subtask: assignment.subtask }, assignment);
        Ok(assignments.into_iter().map(place).collect())
    }
}
