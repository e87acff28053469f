//! Checks of sources that do not end: who hears of assignments, through the rules that every driver executes.

use std::sync::Arc;

use millstream_operators::chain::{Chained, Exchanged, SourceStage};
use millstream_operators::operators::{AssignWatermarks, WatermarkStrategy};
use millstream_protocol::enumerators::{Assignments, Enumerators, unguarded};
use millstream_protocol::job_snapshot::JobSnapshot;
use millstream_protocol::layout::SubtaskId;
use millstream_protocol::subtask::StageCall;
use millstream_record::Result;
use millstream_stage::WatermarkEvent;
use millstream_stage::batch::EdgeId;
use millstream_stage::context::Emitted;
use millstream_stage::plan::{OperatorSpec, Plan, StageSpec};
use millstream_stage::snapshot::Restored;
use millstream_stage::source::Source;
use millstream_stage::stage::Stage;
use millstream_stage::time::MAX_TIME;

use super::source_fixture::UnboundedFixture;
use super::{Check, place_name};
use crate::driven_stage::DrivenStage;
use crate::driven_writer::wrong;
use crate::harness::Harness;
use crate::world::World;

const SOURCE: &str = "source";
const WATERMARKS: &str = "watermarks";
const EDGE: EdgeId = 0;
/// Milliseconds between two looks, and how many there are: a minute.
const LOOK: i64 = 100;
const LOOKS: usize = 600;

pub(super) fn list<F: UnboundedFixture>() -> Vec<Check<F>> {
    vec![
        Check {
            name: "a reader that is assigned nothing at the start holds no event time back",
            run: at_start,
        },
        Check { name: "a reader of an input without splits holds no event time back", run: no_splits },
        Check {
            name: "a reader that is left without splits by a restore holds no event time back",
            run: restored,
        },
    ]
}

fn at_start<F: UnboundedFixture>(fixture: &F) -> Result<()> {
    let world = fixture.world()?;
    let source = Arc::new(fixture.unbounded(&place_name("at_start"), 2, 20)?);
    Job::start(&source, &world, 4, None)?.waits_for_nobody()
}

fn no_splits<F: UnboundedFixture>(fixture: &F) -> Result<()> {
    let world = fixture.world()?;
    let source = Arc::new(fixture.unbounded(&place_name("no_splits"), 0, 0)?);
    Job::start(&source, &world, 3, None)?.waits_for_nobody()
}

fn restored<F: UnboundedFixture>(fixture: &F) -> Result<()> {
    let world = fixture.world()?;
    let source = Arc::new(fixture.unbounded(&place_name("restored"), 2, 20)?);
    let mut first = Job::start(&source, &world, 2, None)?;
    first.until_idle()?;
    let snapshot = first.snapshot()?;
    first.close()?;
    Job::start(&source, &world, 4, Some(&snapshot))?.waits_for_nobody()
}

/// A job that consists of a source with watermarks.
struct Job {
    plan: Plan,
    enumerators: Enumerators,
    subtasks: Vec<Subtask>,
}

struct Subtask {
    stage: DrivenStage,
    splits: usize,
    idle: bool,
}

impl Job {
    fn start<S: Source>(
        source: &Arc<S>,
        world: &Arc<dyn World>,
        parallelism: u16,
        from: Option<&JobSnapshot>,
    ) -> Result<Self> {
        let plan = plan(source, parallelism);
        let clock = world.clock();
        let mut enumerators = Enumerators::make(&plan, &clock, &Arc::default(), unguarded)?;
        let assignments = enumerators.start(&plan, from)?;
        let open = |subtask| Subtask::open(&plan, world, subtask, from);
        let subtasks = (0..parallelism).map(open).collect::<Result<_>>()?;
        let mut job = Self { plan, enumerators, subtasks };
        job.assign(assignments)?;
        Ok(job)
    }

    fn assign(&mut self, assignments: Assignments) -> Result<()> {
        for (place, assignment) in assignments {
            let subtask = &mut self.subtasks[usize::from(place.subtask)];
            subtask.splits += assignment.splits.len();
            subtask.stage.make(StageCall::Assign(assignment), 0, &mut None)?;
        }
        Ok(())
    }

