//! The commands `list`, `checkpoints`, `savepoint`, `stop` and `cancel`: for a job that runs elsewhere.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use millstream_record::{Error, Result};
use serde_json::Value;

use crate::logs;
use crate::remote::Remote;
use crate::restore::as_url;

/// Which job.
#[derive(Clone, Debug, Args)]
pub struct TargetArgs {
    /// Where the job's page is, as a URL or as host:port
    #[arg(short = 'm', long, default_value = "http://127.0.0.1:8081", value_name = "URL")]
    url: String,
    /// A file with the password of the page
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// What can be asked of a running job.
#[derive(Clone, Debug, Subcommand)]
pub enum Control {
    /// Show the job that runs at an address
    List(TargetArgs),
    /// Show its checkpoints: sizes, durations, failures with their cause
    Checkpoints(TargetArgs),
    /// Take a savepoint; the job runs on
    Savepoint {
        /// Where to, a URL or a path of this machine; `state.savepoints.dir` of the job without it
        dir: Option<String>,
        /// Of which job.
        #[command(flatten)]
        target: TargetArgs,
    },
    /// End the job with a savepoint; answers when its process is gone, so that it can be started again at once
    Stop {
        /// Where to, a URL or a path of this machine; `state.savepoints.dir` of the job without it
        #[arg(short = 'p', long, value_name = "DIR")]
        savepoint_path: Option<String>,
        /// Let all open windows fire before, and finish the job: the same command then begins anew
        #[arg(short = 'd', long)]
        drain: bool,
        /// Which job.
        #[command(flatten)]
        target: TargetArgs,
    },
    /// End the job at once, without a savepoint
    Cancel(TargetArgs),
}

/// Does it.
///
/// # Errors
/// Those of the job and of the way to it.
pub(crate) fn control(command: &Control) -> Result<()> {
    match command {
        Control::List(target) => {
            let job = target.job()?.overview()?;
            let text = |key: &str| job[key].as_str().unwrap_or_default().to_owned();
            logs::out(&format!("{} : {} ({})", text("jid"), text("name"), text("state")))
        }
        Control::Checkpoints(target) => logs::out(&history(&target.job()?.checkpoints()?)),
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

fn history(checkpoints: &Value) -> String {
    let counts = &checkpoints["counts"];
    let mut text = format!(
        "completed {}, failed {}, in progress {}, restored {}\n",
        counts["completed"], counts["failed"], counts["in_progress"], counts["restored"]
    );
    let all = checkpoints["history"].as_array();
    for checkpoint in all.into_iter().flatten() {
        let field = |key: &str| match &checkpoint[key] {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let note = if checkpoint["failure_message"].is_null() {
            field("external_path")
        } else {
            field("failure_message")
        };
        text += &format!(
            "{:>6}  {:<11}  {:<10}  {:>8} ms  {:>12} bytes, {:>12} written  {note}\n",
            field("id"),
            field("status"),
            field("checkpoint_type"),
            field("end_to_end_duration"),
            field("state_size"),
            field("checkpointed_size"),
        );
    }
    text
}
