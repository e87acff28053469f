//! The job: how it is doing, what it is made of, what went wrong.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use millstream_protocol::job_id::JobId;
use millstream_runtime::{JobControl, JobStatus, SystemClock};
use millstream_stage::plan::{Plan, StageSpec};
use millstream_stage::time::Clock;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Rest, RestError, RestResult};

/// The names that Flink counts tasks by.
const TASK_STATES: [&str; 10] = [
    "CREATED",
    "SCHEDULED",
    "DEPLOYING",
    "RUNNING",
    "FINISHED",
    "CANCELING",
    "CANCELED",
    "FAILED",
    "RECONCILING",
    "INITIALIZING",
];

pub(super) async fn list(State(rest): State<Rest>) -> Json<Value> {
    Json(json!({ "jobs": [{ "id": rest.job.job_id(), "status": rest.job.status() }] }))
}

pub(super) async fn overview(State(rest): State<Rest>) -> Json<Value> {
    let job = &rest.job;
    let now = SystemClock::new().now();
    let tasks = job.plan().stages.iter().map(|stage| u64::from(stage.parallelism)).sum();
    let mut counted = Map::from_iter([("total".to_owned(), json!(tasks))]);
    for (state, count) in counts(job.status(), tasks) {
        counted.insert(state.to_lowercase(), count);
    }
    Json(json!({ "jobs": [{
        "jid": job.job_id(),
        "name": job.plan().name,
        "start-time": job.started_at(),
        "end-time": -1,
        "duration": now - job.started_at(),
        "state": job.status(),
        "last-modification": now,
        "tasks": counted,
        "pending-operators": 0,
    }] }))
}

pub(super) async fn details(State(rest): State<Rest>, Path(id): Path<String>) -> RestResult {
    let job = rest.job(&id)?;
    let now = SystemClock::new().now();
    let (plan, status) = (job.plan(), job.status());
    let vertices: Vec<_> = plan.stages.iter().map(|stage| vertex(job, stage, now)).collect();
    Ok(Json(json!({
        "jid": job.job_id(),
        "name": plan.name,
        "isStoppable": true,
        "state": status,
        "job-type": "STREAMING",
        "start-time": job.started_at(),
        "end-time": -1,
        "duration": now - job.started_at(),
        "maxParallelism": plan.key_groups,
        "now": now,
        "timestamps": { "CREATED": job.started_at(), status.name(): job.started_at() },
        "vertices": vertices,
        "status-counts": Value::Object(counts(status, plan.stages.len() as u64).collect()),
        "plan": graph(job.job_id(), plan),
        "pending-operators": 0,
        "attempts": job.attempts(),
        "epoch": job.epoch(),
    })))
}

pub(super) async fn exceptions(State(rest): State<Rest>, Path(id): Path<String>) -> RestResult {
    let failures = rest.job(&id)?.exceptions();
    let entries = failures.iter().map(|failure| {
        json!({
            "exceptionName": format!("{:?}", failure.kind),
            "stacktrace": failure.error,
            "timestamp": failure.time,
            "taskName": failure.task,
            "failureLabels": {},
            "concurrentExceptions": [],
            "epoch": failure.epoch,
        })
    });
    let entries: Vec<_> = entries.collect();
    Ok(Json(json!({
        "root-exception": failures.first().map(|failure| &failure.error),
        "timestamp": failures.first().map(|failure| failure.time),
        "truncated": false,
        "all-exceptions": [],
        "exceptionHistory": { "entries": entries, "truncated": false },
    })))
}

pub(super) async fn troubles(State(rest): State<Rest>, Path(id): Path<String>) -> RestResult {
    let troubles = rest.job(&id)?.troubles().into_iter().map(|trouble| {
        json!({
            "subject": trouble.subject,
            "reason": trouble.why,
            "duration": trouble.lasts.as_millis() as u64,
            "attempts": trouble.attempts,
        })
    });
    Ok(Json(json!({ "troubles": troubles.collect::<Vec<_>>() })))
}

#[derive(Deserialize)]
pub(super) struct CancelQuery {
    #[serde(default)]
    mode: Option<String>,
}

pub(super) async fn cancel(
    State(rest): State<Rest>,
    Path(id): Path<String>,
    Query(query): Query<CancelQuery>,
) -> Result<(StatusCode, Json<Value>), RestError> {
    let job = rest.job(&id)?;
    match query.mode.as_deref() {
        None | Some("cancel") => {
            job.cancel();
            Ok((StatusCode::ACCEPTED, Json(json!({}))))
        }
        Some(other) => Err(RestError(
            StatusCode::BAD_REQUEST,
            format!(
                "there is no mode {other:?}: cancel ends the job, POST .../stop ends it with a savepoint"
            ),
        )),
    }
}

fn vertex(job: &JobControl, stage: &StageSpec, now: i64) -> Value {
    let (status, tasks) = (job.status(), u64::from(stage.parallelism));
    let (mut read, mut written, mut records_in, mut records_out) = (0, 0, 0, 0);
    for operator in job.metrics().operators().filter(|(task, _)| task.stage == stage.name).map(|(_, o)| o) {
        read += operator.bytes_in.get();
        written += operator.bytes_out.get();
        records_in += operator.records_in.get();
        records_out += operator.records_out.get();
    }
    json!({
        "id": vertex_id(&stage.name),
        "name": stage.name,
        "maxParallelism": job.plan().key_groups,
        "parallelism": stage.parallelism,
        "status": task_state(status),
        "start-time": job.started_at(),
        "end-time": -1,
        "duration": now - job.started_at(),
        "tasks": Value::Object(counts(status, tasks).collect()),
        "metrics": {
            "read-bytes": read, "read-bytes-complete": true,
            "write-bytes": written, "write-bytes-complete": true,
            "read-records": records_in, "read-records-complete": true,
            "write-records": records_out, "write-records-complete": true,
        },
    })
}

fn graph(id: JobId, plan: &Plan) -> Value {
    let node = |(number, stage): (u32, &StageSpec)| {
        let inputs = plan.inputs(number).map(|(_, edge)| {
            let from = &plan.stages[edge.from as usize].name;
            let ship = format!("{:?}", edge.exchange).to_uppercase();
            json!({ "num": edge.input, "id": vertex_id(from), "ship_strategy": ship, "exchange": "pipelined_bounded" })
        });
        json!({
            "id": vertex_id(&stage.name),
            "parallelism": stage.parallelism,
            "operator": "",
            "operator_strategy": "",
            "description": stage.name,
            "inputs": inputs.collect::<Vec<_>>(),
            "optimizer_properties": {},
        })
    };
    let nodes: Vec<_> = (0..).zip(&plan.stages).map(node).collect();
    json!({ "jid": id, "name": plan.name, "type": "STREAMING", "nodes": nodes })
}

fn vertex_id(stage: &str) -> JobId {
    JobId::of(stage)
}

fn task_state(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Initializing => "INITIALIZING",
        JobStatus::Running => "RUNNING",
        JobStatus::Failing | JobStatus::Failed => "FAILED",
        JobStatus::Restarting => "CREATED",
        JobStatus::Cancelling => "CANCELING",
        JobStatus::Canceled => "CANCELED",
        JobStatus::Finished | JobStatus::Suspended => "FINISHED",
    }
}

fn counts(status: JobStatus, tasks: u64) -> impl Iterator<Item = (String, Value)> {
    let now = task_state(status);
    TASK_STATES.into_iter().map(move |state| (state.to_owned(), json!(if state == now { tasks } else { 0 })))
}
