//! A job on a Flink cluster: what becomes of it, and what can be asked of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::checkpoints::{Checkpoints, SavepointFormat};
use super::rest::{Progress, Rest};
use super::root_cause::root_cause;

const PATIENCE: Duration = Duration::from_secs(120);

/// A job, found by its id at whichever JobManager leads.
#[derive(Clone, Debug)]
pub struct FlinkJob {
    rest: Arc<Rest>,
    id: String,
}

/// Flink's states of a job.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "Flink's own names")]
pub enum JobState {
    Initializing,
    Created,
    Running,
    Failing,
    Failed,
    Cancelling,
    Canceled,
    Finished,
    Restarting,
    Suspended,
    Reconciling,
}

/// A vertex of the job's graph: operators that run in one thread.
#[derive(Clone, Debug, Deserialize)]
pub struct Vertex {
    /// Its id, by which metrics are asked for.
    pub id: String,
    /// The names of its operators.
    pub name: String,
    /// How many subtasks it has now.
    pub parallelism: u32,
    /// How many it may have at most.
    #[serde(rename = "maxParallelism")]
    pub max_parallelism: u32,
    /// The state of its subtasks, such as `RUNNING`.
    pub status: String,
}

/// A metric over the subtasks of a vertex.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Metric {
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// The mean value.
    pub avg: f64,
    /// The sum of the values.
    pub sum: f64,
}

#[derive(Deserialize)]
struct Details {
    state: JobState,
    vertices: Vec<Vertex>,
}

impl JobState {
    /// Whether a job leaves this state no more.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Failed | Self::Canceled | Self::Finished)
    }
}

impl FlinkJob {
    pub(crate) fn new(rest: Arc<Rest>, id: String) -> Self {
        Self { rest, id }
    }

    /// 32 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The state it is in.
    ///
    /// # Errors
    /// If no JobManager leads, or the leader does not know the job (yet).
    pub fn state(&self) -> Result<JobState> {
        Ok(self.details()?.state)
    }

