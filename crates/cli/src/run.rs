//! The command `run`.

use millstream_api::Environment;
use millstream_core::Result;
use millstream_runtime::{JobHandle, JobReport};

use crate::app::Application;
use crate::config::Config;
use crate::{logs, progress};

/// The pipeline of a configuration.
///
/// # Errors
/// Options that cannot work.
pub fn environment<A: Application>(app: &A, config: &Config<A::Options>) -> Result<Environment> {
    let engine = &config.engine;
    let env = Environment::new(&engine.name)
        .with_parallelism(engine.parallelism)
        .with_key_groups(engine.key_groups);
    app.build(&config.app, &env)?;
    Ok(env)
}

/// Runs a job to its end and prints its report.
///
/// # Errors
/// Those of the configuration, the pipeline and the job.
pub fn run<A: Application>(app: &A, config: &Config<A::Options>) -> Result<()> {
    let plan = environment(app, config)?.plan()?;
    plan.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    let job = millstream_runtime::start(plan, config.engine.runtime())?;
    job.stop_on_signals()?;
    let running = app.started(config, &job);
    let running = running.inspect_err(|_| job.abort("what belongs to the job could not be started"))?;
    let report = watch(job);
    drop(running);
    logs::err(&report?.to_string());
    Ok(())
}

/// Waits for a job's end and shows meanwhile how it gets on, where a person watches.
///
/// # Errors
/// Those of the job.
pub fn watch(job: JobHandle) -> Result<JobReport> {
    let progress = progress::show(job.control());
    let report = job.wait();
    progress.end();
    report
}
