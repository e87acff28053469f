//! The command `run`.

use std::time::Duration;

use millstream_api::Environment;
use millstream_record::{Error, Result};
use millstream_runtime::{JobHandle, JobReport, Launch, ReadOptions};
use millstream_stage::plan::Plan;
use millstream_state::{ConfiguredBackend, configured_backend};

use crate::application::Application;
use crate::config::Config;
use crate::{logs, progress};

/// How long a start is waited for before the page is served.
const QUICK_START: Duration = Duration::from_secs(1);

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
    engine.state.over(&env.settings())?;
    Ok(env)
}

/// The plan of a configuration, refused where a run would refuse it without asking anybody.
///
/// # Errors
/// Returns the errors of the configuration and the pipeline.
pub(crate) fn plan<A: Application>(app: &A, config: &Config<A::Options>) -> Result<Plan> {
    let env = environment(app, config)?;
    let settings = config.engine.state.over(&env.settings())?;
    millstream_state::is_built_in(&settings.backend)?;
    app.check(config, false)?;
    let plan = env.plan()?;
    Launch::new(plan.clone(), config.engine.runtime(&settings)).validate()?;
    Ok(plan)
}

/// Refuses what a run would refuse without asking anybody, with its place in the file.
///
/// # Errors
/// Returns the errors of the configuration and the pipeline.
pub fn validate<A: Application>(app: &A, config: &Config<A::Options>) -> Result<()> {
    plan(app, config).map(drop).map_err(|error| placed(app, config, error))
}

/// A job of a configuration that is about to start.
///
/// # Errors
/// Returns the errors of the configuration and the pipeline.
pub fn launch<A: Application>(app: &A, config: &Config<A::Options>) -> Result<Launch> {
    for note in config.engine.state.notes() {
        tracing::warn!("{note}");
    }
    let env = environment(app, config)?;
    let settings = config.engine.state.over(&env.settings())?;
    let plan = env.plan()?;
    let launch = Launch::new(plan.clone(), config.engine.runtime(&settings));
    let ConfiguredBackend { backend, local, natives } = configured_backend(&plan, &settings.backend)?;
    Ok(launch.with_backend(backend).with_native_files(ReadOptions {
        local,
        natives,
        ..ReadOptions::default()
    }))
}

/// Runs a job to its end and prints its report.
///
/// # Errors
/// Returns the errors of the configuration, the pipeline and the job.
pub fn run<A: Application>(app: &A, config: &Config<A::Options>) -> Result<()> {
    run_from(app, config, None, false)
}

/// Adds the part of the file that an error's operator comes from.
pub(crate) fn placed<A: Application>(app: &A, config: &Config<A::Options>, error: Error) -> Error {
    let part = error.operator().and_then(|operator| app.part_of(&config.app, operator));
    match part {
        Some(part) => error.at(config.origin.place(&part)),
        None => error,
    }
}

/// The same from a savepoint, and whether state that the job has no place for may be left behind.
pub(crate) fn run_from<A: Application>(
    app: &A,
    config: &Config<A::Options>,
    from: Option<&str>,
    allow_non_restored: bool,
) -> Result<()> {
    run_unplaced(app, config, from, allow_non_restored).map_err(|error| placed(app, config, error))
}

fn run_unplaced<A: Application>(
    app: &A,
    config: &Config<A::Options>,
    from: Option<&str>,
    allow_non_restored: bool,
) -> Result<()> {
    let launch = launch(app, config)?.allowing_non_restored_state(allow_non_restored);
    let launch = match from {
        Some(url) => launch.from_savepoint(url, allow_non_restored),
        None => launch,
    };
    app.check(config, true)?;
    let mut job = launch.begin()?;
    job.stop_on_signals()?;
    // What is wrong shows soon; a system that is away may be waited for, and then the page is to be seen.
    job.wait_for_start(Some(QUICK_START))?;
    let running = app.started(config, &job);
    let running = running.inspect_err(|_| job.abort("what belongs to the job could not be started"))?;
    job.wait_for_start(None)?;
    let report = watch(job);
    drop(running);
    logs::err(&report?.to_string());
    Ok(())
}

/// Waits for a job's end and shows meanwhile how it gets on, where a person watches.
///
/// # Errors
/// Returns the errors of the job.
pub fn watch(job: JobHandle) -> Result<JobReport> {
    let progress = progress::show(job.control());
    let report = job.wait();
    progress.end();
    report
}
