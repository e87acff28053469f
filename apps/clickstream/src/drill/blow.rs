//! What can happen to a job in a process of its own.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use millstream::Result;
use millstream::cli::remote::Remote;

use super::DrillPlan;
use super::config::Site;
use super::process::{Job, ProcessSettings};
use super::subject::Subject;

/// How long an attempt that was overtaken may take to notice.
const FENCED: Duration = Duration::from_secs(90);
/// The exit code of a job that a newer attempt has overtaken.
const FENCED_CODE: i32 = 3;

/// One blow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Blow {
    /// SIGKILL at any moment, then the same command again
    Kill,
    /// SIGTERM, then the same command again
    Stop,
    /// SIGSTOP, a second process takes over, SIGCONT: the first one must notice and harm nothing
    Pause,
    /// Stop with a savepoint, then from that savepoint at another parallelism
    Rescale,
}

/// The job as a process of its own.
pub(super) struct OwnProcess {
    job: Job,
    settings: ProcessSettings,
    site: Site,
    kinds: Vec<Blow>,
}

impl OwnProcess {
    pub(super) fn new(plan: &DrillPlan, site: &Site) -> Result<Self> {
        let settings = ProcessSettings::of(plan);
        let (site, kinds) = (site.clone(), plan.kinds.clone());
        Ok(Self { job: Job::start(&settings, &site, &[])?, settings, site, kinds })
    }
}

impl Subject for OwnProcess {
    fn run_for(&mut self, time: Duration) -> Result<()> {
        self.job.run_for(time)
    }

    fn deal(&mut self, number: u32, parallelism: u16) -> (String, Result<String>) {
        let kind = self.kinds[number as usize % self.kinds.len()];
        (kind.to_string(), kind.deal(&mut self.job, &self.settings, &self.site, parallelism))
    }

    fn start_anew(&mut self) -> Result<()> {
        self.job.kill()?;
        self.job = Job::start(&self.settings, &self.site, &[])?;
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        self.job.stop()
    }
}

impl Blow {
    // Afterwards the job runs again.
    fn deal(self, job: &mut Job, plan: &ProcessSettings, site: &Site, parallelism: u16) -> Result<String> {
        match self {
            Self::Kill => {
                job.kill()?;
                *job = Job::start(plan, site, &[])?;
                Ok("killed".to_owned())
            }
            Self::Stop => {
                // Before that a signal finds nobody who would stop in order.
                reach(job, site)?;
                job.stop()?;
                *job = Job::start(plan, site, &[])?;
                Ok("stopped in order".to_owned())
            }
            Self::Pause => pause(job, plan, site),
            Self::Rescale => rescale(job, plan, site, parallelism),
        }
    }
}

fn pause(job: &mut Job, plan: &ProcessSettings, site: &Site) -> Result<String> {
    job.freeze()?;
    // The page's port is taken by the frozen one.
    let mut second = Job::start(plan, site, &["--set".to_owned(), "rest.port=0".to_owned()])?;
    second.run_for(Duration::from_secs(4))?;
    job.thaw()?;
    let noticed = job.ends_with(FENCED_CODE, FENCED);
    second.kill()?;
    *job = Job::start(plan, site, &[])?;
    noticed.map(|()| "overtaken while it was frozen, and stopped by itself when it went on".to_owned())
}

fn rescale(job: &mut Job, plan: &ProcessSettings, site: &Site, parallelism: u16) -> Result<String> {
    let savepoint = reach(job, site)?.stop(None, false)?;
    job.ends_with(0, Duration::from_secs(90))?;
    let from = ["--from-savepoint", &savepoint, "--set"].map(str::to_owned);
    let more: Vec<_> = from.into_iter().chain([format!("parallelism.default={parallelism}")]).collect();
    *job = Job::start(plan, site, &more)?;
    Ok(format!("stopped with a savepoint, goes on from it at parallelism {parallelism}"))
}

// The page is served before the job runs: until then a signal finds nobody who would stop in order.
fn reach(job: &mut Job, site: &Site) -> Result<Remote> {
    let url = format!("http://127.0.0.1:{}", site.port);
    for _ in 0..360 {
        if let Some(remote) = Remote::to(&url, None).ok().filter(runs) {
            return Ok(remote);
        }
        job.run_for(Duration::from_millis(500))?;
    }
    Remote::to(&url, None)
}

fn runs(remote: &Remote) -> bool {
    remote.overview().is_ok_and(|job| job["state"] == "RUNNING")
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Rescale => "rescale",
        })
    }
}
