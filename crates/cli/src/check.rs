//! The command `check`: reads the configuration, compiles the pipeline, and tries every system, without
//! starting the job.

use clap::Args;
use millstream_record::{Error, Result};
use millstream_runtime::check_storages;
use millstream_stage::plan::Plan;

use crate::application::{Application, ConfigArgs, load_for};
use crate::config::Config;
use crate::{logs, run};

/// The options of `check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Tries everything, and prints a line for each part.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when anything is wrong.
pub(crate) fn check<A: Application>(app: &A, args: &CheckArgs) -> Result<()> {
    let config = load_for(app, &args.config)?;
    let plan = run::plan(app, &config).map_err(|error| run::placed(app, &config, error))?;
    let mut report = Report::default();
    report.line("configuration", &Ok(args.config.config.display().to_string()))?;
    report.line("pipeline", &Ok(size_of(&plan)))?;
    for system in app.systems(&config) {
        let outcome = (system.try_it)();
        report.line(&system.part, &outcome)?;
    }
    check_checkpoints(app, &config, &mut report)?;
    report.verdict()
}

fn check_checkpoints<A: Application>(
    app: &A,
    config: &Config<A::Options>,
    report: &mut Report,
) -> Result<()> {
    let env = run::environment(app, config)?;
    let settings = config.engine.state.over(&env.settings())?;
    for checked in check_storages(&config.engine.runtime(&settings)) {
        let place = checked.url.unwrap_or_else(|| "in memory: a crash loses the state".to_owned());
        report.line(checked.purpose, &checked.outcome.map(|()| place))?;
    }
    Ok(())
}

fn size_of(plan: &Plan) -> String {
    let operators: usize = plan.stages.iter().map(|stage| stage.operators.len()).sum();
    format!("{operators} operators in {} stages", plan.stages.len())
}

#[derive(Default)]
struct Report {
    wrong: Vec<String>,
}

impl Report {
    fn line(&mut self, part: &str, outcome: &Result<String>) -> Result<()> {
        match outcome {
            Ok(found) => logs::out(&format!("ok      {part:<14} {found}")),
            Err(error) => {
                self.wrong.push(part.to_owned());
                logs::out(&format!("FAILED  {part:<14} {}", error.chain()))
            }
        }
    }

    fn verdict(self) -> Result<()> {
        if self.wrong.is_empty() {
            return Ok(());
        }
        Err(Error::configuration(format!(
            "the job cannot start as it is configured ({}): the lines above say why",
            self.wrong.join(", ")
        )))
    }
}
