//! The job as a process of its own.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use millstream::{Error, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::DrillPlan;
use super::config::{Site, wrong};

/// How long a stop may take.
const STOP: Duration = Duration::from_secs(90);

/// How the program is run.
#[derive(Clone, Debug)]
pub(super) struct ProcessSettings {
    program: PathBuf,
    dir: PathBuf,
    set: Vec<String>,
}

impl ProcessSettings {
    pub(super) fn of(plan: &DrillPlan) -> Self {
        Self { program: plan.program.clone(), dir: plan.dir.clone(), set: plan.set.clone() }
    }
}

/// A running process of the job.
#[derive(Debug)]
pub(super) struct Job {
    child: Child,
}

impl Job {
    /// Starts it; what it says goes to the drill's log.
    pub(super) fn start(plan: &ProcessSettings, site: &Site, more: &[String]) -> Result<Self> {
        let log = log(&plan.dir)?;
        let again = log.try_clone().map_err(|error| wrong("the log cannot be written").caused_by(error))?;
        let mut command = Command::new(&plan.program);
        command.arg("run").arg("--config").arg(&site.config).args(more).current_dir(&plan.dir);
        for change in &plan.set {
            command.arg("--set").arg(change);
        }
        command.stdin(Stdio::null()).stdout(log).stderr(again);
        let child = command.spawn();
        let child = child
            .map_err(|error| wrong(format!("{} cannot be run", plan.program.display())).caused_by(error))?;
        Ok(Self { child })
    }

    /// Lets it run for a while.
    ///
    /// # Errors
    /// When it ends by itself: nobody has asked for that.
    pub(super) fn run_for(&mut self, time: Duration) -> Result<()> {
        let mut left = time;
        while !left.is_zero() {
            let slice = left.min(Duration::from_millis(50));
            std::thread::park_timeout(slice);
            left -= slice;
            if let Some(status) = self.status()? {
                return Err(Error::restart(format!("the job ended by itself with {status}: see its log")));
            }
        }
        Ok(())
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.child
            .wait()
            .map(drop)
            .map_err(|error| wrong("the job's end cannot be waited for").caused_by(error))
    }

    /// Ends it in order.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        self.ends_with(0, STOP)
    }

    /// Freezes it.
    pub(super) fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub(super) fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Waits for its end with this exit code.
    pub(super) fn ends_with(&mut self, code: i32, patience: Duration) -> Result<()> {
        const TURN: Duration = Duration::from_millis(20);
        let mut left = patience;
        loop {
            match self.status()? {
                Some(status) if status.code() == Some(code) => return Ok(()),
                Some(status) => {
                    return Err(Error::restart(format!(
                        "it ended with {status} instead of exit code {code}"
                    )));
                }
                None if left.is_zero() => {
                    return Err(Error::restart(format!("it did not end within {patience:?}")));
                }
                None => std::thread::park_timeout(TURN),
            }
            left = left.saturating_sub(TURN);
        }
    }

    fn status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().map_err(|error| wrong("the job cannot be looked at").caused_by(error))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Error::bug("a process has an id"))?;
        kill_process(pid, signal)
            .map_err(|error| Error::restart("the job cannot be signalled").caused_by(error))
    }
}

// A drill that fails leaves no process behind.
impl Drop for Job {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log(dir: &Path) -> Result<File> {
    let log = OpenOptions::new().create(true).append(true).open(dir.join("job.log"));
    log.map_err(|error| wrong(format!("{}/job.log cannot be written", dir.display())).caused_by(error))
}
