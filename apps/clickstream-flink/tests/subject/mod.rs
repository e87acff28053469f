//! The job in a Flink cluster, and what can happen to it there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clickstream::drill::{Site, Subject};
use millstream::{Error, Result};
use millstream_testkit::wait::pause;
use millstream_testkit::{Flink, FlinkJob, JobState, SavepointFormat, Submission, ZooKeeper};

/// Longer than the cluster's heartbeat time-out: who is frozen for so long is given up.
const FROZEN: Duration = Duration::from_secs(9);

/// A blow.
#[derive(Clone, Copy, Debug)]
enum Blow {
    KillTaskManager,
    KillLeader,
    Rescale,
    FreezeTaskManager,
    MoveBySavepoint(SavepointFormat),
    FreezeLeader,
    KillZooKeeper,
}

/// In this order, again and again.
const BLOWS: [Blow; 8] = [
    Blow::FreezeTaskManager,
    Blow::MoveBySavepoint(SavepointFormat::Canonical),
    Blow::KillLeader,
    Blow::Rescale,
    Blow::KillTaskManager,
    Blow::FreezeLeader,
    Blow::KillZooKeeper,
    Blow::MoveBySavepoint(SavepointFormat::Native),
];

/// The job in its cluster.
pub(crate) struct FlinkSubject {
    flink: Flink,
    zookeeper: ZooKeeper,
    jar: PathBuf,
    config: String,
    job: FlinkJob,
}

impl FlinkSubject {
    pub(crate) fn start(flink: Flink, zookeeper: ZooKeeper, jar: &Path, site: &Site) -> Result<Self> {
        let config = site.config.display().to_string();
        let job = told(flink.run(&submission(jar, &config, 2)))?;
        told(job.wait_until_running())?;
        Ok(Self { flink, zookeeper, jar: jar.to_owned(), config, job })
    }

    fn blow(&mut self, blow: Blow, parallelism: u16, number: u32) -> anyhow::Result<String> {
        let chosen = number as usize % 2;
        let told = match blow {
            Blow::KillTaskManager => {
                let task_manager = self.flink.task_manager(chosen)?;
                task_manager.kill9()?;
                task_manager.restart()?;
                format!("TaskManager {chosen} was killed")
            }
            Blow::FreezeTaskManager => {
                let frozen = self.flink.task_manager(chosen)?.group().context("it runs")?;
                frozen.pause();
                pause(FROZEN);
                frozen.resume();
                format!("TaskManager {chosen} was frozen, given up, and went on")
            }
            Blow::KillLeader => {
                let leader = self.flink.wait_for_leader(&[])?;
                self.flink.job_manager(leader)?.kill9()?;
                self.flink.job_manager(leader)?.restart()?;
                self.flink.wait_for_leader(&[leader])?;
                format!("JobManager {leader}, which led, was killed")
            }
            Blow::FreezeLeader => {
                let leader = self.flink.wait_for_leader(&[])?;
                let frozen = self.flink.job_manager(leader)?.group().context("it runs")?;
                frozen.pause();
                let other = self.flink.wait_for_leader(&[leader]);
                frozen.resume();
                format!("JobManager {leader}, which led, was frozen; {} took over", other?)
            }
            Blow::Rescale => {
                self.job.rescale(u32::from(parallelism))?;
                format!("rescaled to {parallelism} while it ran")
            }
            Blow::KillZooKeeper => {
                self.zookeeper.server(0)?.kill9()?;
                pause(Duration::from_secs(2));
                self.zookeeper.server(0)?.restart()?;
                "ZooKeeper was killed and came back".to_owned()
            }
            Blow::MoveBySavepoint(format) => {
                let savepoint = self.stop_with_savepoint(format)?;
                let again = submission(&self.jar, &self.config, parallelism).from_savepoint(savepoint);
                self.job = self.flink.run(&again)?;
                format!("stopped with a savepoint, goes on from it at parallelism {parallelism}")
            }
        };
        self.job.wait_until_running()?;
        self.job.wait_for_checkpoints(1)?;
        Ok(told)
    }
}

impl FlinkSubject {
    // A task that fails meanwhile, such as one whose transaction a thawed TaskManager took over, makes the
    // savepoint fail; the job restarts, and the user asks again.
    fn stop_with_savepoint(&self, format: SavepointFormat) -> anyhow::Result<String> {
        for _ in 0..2 {
            match self.job.stop(format, false, None) {
                Ok(savepoint) => return Ok(savepoint),
                Err(_) => self.job.wait_until_running()?,
            }
        }
        self.job.stop(format, false, None)
    }
}

impl Subject for FlinkSubject {
    fn run_for(&mut self, time: Duration) -> Result<()> {
        pause(time);
        // While a leader is elected nobody answers.
        match self.job.state() {
            Ok(JobState::Failed | JobState::Canceled | JobState::Finished) => {
                let failures = self.job.failures().unwrap_or_default();
                Err(Error::restart(format!("the job has ended by itself: {failures:?}")))
            }
            _ => Ok(()),
        }
    }

    fn deal(&mut self, number: u32, parallelism: u16) -> (String, Result<String>) {
        let blow = BLOWS[(number as usize - 1) % BLOWS.len()];
        (format!("{blow:?}"), told(self.blow(blow, parallelism, number)))
    }

    fn start_anew(&mut self) -> Result<()> {
        Err(Error::restart(format!("the drill ends here; {}", self.flink.keep_logs())))
    }

    fn stop(&mut self) -> Result<()> {
        told(self.job.stop(SavepointFormat::Native, false, None)).map(drop)
    }
}

fn submission(jar: &Path, config: &str, parallelism: u16) -> Submission {
    Submission::jar(jar)
        .argument("--config")
        .argument(config)
        .argument("--set")
        .argument(format!("parallelism.default={parallelism}"))
        .parallelism(u32::from(parallelism))
}

fn told<T>(result: anyhow::Result<T>) -> Result<T> {
    result.map_err(|error| Error::restart(format!("{error:#}")))
}
