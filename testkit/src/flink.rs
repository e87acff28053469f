//! Flink: a session or application cluster of JobManagers and TaskManagers, from the jars of the Python
//! package.

mod builder;
mod checkpoints;
mod compiler;
mod configuration;
mod jar;
mod job;
mod leader;
mod library;
mod logs;
mod process;
mod rest;
mod root_cause;
mod software;
mod submission;

use std::fs;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

pub use self::builder::FlinkBuilder;
pub use self::checkpoints::{
    Checkpoint, CheckpointCounts, Checkpoints, FailedCheckpoint, LatestCheckpoints, RestoredCheckpoint,
    SavepointFormat,
};
pub(crate) use self::configuration::LOG4J;
pub use self::job::{FlinkJob, JobState, Metric, Vertex};
use self::leader::leading_since;
pub use self::library::{GlibcVersion, PipelineLibrary};
use self::logs::Logs;
use self::process::Common;
use self::rest::{Progress, Rest};
pub use self::software::FlinkVersion;
pub(crate) use self::software::opens;
pub use self::submission::{ClaimMode, Submission};
use crate::server::{Home, Server};
use crate::wait;

const PATIENCE: Duration = Duration::from_secs(60);

/// A Flink cluster.
#[derive(Debug)]
pub struct Flink {
    common: Common,
    job_managers: Vec<Server>,
    task_managers: Vec<Server>,
    rest: Arc<Rest>,
    ports: Vec<u16>,
    logs: Logs,
    // Dropped after the processes.
    home: Home,
}

impl Flink {
    /// A session cluster of one's own with a JobManager and a TaskManager of two slots: 5 to 20 s.
    ///
    /// # Errors
    /// If it cannot be fetched or does not start.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// A cluster of one's own, with options.
    pub fn builder() -> FlinkBuilder {
        FlinkBuilder::default()
    }

    /// `http://127.0.0.1:PORT` of the first JobManager.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// The ports of the REST servers of all JobManagers, in their order.
    pub fn rest_ports(&self) -> &[u16] {
        &self.ports
    }

    /// Which Flink it is.
    pub fn version(&self) -> FlinkVersion {
        self.common.version
    }

