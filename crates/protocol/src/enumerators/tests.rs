use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millstream_stage::plan::OperatorSpec;
use millstream_stage::source::Split;
use millstream_stage::time::Time;

use super::*;

/// Each look is a nanosecond after the one before.
#[derive(Default)]
struct Looks(AtomicU64);

impl Clock for Looks {
    fn now(&self) -> Time {
        0
    }
    fn nanos(&self) -> Nanos {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// Assigns its splits to the first readers, one each, and says nothing to the others; finds one more at each
/// tick.
struct Few {
    splits: u16,
    on_demand: bool,
}

impl Enumerator for Few {
    fn on(&mut self, _: &EnumeratorContext, event: EnumeratorEvent) -> Result<Vec<Assignment>> {
        let split = |subtask: u16| Split { id: subtask.to_string().into(), state: Vec::new() };
        let assign = |subtask| Assignment { subtask, splits: vec![split(subtask)], last: false };
        match event {
            EnumeratorEvent::Start { restored: None } => Ok((0..self.splits).map(assign).collect()),
            EnumeratorEvent::Tick => Ok(vec![assign(self.splits)]),
            _ => Ok(Vec::new()),
        }
    }
    fn tick_every(&self) -> Option<Duration> {
        Some(Duration::ZERO)
    }
    fn assigns_on_demand(&self) -> bool {
        self.on_demand
    }
    fn snapshot(&self) -> Vec<u8> {
        vec![1]
    }
}

fn plan(parallelism: u16, splits: u16, on_demand: bool) -> Plan {
    let stage = StageSpec {
        name: "clicks".into(),
        parallelism,
        operators: vec![OperatorSpec { name: "clicks".into(), ..OperatorSpec::default() }],
        make: Arc::new(|| unreachable!("no stage is made")),
        enumerator: Some(Arc::new(move || Box::new(Few { splits, on_demand }))),
    };
    Plan { name: "job".into(), key_groups: 8, stages: vec![stage], edges: Vec::new() }
}

fn start(plan: &Plan, from: Option<&JobSnapshot>) -> (Enumerators, Vec<(u16, usize)>) {
    let clock: Arc<dyn Clock> = Arc::new(Looks::default());
    let mut enumerators = Enumerators::make(plan, &clock, &Arc::default(), unguarded).unwrap();
    let assignments = enumerators.start(plan, from).unwrap();
    (enumerators, counts(&assignments))
}

fn counts(assignments: &Assignments) -> Vec<(u16, usize)> {
    assignments.iter().map(|(place, assignment)| (place.subtask, assignment.splits.len())).collect()
}

#[test]
fn a_reader_hears_of_an_empty_assignment_too() {
    let (mut enumerators, heard) = start(&plan(4, 2, false), None);
    assert_eq!(heard, [(0, 1), (1, 1), (2, 0), (3, 0)]);
    assert_eq!(counts(&enumerators.tick().unwrap()), [(2, 1)], "who has heard once is not told again");
}

#[test]
fn after_a_restore_at_another_parallelism_every_reader_hears() {
    let (before, after) = (plan(2, 2, false), plan(4, 2, false));
    let enumerators = vec![Some(vec![1])];
    let snapshot = JobSnapshot::assemble(&before, 1, 1, std::iter::empty(), enumerators).unwrap();
    let (_, heard) = start(&after, Some(&snapshot));
    assert_eq!(heard, [(0, 0), (1, 0), (2, 0), (3, 0)], "the readers have their splits from the snapshot");
}

#[test]
fn an_enumerator_that_assigns_on_demand_is_left_alone() {
    let (_, heard) = start(&plan(3, 1, true), None);
    assert_eq!(heard, [(0, 1)]);
}

#[test]
fn a_subtask_that_does_not_exist_is_a_bug_of_the_enumerator() {
    let clock: Arc<dyn Clock> = Arc::new(Looks::default());
    let plan = plan(1, 2, false);
    let mut enumerators = Enumerators::make(&plan, &clock, &Arc::default(), unguarded).unwrap();
    let error = enumerators.start(&plan, None).unwrap_err();
    assert!(error.to_string().contains("clicks: its enumerator assigns splits to subtask 1"), "{error}");
}
