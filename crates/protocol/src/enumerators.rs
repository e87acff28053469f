//! The enumerators of a job's sources, and who hears of which splits.
//!
//! Every reader hears of its assignment at the start, also where it is empty: a reader without splits reports
//! itself idle then, and nobody waits for its watermark. A reader that was told nothing holds event time
//! back, because its splits may be on their way.

use std::sync::Arc;

use millstream_record::{Error, Result};
use millstream_stage::plan::{Plan, StageId, StageSpec};
use millstream_stage::source::{Assignment, Enumerator, EnumeratorContext, EnumeratorEvent};
use millstream_stage::time::{Clock, Nanos, nanos};
use millstream_stage::trouble::Troubles;

use super::broken::BrokenRule;
use super::job_snapshot::JobSnapshot;
use super::layout::SubtaskId;

/// Splits on their way to subtasks.
pub type Assignments = Vec<(SubtaskId, Assignment)>;

/// Runs a call of an enumerator, and gives the text of its panic if there is one. Enumerators are code of
/// connectors and users.
pub type Guard = fn(&mut dyn FnMut()) -> Result<(), String>;

/// Runs a call without catching its panics.
///
/// # Errors
/// None.
pub fn unguarded(call: &mut dyn FnMut()) -> Result<(), String> {
    call();
    Ok(())
}

/// All enumerators of a job.
pub struct Enumerators {
    sources: Vec<Source>,
    clock: Arc<dyn Clock>,
    broken: Option<BrokenRule>,
}

struct Source {
    stage: StageId,
    name: String,
    enumerator: Box<dyn Enumerator>,
    cx: EnumeratorContext,
    every: Option<Nanos>,
    next_tick: Nanos,
    guard: Guard,
}

impl Enumerators {
    /// Makes all of them.
    ///
    /// # Errors
    /// A panic of one.
    pub fn make(plan: &Plan, clock: &Arc<dyn Clock>, troubles: &Arc<Troubles>, guard: Guard) -> Result<Self> {
        let cx = |parallelism| EnumeratorContext {
            job: plan.name.clone(),
            parallelism,
            clock: Arc::clone(clock),
            troubles: Arc::clone(troubles),
        };
        let stages = (0..).zip(&plan.stages);
        let sources = stages
            .filter_map(|(stage, spec)| Source::make(cx(spec.parallelism), stage, spec, guard).transpose());
        Ok(Self { sources: sources.collect::<Result<_>>()?, clock: Arc::clone(clock), broken: None })
    }

    /// Breaks a rule on purpose, so that the simulation can show that it finds that.
    #[doc(hidden)]
    #[must_use]
    pub fn breaking(self, broken: Option<BrokenRule>) -> Self {
        Self { broken, ..self }
    }

    /// Starts all of them. The assignments are for when the readers are open.
    ///
    /// # Errors
    /// The first that cannot find its splits: the job must not start.
    pub fn start(&mut self, plan: &Plan, from: Option<&JobSnapshot>) -> Result<Assignments> {
        let mut assignments = Assignments::new();
        for source in &mut self.sources {
            let restored = from.and_then(|from| from.enumerator(plan, source.place(0)));
            assignments.extend(source.start(restored)?);
        }
        if self.broken == Some(BrokenRule::EmptyAssignmentDropped) {
            assignments.retain(|(_, assignment)| assignment.last || !assignment.splits.is_empty());
        }
        Ok(assignments)
    }

    /// A reader waits for splits.
    ///
    /// # Errors
    /// Returns the errors of its enumerator.
    pub fn reader_ready(&mut self, place: SubtaskId) -> Result<Assignments> {
        match self.sources.iter_mut().find(|source| source.stage == place.stage) {
            Some(source) => source.on(EnumeratorEvent::ReaderReady { subtask: place.subtask }),
            None => Ok(Assignments::new()),
        }
    }

    /// When the next one wants to look for new splits.
    pub fn next_tick(&self) -> Option<Nanos> {
        self.sources.iter().filter(|source| source.every.is_some()).map(|source| source.next_tick).min()
    }

