#![allow(clippy::unwrap_used, reason = "a test's own functions")]
//! What a plan knows of keyed state before the job starts.

use std::time::Duration;

use millstream_api::{ConnectedStreams, DataStream, Environment, KeyedStream, WindowedStream};
use millstream_operators::collection::{Collected, Collection};
use millstream_operators::operators::KeyedProcessFunction;
use millstream_operators::state::{KeyedContext, ValueState};
use millstream_operators::window::{Count, Session, Tumbling};
use millstream_record::Result;
use millstream_stage::plan::{Kept, OperatorSpec};

struct Sum {
    _sum: ValueState<i64>,
}

impl KeyedProcessFunction for Sum {
    type Key = i64;
    type In = i64;
    type Out = i64;

    fn process(&mut self, _: i64, _: &mut KeyedContext<'_, i64, i64>) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_plan_names_tables_and_states_and_warns_of_what_grows_for_ever() {
    let env = Environment::new("plan");
    let second = Duration::from_secs(1);
    let numbers = env.source("numbers", Collection::of([1_i64])).key_by(|n| *n);
    numbers
        .process("sum", |states| Ok(Sum { _sum: states.value("sum")? }))
        .sink_to("sums", Collected::default());
    let counts = numbers.window(Tumbling::of(second)).aggregate("count", Count, |_, _, count| count);
    counts.sink_to("counts", Collected::default());
    let visits = numbers.window(Session::with_gap(second)).aggregate("visit", Count, |_, _, count| count);
    visits.sink_to("visits", Collected::default());
    let plan = env.plan().unwrap();
    let operator = |name: &str| -> &OperatorSpec {
        plan.stages.iter().flat_map(|stage| &stage.operators).find(|operator| operator.name == name).unwrap()
    };
    let tables =
        |name: &str| operator(name).tables.iter().map(|table| table.name.as_str()).collect::<Vec<_>>();
    assert_eq!(tables("sum"), ["watermark", "keys"]);
    assert!(operator("sum").tables[1].schema.contains(r#"{"name":"sum","type":["null","long"]"#));
    assert_eq!(tables("count"), ["watermark", "panes", "windows"]);
    assert_eq!(tables("visit"), ["watermark", "sessions"]);
    assert_eq!(tables("sums"), [""; 0]);
    assert_eq!(operator("count").states[0].kept, Kept::Window);
    assert_eq!(operator("sum").states[0].kept, Kept::UntilCleared);
    let warnings = plan.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("state \"sum\" of operator \"sum\" has neither"), "{warnings:?}");
}

#[test]
fn a_function_that_cannot_declare_its_states_is_refused_while_the_pipeline_is_described() {
    let env = Environment::new("plan");
    let numbers = env.source("numbers", Collection::of([1_i64])).key_by(|n| *n);
    let sums = numbers.process("sum", |states| {
        let _: ValueState<i64> = states.value("sum")?;
        Ok(Sum { _sum: states.value("sum")? })
    });
    sums.sink_to("sums", Collected::default());
    let error = env.plan().map(drop).unwrap_err().to_string();
    assert!(error.contains("two states of one operator are called \"sum\": rename one"), "{error}");
}

/// A keyed stream is passed on without the type of the function that reads its key.
fn counted(numbers: &KeyedStream<i64, i64>) -> DataStream<u64> {
    let windows: WindowedStream<i64, i64, Tumbling, _> = numbers.window(Tumbling::of(Duration::from_secs(1)));
    windows.aggregate("count", Count, |_, _, count| count)
}

#[test]
fn keyed_streams_have_names_of_their_own() {
    let env = Environment::new("plan");
    let numbers = env.source("numbers", Collection::of([1_i64]));
    let modulus = 3;
    let keyed: Vec<KeyedStream<i64, i64>> =
        vec![numbers.key_by(|n| *n), numbers.key_by(move |n| n % modulus)];
    counted(&keyed[1]).sink_to("counts", Collected::default());
    let connected: ConnectedStreams<i64, i64, i64> = keyed[0].connect(&keyed[1]);
    drop(connected);
    assert!(env.plan().is_ok());
}