    // Until each reader without splits says that nobody need wait for it.
    fn until_idle(&mut self) -> Result<()> {
        for _ in 0..LOOKS {
            for subtask in &mut self.subtasks {
                subtask.resume()?;
            }
            if self.subtasks.iter().all(|subtask| subtask.splits > 0 || subtask.idle) {
                return Ok(());
            }
            let assignments = self.enumerators.tick()?;
            self.assign(assignments)?;
            let harness = self.subtasks[0].stage.harness();
            let until = harness.clock().now() + LOOK;
            while harness.clock().now() < until {
                harness.wait(Some(until))?;
            }
        }
        let holding = |(number, subtask): (usize, &Subtask)| {
            (subtask.splits == 0 && !subtask.idle).then(|| number.to_string())
        };
        let holding: Vec<_> = self.subtasks.iter().enumerate().filter_map(holding).collect();
        Err(wrong(format!(
            "readers {} have no splits and are not idle: event time waits for them for ever",
            holding.join(", ")
        )))
    }

    fn waits_for_nobody(mut self) -> Result<()> {
        self.until_idle()?;
        self.close()
    }

    fn close(self) -> Result<()> {
        self.subtasks.into_iter().try_for_each(|subtask| subtask.stage.close())
    }

    fn snapshot(&mut self) -> Result<JobSnapshot> {
        let enumerators = self.enumerators.snapshot(1)?;
        let mut frozen = Vec::new();
        for (number, subtask) in (0..).zip(&mut self.subtasks) {
            while subtask.stage.prepare(1)?.0.more {
                subtask.resume()?;
            }
            frozen.push((SubtaskId { stage: 0, subtask: number }, subtask.stage.snapshot(1)?));
        }
        JobSnapshot::assemble(&self.plan, 1, 1, frozen, enumerators)
    }
}

impl Subtask {
    fn open(plan: &Plan, world: &Arc<dyn World>, number: u16, from: Option<&JobSnapshot>) -> Result<Self> {
        let (place, stage) = (SubtaskId { stage: 0, subtask: number }, &plan.stages[0]);
        let restored = from.map_or_else(Restored::default, |from| from.restored(plan, place));
        let splits = restored.lists.iter().filter(|((operator, _), _)| operator == SOURCE);
        let splits = splits.map(|(_, items)| items.len()).sum();
        let harness = Harness::new(Arc::clone(world)).subtask(number, stage.parallelism).restored(restored);
        let stage = DrivenStage::open(stage.make.as_ref(), harness.routes(vec![(EDGE, 1)]))?;
        Ok(Self { stage, splits, idle: false })
    }

    fn resume(&mut self) -> Result<()> {
        for emitted in self.stage.resume(64)? {
            if let Emitted::Watermark(_, watermark) = emitted {
                // The final watermark stands for nobody either.
                self.idle = matches!(watermark, WatermarkEvent::Idle | WatermarkEvent::Watermark(MAX_TIME));
            }
        }
        Ok(())
    }
}

// Event time is all the same here: what counts is who is waited for.
fn plan<S: Source>(source: &Arc<S>, parallelism: u16) -> Plan {
    let dealing = Arc::clone(source);
    let reading: Arc<dyn Source<Out = S::Out>> = Arc::clone(source) as _;
    let make = move || {
        let strategy = WatermarkStrategy::monotonous().with_timestamps(|_: &S::Out| 0);
        let marked = Chained::new(
            WATERMARKS.into(),
            AssignWatermarks::new(strategy),
            Box::new(Exchanged::forward(EDGE)),
        );
        Box::new(SourceStage::new(SOURCE.into(), Arc::clone(&reading), Box::new(marked))) as Box<dyn Stage>
    };
    let operator = |name: &str| OperatorSpec { name: name.to_owned(), ..OperatorSpec::default() };
    let stage = StageSpec {
        name: SOURCE.to_owned(),
        parallelism,
        operators: vec![operator(SOURCE), operator(WATERMARKS)],
        make: Arc::new(make),
        enumerator: Some(Arc::new(move || dealing.enumerator())),
    };
    Plan { name: "test".to_owned(), key_groups: 128, stages: vec![stage], edges: Vec::new() }
}
