//! Flink's REST interface, as far as it makes sense for one job in one process: the `flink` command and tools
//! made for Flink talk to it.
//!
//! Paths, verbs and field names are Flink's, with and without `/v1`. Times are epoch milliseconds, durations
//! milliseconds.
//!
//! | request | does |
//! |---|---|
//! | `GET /overview`, `/config` | the process |
//! | `GET /jobs`, `/jobs/overview` | its job |
//! | `GET /jobs/:id`, `/jobs/:id/checkpoints`, `/jobs/:id/exceptions` | more of it |
//! | `GET /jobs/:id/troubles` | what fails outside of the job just now, and since when; not in Flink |
//! | `POST /jobs/:id/savepoints` `{"target-directory"}` | begins a savepoint, or with `"cancel-job": true` ends the job with one |
//! | `POST /jobs/:id/stop` `{"targetDirectory", "drain"}` | begins a savepoint with which the job ends |
//! | `GET /jobs/:id/savepoints/:request` | how far it is |
//! | `PATCH /jobs/:id?mode=cancel` | ends the job at once |
//!
//! Unlike Flink, a savepoint that failed is answered with status 500 and its reason in `errors`: Flink's own
//! answer holds a serialized Java object. Its command shows both alike.

mod checkpoints;
mod cluster;
mod jobs;
mod savepoints;

use axum::Json;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use millstream_protocol::job_id::JobId;
use millstream_runtime::JobControl;
use serde_json::{Value, json};

pub(crate) use self::savepoints::Requests;

/// What all requests share.
#[derive(Clone)]
struct Rest {
    job: JobControl,
    requests: Requests,
}

/// The routes for a job.
pub(crate) fn routes(job: JobControl, requests: Requests) -> Router {
    let rest = Rest { job, requests };
    let plain = || {
        Router::new()
            .route("/overview", get(cluster::overview))
            .route("/config", get(cluster::config))
            .route("/jobs", get(jobs::list))
            .route("/jobs/overview", get(jobs::overview))
            .route("/jobs/{id}", get(jobs::details).merge(patch(jobs::cancel)))
            .route("/jobs/{id}/exceptions", get(jobs::exceptions))
            .route("/jobs/{id}/troubles", get(jobs::troubles))
            .route("/jobs/{id}/checkpoints", get(checkpoints::checkpoints))
            .route("/jobs/{id}/savepoints", post(savepoints::savepoint))
            .route("/jobs/{id}/savepoints/{request}", get(savepoints::status))
            .route("/jobs/{id}/stop", post(savepoints::stop))
    };
    plain().nest("/v1", plain()).with_state(rest)
}

type RestResult = Result<Json<Value>, RestError>;

/// A request that cannot be served, in Flink's form.
struct RestError(StatusCode, String);

impl RestError {
    fn no_such_job(id: &str) -> Self {
        Self(
            StatusCode::NOT_FOUND,
            format!("Job {id} not found: `GET /jobs` tells the id of this process's job"),
        )
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "errors": [self.1] }))).into_response()
    }
}

impl Rest {
    /// The job, if it is the one that is asked for.
    fn job(&self, id: &str) -> Result<&JobControl, RestError> {
        match id.parse::<JobId>() {
            Ok(asked) if asked == self.job.job_id() => Ok(&self.job),
            Ok(_) => Err(RestError::no_such_job(id)),
            Err(error) => Err(RestError(StatusCode::BAD_REQUEST, error.chain())),
        }
    }
}
