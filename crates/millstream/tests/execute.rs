//! Pipelines that run without a command line, with the facade's default features.

mod support;

use millstream::End;
use millstream::checkpoint::{BackendKind, BackendOptions};
use millstream::prelude::*;
use millstream::runtime::JobStatus;
use support::paused::Paused;

fn numbers() -> Collection<i64> {
    Collection::with_times((1..=100_i64).map(|n| (n, n)))
}

#[test]
fn execute_runs_a_pipeline_to_its_end() {
    let env = Environment::new("doubles").with_parallelism(2);
    let results = Collected::default();
    env.source("numbers", numbers()).map("double", |n| 2 * n).sink_to("results", results.clone());
    let report = millstream::run(&env).unwrap();
    assert_eq!((report.job.as_str(), report.end), ("doubles", End::Finished));
    assert_eq!(results.take().iter().sum::<i64>(), 2 * 5050);
}

#[test]
fn a_started_pipeline_is_left_to_its_handle() {
    let env = Environment::new("handled");
    let (source, reached) = Paused::after(50, numbers());
    env.source("numbers", source).sink_to("results", Collected::default());
    let job = env.execute_async().unwrap();
    reached.wait(1);
    job.cancel();
    assert_eq!(job.wait().unwrap().status, JobStatus::Canceled);
}

#[test]
fn what_cannot_work_is_an_error_of_main_that_reads_as_prose() {
    let env = Environment::new("wrong");
    let numbers = env.source("numbers", numbers());
    numbers.map("twice", |n| n).map("twice", |n| n).sink_to("results", Collected::default());
    let printed = format!("Error: {:?}", env.execute().unwrap_err());
    assert!(printed.contains("twice") && !printed.contains("kind:"), "{printed}");
}

#[test]
fn the_backend_of_the_environment_is_used_or_refused_where_it_is_not_built_in() {
    let backend = BackendOptions { kind: BackendKind::RocksDb, ..BackendOptions::default() };
    let env = Environment::new("cold").with_state_backend(backend);
    let sums = Collected::default();
    env.source("numbers", numbers())
        .key_by(|n| n % 2)
        .window(Tumbling::of(Duration::from_secs(60)))
        .aggregate("sum", Count, |_, _, count| count)
        .sink_to("sums", sums.clone());
    match env.execute() {
        Ok(_) if cfg!(feature = "rocksdb") => assert_eq!(sums.take(), [50, 50]),
        Ok(_) => panic!("this program was built without RocksDB"),
        Err(error) => assert!(error.chain().contains("feature `rocksdb`"), "{}", error.chain()),
    }
}
