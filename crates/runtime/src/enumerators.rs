//! The enumerators of a job's sources: asked away from the hot threads, their panics caught.

use std::sync::Arc;

use millstream_core::plan::{Plan, StageId};
use millstream_core::source::{Assignment, Enumerator, EnumeratorContext, EnumeratorEvent};
use millstream_core::time::{Clock, Nanos};
use millstream_core::trouble::Troubles;
use millstream_core::{Error, Result};

use crate::layout::Place;
use crate::panics;
use crate::snapshot::JobSnapshot;

/// Splits on their way to a stage's subtasks.
pub(crate) type Assignments = Vec<(Place, Assignment)>;

/// All enumerators of a job.
pub(crate) struct Enumerators {
    sources: Vec<Source>,
    clock: Arc<dyn Clock>,
}

struct Source {
    stage: StageId,
    name: String,
    enumerator: Box<dyn Enumerator>,
    cx: EnumeratorContext,
    every: Option<Nanos>,
    next_tick: Nanos,
}

impl Enumerators {
    /// Makes and starts all of them; the assignments are for when the readers are open.
    ///
    /// # Errors
    /// The first that cannot find its splits: the job must not start.
    pub(crate) fn start(
        plan: &Plan,
        clock: &Arc<dyn Clock>,
        troubles: &Arc<Troubles>,
        from: Option<&JobSnapshot>,
    ) -> Result<(Self, Assignments)> {
        let mut all = Self { sources: Vec::new(), clock: Arc::clone(clock) };
        let mut assignments = Assignments::new();
        for (stage, spec) in (0..).zip(&plan.stages) {
            let Some(make) = &spec.enumerator else { continue };
            let name = spec.operators.first().map_or(&spec.name, |operator| &operator.name);
            let enumerator = guarded(name, || Ok(make()))?;
            let every = enumerator.tick_every().map(|every| every.as_nanos().max(1) as Nanos);
            let next_tick = clock.nanos().saturating_add(every.unwrap_or(0));
            let cx = EnumeratorContext {
                job: plan.name.clone(),
                parallelism: spec.parallelism,
                clock: Arc::clone(clock),
                troubles: Arc::clone(troubles),
            };
            let mut source = Source { stage, name: name.clone(), enumerator, cx, every, next_tick };
            let restored = from.and_then(|from| from.enumerator(plan, Place { stage, subtask: 0 }));
            assignments.extend(source.on(EnumeratorEvent::Start { restored })?);
            all.sources.push(source);
        }
        Ok((all, assignments))
    }

    /// A reader waits for work.
    pub(crate) fn reader_ready(&mut self, place: Place) -> Result<Assignments> {
        match self.sources.iter_mut().find(|source| source.stage == place.stage) {
            Some(source) => source.on(EnumeratorEvent::ReaderReady { subtask: place.subtask }),
            None => Ok(Assignments::new()),
        }
    }

    /// When the next one wants to look for new splits.
    pub(crate) fn next_tick(&self) -> Option<Nanos> {
        self.sources.iter().filter(|source| source.every.is_some()).map(|source| source.next_tick).min()
    }

    /// Lets those look for new splits whose time has come.
    pub(crate) fn tick(&mut self) -> Result<Assignments> {
        let now = self.clock.nanos();
        let mut assignments = Assignments::new();
        for source in &mut self.sources {
            let Some(every) = source.every.filter(|_| source.next_tick <= now) else { continue };
            source.next_tick = now.saturating_add(every);
            assignments.extend(source.on(EnumeratorEvent::Tick)?);
        }
        Ok(assignments)
    }

    /// What each must know after a restore, by stage.
    pub(crate) fn snapshot(&self, stages: usize) -> Result<Vec<Option<Vec<u8>>>> {
        let mut all = vec![None; stages];
        for source in &self.sources {
            all[source.stage as usize] = Some(guarded(&source.name, || Ok(source.enumerator.snapshot()))?);
        }
        Ok(all)
    }
}

impl Source {
    fn on(&mut self, event: EnumeratorEvent) -> Result<Assignments> {
        let (enumerator, cx) = (&mut self.enumerator, &self.cx);
        let assignments = guarded(&self.name, || enumerator.on(cx, event))?;
        let at =
            |assignment: Assignment| (Place { stage: self.stage, subtask: assignment.subtask }, assignment);
        Ok(assignments.into_iter().map(at).collect())
    }
}

fn guarded<T>(name: &str, call: impl FnOnce() -> Result<T>) -> Result<T> {
    match panics::catch(call) {
        Ok(result) => result.map_err(|error| error.in_operator(name)),
        Err(panic) => Err(Error::bug(format!("its enumerator panicked: {panic}")).in_operator(name)),
    }
}
