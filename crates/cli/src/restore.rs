//! The command `restore --dry-run`: what would become of each state.

use std::path::Path;

use clap::Args;
use millstream_record::{Error, Result};
use millstream_runtime::dry_run;

use crate::application::{Application, ConfigArgs, load_for};
use crate::{logs, run};

/// The options of `restore`.
#[derive(Clone, Debug, Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Only look. This is all that `restore` does: to start the job from a savepoint, use `run
    /// --from-savepoint`
    #[arg(long, required = true)]
    dry_run: bool,
    /// The savepoint or checkpoint, as a URL or path; without it, the one that the next run would go on from
    #[arg(long, value_name = "URL")]
    pub(crate) from: Option<String>,
    /// Accept that state is given up which the job has no operator or state for any more
    #[arg(short = 'n', long)]
    pub(crate) allow_non_restored_state: bool,
}

/// Prints what a start would do with a job's state, and refuses what the start would refuse.
///
/// # Errors
/// Returns the errors of the configuration, the pipeline and the storage, and an error for state that does
/// not fit or would be lost.
pub(crate) fn restore<A: Application>(app: &A, args: &RestoreArgs) -> Result<()> {
    let config = load_for(app, &args.config)?;
    let env = run::environment(app, &config)?;
    let settings = config.engine.state.over(&env.settings())?;
    let from = args.from.as_deref().map(as_url).transpose()?;
    let plan = env.plan().map_err(|error| run::placed(app, &config, error))?;
    let seen = dry_run(&plan, &config.engine.runtime(&settings), from.as_deref())?;
    logs::out(&format!("from {}\n\n{}", seen.url, seen.report))?;
    seen.report.refusal(args.allow_non_restored_state)?;
    logs::out("\nThe job can go on from it.\n")
}

/// A URL as it is, a path of this machine as a URL.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for a path that no URL can name.
pub(crate) fn as_url(place: &str) -> Result<String> {
    // Flink shows savepoints on this machine as `file:/…`.
    if place.contains("://") || place.starts_with("file:/") {
        return Ok(place.to_owned());
    }
    let path = std::path::absolute(Path::new(place)).ok();
    let url = path.and_then(|path| Some(format!("file://{}", path.to_str()?)));
    url.ok_or_else(|| Error::configuration(format!("{place:?} is neither a URL nor a path")))
}

#[cfg(test)]
mod tests {
    use super::as_url;

    #[test]
    fn a_path_is_a_url_of_this_machine() {
        assert_eq!(as_url("s3://bucket/savepoint-1").unwrap(), "s3://bucket/savepoint-1");
        assert_eq!(as_url("file:/var/savepoint-1").unwrap(), "file:/var/savepoint-1");
        assert_eq!(as_url("/var/savepoint-1").unwrap(), "file:///var/savepoint-1");
        assert!(as_url("savepoint-1").unwrap().ends_with("/savepoint-1"));
    }
}