    /// The shortest interval at which one wants to look for new splits.
    pub fn tick_every(&self) -> Option<std::time::Duration> {
        self.sources.iter().filter_map(|source| source.enumerator.tick_every()).min()
    }

    /// Lets the enumerators look for new splits whose interval is over.
    ///
    /// # Errors
    /// Returns the errors of the enumerators.
    pub fn tick(&mut self) -> Result<Assignments> {
        let now = self.clock.nanos();
        let mut assignments = Assignments::new();
        for source in &mut self.sources {
            let Some(every) = source.every.filter(|_| source.next_tick <= now) else { continue };
            source.next_tick = now.saturating_add(every);
            assignments.extend(source.on(EnumeratorEvent::Tick)?);
        }
        Ok(assignments)
    }

    /// What each must know after a restore, by stage. To be taken before the barrier of the same checkpoint
    /// is triggered: an assignment is then either in this snapshot or behind the barrier.
    ///
    /// # Errors
    /// A panic of an enumerator.
    pub fn snapshot(&self, stages: usize) -> Result<Vec<Option<Vec<u8>>>> {
        let mut all = vec![None; stages];
        for source in &self.sources {
            let snapshot = guarded(source.guard, &source.name, || Ok(source.enumerator.snapshot()))?;
            all[source.stage as usize] = Some(snapshot);
        }
        Ok(all)
    }
}

impl Source {
    fn make(cx: EnumeratorContext, stage: StageId, spec: &StageSpec, guard: Guard) -> Result<Option<Self>> {
        let Some(make) = &spec.enumerator else { return Ok(None) };
        let name = spec.operators.first().map_or(&spec.name, |operator| &operator.name).clone();
        let enumerator = guarded(guard, &name, || Ok(make()))?;
        let every = enumerator.tick_every().map(|every| nanos(every).max(1));
        let next_tick = cx.clock.nanos().saturating_add(every.unwrap_or(0));
        Ok(Some(Self { stage, name, enumerator, cx, every, next_tick, guard }))
    }

    fn start(&mut self, restored: Option<Vec<u8>>) -> Result<Assignments> {
        let mut assignments = self.on(EnumeratorEvent::Start { restored })?;
        if !self.enumerator.assigns_on_demand() {
            self.tell_the_others(&mut assignments);
        }
        Ok(assignments)
    }

    // A reader that was assigned nothing hears that, too.
    fn tell_the_others(&self, assignments: &mut Assignments) {
        for subtask in 0..self.cx.parallelism {
            let place = self.place(subtask);
            if assignments.iter().all(|(other, _)| *other != place) {
                assignments.push((place, Assignment { subtask, splits: Vec::new(), last: false }));
            }
        }
    }

    fn on(&mut self, event: EnumeratorEvent) -> Result<Assignments> {
        let (enumerator, cx) = (&mut self.enumerator, &self.cx);
        let assignments = guarded(self.guard, &self.name, || enumerator.on(cx, event))?;
        if let Some(wrong) = assignments.iter().find(|assignment| assignment.subtask >= cx.parallelism) {
            let subtask = wrong.subtask;
            return Err(Error::bug(format!(
                "source {}: its enumerator assigns splits to subtask {subtask}, which does not exist",
                self.name
            )));
        }
        Ok(assignments.into_iter().map(|assignment| (self.place(assignment.subtask), assignment)).collect())
    }

    fn place(&self, subtask: u16) -> SubtaskId {
        SubtaskId { stage: self.stage, subtask }
    }
}

fn guarded<T>(guard: Guard, name: &str, call: impl FnOnce() -> Result<T>) -> Result<T> {
    let (mut call, mut result) = (Some(call), None);
    let caught = guard(&mut || result = call.take().map(|call| call()));
    if let Err(panic) = caught {
        return Err(Error::bug(format!("source {name}: its enumerator panicked: {panic}")));
    }
    let result = result.unwrap_or_else(|| Err(Error::bug("a call of an enumerator was not made")));
    result.map_err(|error| error.in_operator(name))
}

#[cfg(test)]
mod tests;
