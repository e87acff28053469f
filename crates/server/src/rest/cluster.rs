//! The process, in the place of Flink's cluster.

use axum::Json;
use axum::extract::State;
use millstream_runtime::JobStatus;
use serde_json::{Value, json};

use super::Rest;

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) async fn overview(State(rest): State<Rest>) -> Json<Value> {
    let status = rest.job.status();
    let is = |wanted: JobStatus| u8::from(status == wanted);
    let slots = rest.job.plan().stages.iter().map(|stage| stage.parallelism).max().unwrap_or(0);
    Json(json!({
        "taskmanagers": 1,
        "slots-total": slots,
        "slots-available": if status.is_over() { slots } else { 0 },
        "jobs-running": u8::from(!status.is_over()),
        "jobs-finished": is(JobStatus::Finished),
        "jobs-cancelled": is(JobStatus::Canceled),
        "jobs-failed": is(JobStatus::Failed),
        "flink-version": format!("millstream-{VERSION}"),
        "flink-commit": "",
    }))
}

pub(super) async fn config() -> Json<Value> {
    Json(json!({
        "refresh-interval": 3000,
        "timezone-name": "Coordinated Universal Time",
        "timezone-offset": 0,
        "flink-version": format!("millstream-{VERSION}"),
        "flink-revision": "",
        "features": { "web-submit": false, "web-cancel": true, "web-rescale": false, "web-history": false },
    }))
}