    /// The value of a key of the configuration that all processes share.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.common.configuration.get(key)
    }

    /// Runs a jar by the REST interface: it is uploaded, and its main method runs in the JobManager.
    ///
    /// # Errors
    /// If Flink refuses it; the message has the root cause.
    pub fn run(&self, submission: &Submission) -> Result<FlinkJob> {
        let jar = self.rest.upload(&submission.jar)?;
        let answer: Value = self.rest.json("POST", &format!("/jars/{jar}/run"), &submission.body())?;
        let id = answer["jobid"].as_str().with_context(|| format!("Flink answered {answer}"))?;
        Ok(self.job(id))
    }

    /// Runs a jar by the command line: its main method runs in the client.
    ///
    /// # Errors
    /// If the command fails; the message has what it says.
    pub fn run_by_client(&self, submission: &Submission) -> Result<FlinkJob> {
        let mut words = vec!["run".to_owned()];
        words.extend(submission.words());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = self.client(&words)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "flink {} failed: {text}\n{errors}", words.join(" "));
        let id = text.lines().find_map(|line| line.trim().strip_prefix("Job has been submitted with JobID "));
        Ok(self.job(id.with_context(|| format!("flink run named no job: {text}\n{errors}"))?))
    }

    /// Runs Flink's command line, such as `["list", "-a"]`.
    ///
    /// # Errors
    /// If Java cannot be run; that the command fails is in the output.
    pub fn client(&self, arguments: &[&str]) -> Result<Output> {
        const FLAGS: [&str; 3] = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
        let dir = self.home.dir();
        let class = "org.apache.flink.client.cli.CliFrontend";
        let words = self.common.command(dir, &FLAGS.map(str::to_owned), class)?;
        let (program, rest) = words.split_first().context("a command has a program")?;
        let mut command = Command::new(program);
        command.args(rest).args(arguments).envs(self.common.env(dir)).current_dir(dir);
        command.output().context("cannot run java")
    }

    /// The job with this id.
    pub fn job(&self, id: &str) -> FlinkJob {
        FlinkJob::new(self.rest.clone(), id.to_owned())
    }

    /// Waits up to a minute until the cluster has a job, and returns the latest one: that of an application.
    ///
    /// # Errors
    /// If that takes longer; the message says where the logs are.
    pub fn latest_job(&self) -> Result<FlinkJob> {
        self.rest.wait("/jobs/overview", "a job", PATIENCE, |answer: Value| {
            let jobs = answer["jobs"].as_array().map(Vec::as_slice).unwrap_or_default();
            let latest = jobs.iter().max_by_key(|job| job["start-time"].as_u64());
            Ok(match latest.and_then(|job| job["jid"].as_str()) {
                Some(id) => Progress::Done(self.job(id)),
                None => Progress::Pending(answer.to_string()),
            })
        })
    }

    /// A JobManager's process, to kill, pause or restart it; the first one is 0.
    ///
    /// # Errors
    /// If there is no such one.
    pub fn job_manager(&mut self, number: usize) -> Result<&mut Server> {
        self.job_managers.get_mut(number).with_context(|| format!("there is no JobManager {number}"))
    }

    /// A TaskManager's process, to kill, pause or restart it; the first one is 0.
    ///
    /// # Errors
    /// If there is no such one.
    pub fn task_manager(&mut self, number: usize) -> Result<&mut Server> {
        self.task_managers.get_mut(number).with_context(|| format!("there is no TaskManager {number}"))
    }

    /// A process by its name, such as `jobmanager-0` or `taskmanager-1`.
    ///
    /// # Errors
    /// If there is no such one.
    pub fn process(&mut self, name: &str) -> Result<&mut Server> {
        match name.split_once('-').map(|(kind, number)| (kind, number.parse())) {
            Some(("jobmanager", Ok(number))) => self.job_manager(number),
            Some(("taskmanager", Ok(number))) => self.task_manager(number),
            _ => bail!("there is no process {name}: name jobmanager-0, taskmanager-0, or one after it"),
        }
    }

    /// All processes, JobManagers first.
    pub fn processes(&self) -> impl Iterator<Item = &Server> {
        self.job_managers.iter().chain(&self.task_managers)
    }

    /// Which JobManager leads; `None` while none does. One that was paused while it led may count, until it
    /// notices that another one has taken over.
    pub fn leader(&self) -> Option<usize> {
        let running = self.job_managers.iter().enumerate().filter(|(_, server)| server.pid().is_some());
        let logs = running.map(|(number, server)| (number, fs::read_to_string(server.log())));
        let logs: Vec<_> = logs.filter_map(|(number, log)| Some((number, log.ok()?))).collect();
        let leading = logs.iter().filter_map(|(number, log)| Some((leading_since(log)?, *number)));
        leading.max().map(|(_, number)| number)
    }

    /// Waits up to a minute until a JobManager leads that is none of `others`.
    ///
    /// # Errors
    /// If that takes longer; the message says where the logs are.
    pub fn wait_for_leader(&self, others: &[usize]) -> Result<usize> {
        let leader = || self.leader().filter(|leader| !others.contains(leader));
        let found = wait::for_some(PATIENCE, leader);
        found.with_context(|| format!("no JobManager but {others:?} leads. {}", self.logs.keep()))
    }

    /// Waits up to a minute until the leader knows this many slots.
    ///
    /// # Errors
    /// If that takes longer; the message says where the logs are.
    pub fn wait_for_slots(&self, slots: u64) -> Result<()> {
        self.rest.wait("/overview", &format!("{slots} slots"), PATIENCE, |answer: Value| {
            let enough = answer["slots-total"].as_u64() == Some(slots);
            Ok(if enough { Progress::Done(()) } else { Progress::Pending(answer.to_string()) })
        })
    }

    /// Copies the logs of all processes to the cache, as they disappear with the cluster, and says where they
    /// are: for the message of a test that fails.
    pub fn keep_logs(&self) -> String {
        self.logs.keep()
    }
}

impl Drop for Flink {
    /// A test that panics leaves the logs behind.
    fn drop(&mut self) {
        if std::thread::panicking() {
            crate::fetch::say(&self.logs.keep());
        }
    }
}
