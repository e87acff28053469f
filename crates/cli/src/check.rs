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

// One line for each part, also where a client gives its reasons in several.
fn line(part: &str, outcome: &Result<String>) -> String {
    let (word, text) = match outcome {
        Ok(found) => ("ok", found.clone()),
        Err(error) => ("FAILED", error.chain()),
    };
    let words: Vec<_> = text.split(['\n', '\r']).map(str::trim).filter(|words| !words.is_empty()).collect();
    format!("{word:<7} {part:<14} {}", words.join(" "))
}

#[derive(Default)]
struct Report {
    wrong: Vec<String>,
}

impl Report {
    fn line(&mut self, part: &str, outcome: &Result<String>) -> Result<()> {
        if outcome.is_err() {
            self.wrong.push(part.to_owned());
        }
        logs::out(&line(part, outcome))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_one_line() {
        assert_eq!(line("source", &Ok("Kafka at a:1".to_owned())), "ok      source         Kafka at a:1");
        let error = Error::retry("Redis does not answer: Parse error\nUnexpected `84`\n; check `url`");
        assert_eq!(
            line("sinks.0", &Err(error)),
            "FAILED  sinks.0        Redis does not answer: Parse error Unexpected `84` ; check `url`"
        );
    }
}
