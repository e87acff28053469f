//! What a user reads before a job starts from a snapshot that an older version of it wrote.
#![allow(clippy::panic, clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::sync::Arc;

use millstream_protocol::job_snapshot::{JobSnapshot, StagePart};
use millstream_protocol::restore_check::{RestoreReport, StateFate, check};
use millstream_record::record::to_bytes;
use millstream_stage::plan::{OperatorSpec, Plan, StageSpec};
use millstream_stage::snapshot::{MemoryPart, OperatorList, Redistribute, StageSnapshot, TableSchema};

/// The entry of a keyed process: a key, and a field for each state.
fn keys(fields: &[(&str, &str, &str)]) -> TableSchema {
    let mut all = vec![r#"{"name":"key","type":"string"}"#.to_owned()];
    all.push(r#"{"name":"event_timers","type":{"type":"array","items":"long"},"default":[]}"#.to_owned());
    let field = |(name, of, default): &(&str, &str, &str)| {
        format!(r#"{{"name":"{name}","type":{of},"default":{default}}}"#)
    };
    all.extend(fields.iter().map(field));
    let schema = format!(r#"{{"type":"record","name":"KeyedState","fields":[{}]}}"#, all.join(","));
    TableSchema { name: "keys".into(), schema }
}

fn operator(name: &str, kind: &str, tables: Vec<TableSchema>) -> OperatorSpec {
    OperatorSpec { name: name.into(), kind: kind.into(), tables, ..OperatorSpec::default() }
}

fn plan(operators: Vec<OperatorSpec>) -> Plan {
    let make = Arc::new(|| panic!("nothing is started"));
    let stage = StageSpec { name: "stage".into(), parallelism: 1, operators, make, enumerator: None };
    Plan { name: "job".into(), key_groups: 128, stages: vec![stage], edges: Vec::new() }
}

/// A snapshot in which each of these operators has one entry, of key group 3, in each of its tables.
fn snapshot(operators: &[(&str, Vec<TableSchema>)]) -> JobSnapshot {
    let mut state = StageSnapshot::default();
    for (name, tables) in operators {
        let mut part = MemoryPart::new(tables.clone());
        (0..tables.len()).for_each(|table| part.push(3, table as u16, Vec::new()));
        state.keyed.insert((*name).to_owned(), vec![Arc::new(part)]);
    }
    let names = operators.iter().map(|(name, _)| (*name).to_owned()).collect();
    let stage = StagePart { name: "stage".into(), operators: names, state, enumerator: None };
    JobSnapshot { job: "job".into(), checkpoint: 1, epoch: 1, key_groups: 128, stages: vec![stage] }
}

fn fate(report: &RestoreReport, operator: &str, state: &str) -> StateFate {
    let operator = report.operators.iter().find(|report| report.name == operator).unwrap();
    operator.states.iter().find(|report| report.name == state).unwrap().fate.clone()
}

fn refusal(report: &RestoreReport, allow: bool) -> String {
    report.refusal(allow).map_or_else(|error| error.to_string(), |()| String::new())
}

#[test]
fn a_keyed_process_is_judged_state_by_state() {
    let written = keys(&[
        ("total", r#"["null","int"]"#, "null"),
        ("seen", r#"{"type":"array","items":"string"}"#, "[]"),
        ("old", r#"["null","long"]"#, "null"),
    ]);
    let read = keys(&[
        ("fresh", r#"["null","long"]"#, "null"),
        ("total", r#"["null","long"]"#, "null"),
        ("seen", r#"{"type":"array","items":"long"}"#, "[]"),
    ]);
    let plan =
        plan(vec![operator("count", "keyed process", vec![TableSchema::of::<i64>("watermark"), read])]);
    let snapshot = snapshot(&[("count", vec![TableSchema::of::<i64>("watermark"), written])]);
    let report = check(&plan, &snapshot).unwrap();
    assert_eq!(fate(&report, "count", "watermark"), StateFate::Same);
    assert_eq!(fate(&report, "count", "key"), StateFate::Same);
    assert_eq!(fate(&report, "count", "fresh"), StateFate::New);
    assert_eq!(fate(&report, "count", "old"), StateFate::Dropped);
    let StateFate::Migrates(notes) = fate(&report, "count", "total") else { panic!("{report}") };
    assert_eq!(notes[0].to_string(), "`total`: int widened to long");
    let StateFate::Incompatible(notes) = fate(&report, "count", "seen") else { panic!("{report}") };
    assert!(notes[0].to_string().starts_with("`seen[]`: string cannot become long"), "{report}");

    assert!(
        refusal(&report, true).contains("operator `count`, state `seen`: `seen[]`: string cannot become")
    );
    assert!(!refusal(&report, true).contains("`old`"));
    assert!(refusal(&report, false).contains("state of an operator named `count` (`old`), the job has none"));
    assert!(snapshot.validate(&plan).is_err(), "what the check refuses does not start");
}

#[test]
fn the_report_is_a_table_for_people() {
    let written = keys(&[("total", r#"["null","int"]"#, "null"), ("old", r#"["null","long"]"#, "null")]);
    let read = keys(&[("total", r#"["null","long"]"#, "null"), ("fresh", r#"["null","long"]"#, "null")]);
    let plan = plan(vec![operator("count", "keyed process", vec![read]), operator("map", "map", vec![])]);
    let report = check(&plan, &snapshot(&[("count", vec![written])])).unwrap().to_string();
    let expected = "\
operator               state  on restore
count (keyed process)  key    same
                       total  migrates: `total`: int widened to long
                       fresh  new: begins empty
                       old    DROPPED: the job has no such state
";
    assert_eq!(report, expected);
}

#[test]
fn state_of_an_operator_that_is_gone_is_dropped_only_when_that_is_allowed() {
    let mut snapshot = snapshot(&[("gone", vec![keys(&[("total", r#"["null","int"]"#, "null")])])]);
    snapshot.stages[0].operators.push("clicks".into());
    snapshot.stages[0].state.lists.push(OperatorList {
        operator: "clicks".into(),
        state: "splits".into(),
        items: vec![to_bytes(&1_i64)],
        redistribute: Redistribute::Split,
    });
    let plan =
        plan(vec![operator("clicks", "kafka source", vec![]), operator("orders", "kafka source", vec![])]);
    let report = check(&plan, &snapshot).unwrap();
    assert_eq!(fate(&report, "clicks", "splits"), StateFate::Same);
    assert_eq!(fate(&report, "orders", "splits"), StateFate::New);
    assert_eq!(fate(&report, "gone", "total"), StateFate::Dropped);
    assert!(refusal(&report, false).contains("--allow-non-restored-state"));
    assert_eq!(refusal(&report, true), "");
}

#[test]
fn a_time_to_live_may_come_and_go() {
    let plain = [("last", r#"["null","long"]"#, "null")];
    let aging = [plain[0], ("last_updated", r#""long""#, "-9223372036854775808")];
    for (written, read) in [(&plain[..], &aging[..]), (&aging, &plain)] {
        let plan = plan(vec![operator("count", "process", vec![keys(read)])]);
        let report = check(&plan, &snapshot(&[("count", vec![keys(written)])])).unwrap();
        assert_eq!(fate(&report, "count", "last"), StateFate::Same);
        report.refusal(false).unwrap();
        assert!(!report.to_string().contains("last_updated"), "{report}");
    }
}

#[test]
fn an_operator_of_another_kind_under_an_old_name_is_refused() {
    let plan = plan(vec![operator("count", "window", vec![TableSchema::of::<i64>("panes")])]);
    let report = check(&plan, &snapshot(&[("count", vec![keys(&[])])])).unwrap();
    assert_eq!(fate(&report, "count", "panes"), StateFate::New);
    assert_eq!(fate(&report, "count", "keys"), StateFate::Foreign);
    assert!(refusal(&report, true).contains("give the new operator a name of its own"));
}

#[test]
fn another_number_of_key_groups_is_refused() {
    let mut plan = plan(vec![operator("count", "keyed process", vec![keys(&[])])]);
    plan.key_groups = 64;
    let report = check(&plan, &snapshot(&[("count", vec![keys(&[])])])).unwrap();
    assert!(refusal(&report, true).contains("the snapshot has 128 key groups and the job 64"));
    assert!(report.to_string().ends_with("set the job's to the snapshot's\n"));
}
