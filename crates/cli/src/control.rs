//! The commands `list`, `checkpoints`, `savepoint`, `stop` and `cancel`: for a job that runs elsewhere.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use millstream_record::{Error, Result};
use millstream_runtime::SystemClock;
use millstream_stage::time::Clock;
use millstream_stage::trouble::rounded;
use serde_json::Value;

use crate::remote::Remote;
use crate::restore::as_url;
use crate::{history, logs};

/// Which job.
#[derive(Clone, Debug, Args)]
pub struct TargetArgs {
    /// The address of the job's page, as a URL or as host:port
    #[arg(short = 'm', long, default_value = "http://127.0.0.1:8081", value_name = "URL")]
    url: String,
    /// A file with the password of the page
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// What can be asked of a running job.
#[derive(Clone, Debug, Subcommand)]
pub enum Control {
    /// Show the id, name and state of the job that runs at an address, and what it has trouble with
    List(TargetArgs),
    /// Show the job's checkpoints and savepoints: when they were taken, sizes, durations, failures with their
    /// cause
    Checkpoints {
        /// Print a JSON array for programs instead of a table
        #[arg(long)]
        json: bool,
        /// Of which job.
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Take a savepoint of the job, which runs on
    Savepoint {
        /// The directory to write it to, as a URL or a path of this machine; without it,
        /// `state.savepoints.dir` of the job
        dir: Option<String>,
        /// Of which job.
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Stop the job with a savepoint; returns when the job's process has ended, so that it can be started
    /// again at once
    Stop {
        /// The directory to write the savepoint to, as a URL or a path of this machine; without it,
        /// `state.savepoints.dir` of the job
        #[arg(short = 'p', long, value_name = "DIR")]
        savepoint_path: Option<String>,
        /// Let all open windows fire first, and finish the job for good: the next run begins anew
        #[arg(short = 'd', long)]
        drain: bool,
        /// Which job.
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Stop the job at once, without a savepoint
    Cancel(TargetArgs),
}

/// Does it.
///
/// # Errors
/// Returns the errors of the job and of the way to it.
pub(crate) fn control(command: &Control) -> Result<()> {
    match command {
        Control::List(target) => {
            let remote = target.job()?;
            let job = remote.overview()?;
            let text = |key: &str| job[key].as_str().unwrap_or_default().to_owned();
            logs::out(&format!("{} : {} ({})", text("jid"), text("name"), text("state")))?;
            remote.troubles().iter().try_for_each(|trouble| logs::out(&trouble_line(trouble)))
        }
        Control::Checkpoints { json, target } => {
            let checkpoints = target.job()?.checkpoints()?;
            let show = if *json { history::list } else { history::table };
            logs::out(&show(&checkpoints, SystemClock::new().now()))
        }
        Control::Savepoint { dir, target } => {
            let dir = dir.as_deref().map(as_url).transpose()?;
            logs::out(&target.job()?.savepoint(dir.as_deref())?)
        }
        Control::Stop { savepoint_path, drain, target } => {
            let dir = savepoint_path.as_deref().map(as_url).transpose()?;
            let job = target.job()?;
            let savepoint = job.stop(dir.as_deref(), *drain)?;
            let gone = job.wait_until_gone();
            logs::out(&savepoint)?;
            gone
        }
        Control::Cancel(target) => {
            let job = target.job()?;
            job.cancel()?;
            job.wait_until_gone()?;
            logs::out(&format!("cancelled job {}", job.id()))
        }
    }
}

// A job that runs while a store is away looks like one that is well.
fn trouble_line(trouble: &Value) -> String {
    let lasts = Duration::from_millis(trouble["duration"].as_u64().unwrap_or_default());
    let word = |key: &str| trouble[key].as_str().unwrap_or_default();
    format!("  in trouble for {}: {}: {}", rounded(lasts), word("subject"), word("reason"))
}

impl TargetArgs {
    fn job(&self) -> Result<Remote> {
        let read = |file: &PathBuf| {
            let text = std::fs::read_to_string(file);
            text.map_err(|error| {
                Error::configuration(format!("{} cannot be read", file.display())).caused_by(error)
            })
        };
        let password = self.password_file.as_ref().map(read).transpose()?;
        Remote::to(&self.url, password.map(|text| text.trim_end().into()).as_ref())
    }
}
