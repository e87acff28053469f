//! What becomes of each state of a snapshot when a job starts from it: found by comparing names and schemas,
//! before anything runs.
//!
//! Keyed state is judged table by table, that of a keyed process state by state. State of a subtask (a
//! source's splits, a sink's unacknowledged writes) is in a form of its operator's own, which it reads in
//! every later version: it is listed as the same.

mod report;
mod tables;

use std::collections::BTreeSet;

pub use report::{OperatorReport, RestoreReport, StateFate, StateReport};

use millstream_record::Result;
use millstream_stage::plan::{OperatorSpec, Plan};
use millstream_stage::snapshot::TableSchema;
use millstream_stage::source::SPLITS;

use super::job_snapshot::{JobSnapshot, StagePart};

/// Compares a plan with a snapshot.
///
/// # Errors
/// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) when a stored schema is none.
pub fn check(plan: &Plan, snapshot: &JobSnapshot) -> Result<RestoreReport> {
    let mut operators = Vec::new();
    for operator in plan.stages.iter().flat_map(|stage| &stage.operators) {
        let states = known_operator(operator, snapshot)?;
        operators.push(OperatorReport { name: operator.name.clone(), kind: operator.kind.clone(), states });
    }
    let known: BTreeSet<_> = operators.iter().map(|operator| operator.name.clone()).collect();
    for part in &snapshot.stages {
        let lost = part.state.operators().into_iter().filter(|name| !known.contains(*name));
        for name in lost {
            operators.push(lost_operator(name, part)?);
        }
    }
    operators.retain(|operator| !operator.states.is_empty());
    let key_groups =
        (snapshot.key_groups != plan.key_groups).then_some((snapshot.key_groups, plan.key_groups));
    Ok(RestoreReport { operators, key_groups })
}

fn known_operator(operator: &OperatorSpec, snapshot: &JobSnapshot) -> Result<Vec<StateReport>> {
    let ran = snapshot.stages.iter().any(|part| part.operators.contains(&operator.name));
    if !ran && operator.kind.contains("source") {
        return Ok(vec![StateReport::new(SPLITS, StateFate::New)]);
    }
    let written: Vec<_> =
        snapshot.stages.iter().flat_map(|part| written_tables(&operator.name, part)).collect();
    let mut states = tables::compare(&written, &operator.tables)?;
    let lists = snapshot.stages.iter().flat_map(|part| lists(&operator.name, part));
    states.extend(lists.map(|name| StateReport::new(&name, StateFate::Same)));
    Ok(states)
}

fn lost_operator(name: &str, part: &StagePart) -> Result<OperatorReport> {
    let mut states = Vec::new();
    for table in written_tables(name, part) {
        states.extend(
            tables::names(&table)?.into_iter().map(|name| StateReport::new(&name, StateFate::Dropped)),
        );
    }
    states.extend(lists(name, part).into_iter().map(|name| StateReport::new(&name, StateFate::Dropped)));
    Ok(OperatorReport { name: name.to_owned(), kind: "none in the job".to_owned(), states })
}

/// The tables of an operator, each once for every schema that any subtask wrote it with.
fn written_tables(operator: &str, part: &StagePart) -> Vec<TableSchema> {
    let mut tables = Vec::new();
    for table in part.state.keyed.get(operator).into_iter().flatten().flat_map(|part| part.tables()) {
        if !tables.contains(table) {
            tables.push(table.clone());
        }
    }
    tables
}

/// The names of what an operator has besides: its lists, and commits.
fn lists(operator: &str, part: &StagePart) -> BTreeSet<String> {
    let lists = part.state.lists.iter().filter(|list| list.operator == operator && !list.items.is_empty());
    let commits = part.state.commits.iter().filter(|commit| commit.operator == operator);
    lists.map(|list| list.state.clone()).chain(commits.map(|_| "commits".to_owned())).collect()
}