    /// The vertices of its graph, in the order of the data.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub fn vertices(&self) -> Result<Vec<Vertex>> {
        Ok(self.details()?.vertices)
    }

    /// Waits up to 2 minutes until it is in `state`.
    ///
    /// # Errors
    /// If that takes longer, or the job ends otherwise; the message has the root cause of its failures, and
    /// says where the logs are.
    pub fn wait_for(&self, state: JobState) -> Result<()> {
        self.wait(&format!("{state:?}"), PATIENCE, |job| job.state == state)
    }

    /// Waits up to 2 minutes until all its tasks run. Flink calls a job `RUNNING` as soon as it looks for
    /// slots.
    ///
    /// # Errors
    /// As [`wait_for`](Self::wait_for).
    pub fn wait_until_running(&self) -> Result<()> {
        self.wait("all tasks running", PATIENCE, |job| {
            job.state == JobState::Running && job.vertices.iter().all(|vertex| vertex.status == "RUNNING")
        })
    }

    /// Waits up to 2 minutes until `accept` is satisfied with the vertices, such as after a change of
    /// parallelism.
    ///
    /// # Errors
    /// As [`wait_for`](Self::wait_for).
    pub fn wait_for_vertices(&self, what: &str, accept: impl Fn(&[Vertex]) -> bool) -> Result<()> {
        self.wait(what, PATIENCE, |job| accept(&job.vertices))
    }

    /// The root causes of its failures, latest first; empty if it never failed.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub fn failures(&self) -> Result<Vec<String>> {
        Ok(self.stack_traces()?.iter().map(|trace| root_cause(trace)).collect())
    }

    /// The stack traces of its failures, latest first.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub fn stack_traces(&self) -> Result<Vec<String>> {
        let answer: Value = self.rest.get(&self.path("/exceptions"))?;
        let entries = answer["exceptionHistory"]["entries"].as_array().cloned().unwrap_or_default();
        Ok(entries.iter().filter_map(|entry| entry["stacktrace"].as_str().map(str::to_owned)).collect())
    }

    /// What the leader knows of its checkpoints. Counts begin anew with another leader, ids do not.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub fn checkpoints(&self) -> Result<Checkpoints> {
        self.rest.get(&self.path("/checkpoints"))
    }

    /// How checkpoints are taken, as Flink's web page shows it.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub fn checkpoint_settings(&self) -> Result<Value> {
        self.rest.get(&self.path("/checkpoints/config"))
    }

    /// Waits up to 2 minutes until `more` checkpoints were completed after the one that is the latest now.
    /// Returns the id of the latest one.
    ///
    /// # Errors
    /// If that takes longer; the message has the last statistics, and says where the logs are.
    pub fn wait_for_checkpoints(&self, more: u64) -> Result<u64> {
        let mut first = None;
        let what = format!("{more} more checkpoints of job {}", self.id);
        self.rest.wait(&self.path("/checkpoints"), &what, PATIENCE, |checkpoints: Checkpoints| {
            let latest = checkpoints.latest_id();
            let first = *first.get_or_insert(latest);
            Ok(match latest {
                Some(latest) if latest >= first.unwrap_or_default() + more => Progress::Done(latest),
                _ => Progress::Pending(format!("{checkpoints:?}")),
            })
        })
    }

    /// Takes a savepoint below `directory`, or below the configured one, and returns its path.
    ///
    /// # Errors
    /// If it fails; the message has the root cause.
    pub fn savepoint(&self, format: SavepointFormat, directory: Option<&str>) -> Result<String> {
        self.savepoint_and(format, directory, false)
    }

    /// As [`savepoint`](Self::savepoint); then cancels the job.
    ///
    /// # Errors
    /// If it fails; the message has the root cause.
    pub fn cancel_with_savepoint(&self, format: SavepointFormat, directory: Option<&str>) -> Result<String> {
        self.savepoint_and(format, directory, true)
    }

    /// Stops the job with a savepoint and returns its path. With `drain`, sources end event time first, and
    /// the job cannot go on from the savepoint as if nothing had been. An application cluster ends with its
    /// job and may be gone before it has answered; take a [`savepoint`](Self::savepoint) of it instead.
    ///
    /// # Errors
    /// If it fails; the message has the root cause.
    pub fn stop(&self, format: SavepointFormat, drain: bool, directory: Option<&str>) -> Result<String> {
        let body = json!({"targetDirectory": directory, "drain": drain, "formatType": format.name()});
        let answer: Value = self.rest.json("POST", &self.path("/stop"), &body)?;
        let path = self.await_savepoint(&answer)?;
        self.wait_for(JobState::Finished)?;
        Ok(path)
    }

    /// Cancels the job and waits until it has ended.
    ///
    /// # Errors
    /// If that takes more than 2 minutes.
    pub fn cancel(&self) -> Result<()> {
        let _: Value = self.rest.json("PATCH", &self.path("?mode=cancel"), &json!({}))?;
        self.wait_for(JobState::Canceled)
    }

    /// Asks for another parallelism of all vertices; it needs `jobmanager.scheduler: adaptive`. Flink changes
    /// it in its own time: see [`wait_for_vertices`](Self::wait_for_vertices).
    ///
    /// # Errors
    /// If the scheduler does not do that, or a vertex has a smaller maximum.
    pub fn rescale(&self, parallelism: u32) -> Result<()> {
        let bounds = json!({"parallelism": {"lowerBound": 1, "upperBound": parallelism}});
        let requirements = self.vertices()?.into_iter().map(|vertex| (vertex.id, bounds.clone()));
        let requirements = Value::Object(requirements.collect());
        let _: Value = self.rest.json("PUT", &self.path("/resource-requirements"), &requirements)?;
        Ok(())
    }

    /// The names of all metrics of a vertex's subtasks.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub fn metric_names(&self, vertex: &str) -> Result<Vec<String>> {
        let answer: Value = self.rest.get(&self.metrics_path(vertex))?;
        let metrics = answer.as_array().cloned().unwrap_or_default();
        Ok(metrics.iter().filter_map(|metric| metric["id"].as_str().map(str::to_owned)).collect())
    }

    /// Metrics of a vertex over its subtasks by name; those that it does not have are left out.
    ///
    /// # Errors
    /// As [`state`](Self::state), or if a metric is not a number.
    pub fn metrics(&self, vertex: &str, names: &[&str]) -> Result<BTreeMap<String, Metric>> {
        #[derive(Deserialize)]
        struct Named {
            id: String,
            #[serde(flatten)]
            metric: Metric,
        }
        let path = format!("{}?get={}", self.metrics_path(vertex), names.join(","));
        let answer: Vec<Named> = self.rest.get(&path)?;
        Ok(answer.into_iter().map(|named| (named.id, named.metric)).collect())
    }

    /// The plan, as Flink's web page shows it.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub fn plan(&self) -> Result<Value> {
        let mut answer: Value = self.rest.get(&self.path("/plan"))?;
        Ok(answer["plan"].take())
    }

    fn savepoint_and(&self, format: SavepointFormat, dir: Option<&str>, cancel: bool) -> Result<String> {
        let body = json!({"target-directory": dir, "cancel-job": cancel, "formatType": format.name()});
        let answer: Value = self.rest.json("POST", &self.path("/savepoints"), &body)?;
        self.await_savepoint(&answer)
    }

    fn await_savepoint(&self, trigger: &Value) -> Result<String> {
        let request = trigger["request-id"].as_str().with_context(|| format!("Flink answered {trigger}"))?;
        let path = self.path(&format!("/savepoints/{request}"));
        self.rest.wait(&path, "the savepoint", PATIENCE, |answer: Value| {
            if answer["status"]["id"] != "COMPLETED" {
                return Ok(Progress::Pending(answer.to_string()));
            }
            if let Some(trace) = answer["operation"]["failure-cause"]["stack-trace"].as_str() {
                bail!("the savepoint of job {} failed: {}", self.id, root_cause(trace));
            }
            let location = answer["operation"]["location"].as_str();
            Ok(Progress::Done(location.with_context(|| format!("Flink answered {answer}"))?.to_owned()))
        })
    }

    fn wait(&self, what: &str, patience: Duration, accept: impl Fn(&Details) -> bool) -> Result<()> {
        let what = format!("job {}: {what}", self.id);
        self.rest.wait(&self.path(""), &what, patience, |job: Details| {
            if accept(&job) {
                return Ok(Progress::Done(()));
            }
            let failure = self.failures().unwrap_or_default().into_iter().next().unwrap_or_default();
            if job.state.is_terminal() {
                bail!("{what} was waited for, but the job is {:?}: {failure}", job.state);
            }
            let tasks: Vec<&str> = job.vertices.iter().map(|vertex| vertex.status.as_str()).collect();
            Ok(Progress::Pending(format!("{:?}, tasks {tasks:?}, last failure: {failure:?}", job.state)))
        })
    }

    fn details(&self) -> Result<Details> {
        self.rest.get(&self.path(""))
    }

    fn path(&self, rest: &str) -> String {
        format!("/jobs/{}{rest}", self.id)
    }

    fn metrics_path(&self, vertex: &str) -> String {
        self.path(&format!("/vertices/{vertex}/subtasks/metrics"))
    }
}
