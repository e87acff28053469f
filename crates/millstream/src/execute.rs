//! Runs a pipeline in this process, without a command line.

use std::path::{Path, PathBuf};

use millstream_api::Environment;
use millstream_record::Result;
use millstream_runtime::{JobHandle, JobReport, Launch, ReadOptions, RuntimeOptions};
use millstream_stage::plan::Plan;
use millstream_stage::sink::Guarantee;
use millstream_state::{ConfiguredBackend, configured_backend};

/// Runs the pipeline that an [`Environment`] describes, as Flink's `execute` and `executeAsync` do.
///
/// Checkpoints, restarts, and the state backend are those that the environment was given; without
/// [`with_checkpointing`](Environment::with_checkpointing) none is taken. Where the pipeline has a sink that
/// tells attempts apart (such as SQLite or Elasticsearch), attempts are numbered in `.millstream/NAME` below
/// the working directory, as those of the command `run` are. Log lines go to the program's own `tracing`
/// subscriber.
///
/// ```
/// use millstream::prelude::*;
///
/// fn main() -> millstream::Result<()> {
///     let env = Environment::new("squares");
///     let squares = Collected::default();
///     env.source("numbers", Collection::of([1_i64, 2, 3])).map("square", |n| n * n).sink_to("squares", squares.clone());
///     let report = env.execute()?;
///     assert_eq!(squares.take(), [1, 4, 9]);
///     assert_eq!(report.operator("squares").map(|sink| sink.records_in), Some(3));
///     Ok(())
/// }
/// ```
pub trait Execute {
    /// Runs the pipeline until its input ends or somebody stops it: SIGTERM and SIGINT (Ctrl-C) stop it in
    /// order, a second signal aborts.
    ///
    /// # Errors
    /// A pipeline that can never work, and what ended the job otherwise than by its input's end or a stop.
    fn execute(&self) -> Result<JobReport>;

    /// Starts the pipeline and leaves it to the handle, which can stop it and take savepoints. Signals are
    /// not handled unless [`stop_on_signals`](millstream_runtime::JobControl::stop_on_signals) is called.
    /// Dropping the handle aborts the job.
    ///
    /// # Errors
    /// A pipeline that can never work, and an operator that cannot be opened: then nothing runs.
    fn execute_async(&self) -> Result<JobHandle>;
}

impl Execute for Environment {
    fn execute(&self) -> Result<JobReport> {
        let job = launch(self)?.begin()?;
        job.stop_on_signals()?;
        job.wait()
    }

    fn execute_async(&self) -> Result<JobHandle> {
        launch(self)?.start()
    }
}

/// Runs the pipeline of an environment to its end: [`Execute::execute`] as a function.
///
/// # Errors
/// Returns the same errors as [`Execute::execute`].
pub fn run(env: &Environment) -> Result<JobReport> {
    env.execute()
}

fn launch(env: &Environment) -> Result<Launch> {
    let (plan, settings) = (env.plan()?, env.settings());
    let options = RuntimeOptions { job_dir: job_dir(&plan), ..RuntimeOptions::default() };
    let launch = Launch::new(plan.clone(), options.with_settings(&settings));
    let ConfiguredBackend { backend, local, natives } = configured_backend(&plan, &settings.backend)?;
    Ok(launch.with_backend(backend).with_native_files(ReadOptions {
        local,
        natives,
        ..ReadOptions::default()
    }))
}

// Without numbers of its own, the program's next run would look to such a sink like an older one.
fn job_dir(plan: &Plan) -> Option<PathBuf> {
    let mut guarantees =
        plan.stages.iter().flat_map(|stage| &stage.operators).filter_map(|operator| operator.sink);
    let tells_attempts_apart =
        |guarantee| matches!(guarantee, Guarantee::IdempotentFenced | Guarantee::Transactional);
    guarantees.any(tells_attempts_apart).then(|| Path::new(".millstream").join(&plan.name))
}
