//! Savepoints, alone and as the end of a job: begun by one request, asked about by others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use millstream_record::Result;
use millstream_runtime::{CheckpointDone, Pending};
use millstream_stage::chance::Chance;
use parking_lot::{Condvar, Mutex, MutexGuard};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Rest, RestError, RestResult};

/// How many requests are remembered: a client asks again within moments.
const REMEMBERED: usize = 1000;

/// The requests so far and what came of them.
#[derive(Clone, Default)]
pub(crate) struct Requests(Arc<(Mutex<HashMap<String, Request>>, Condvar)>);

#[derive(Default)]
struct Request {
    outcome: Option<SavepointResult>,
    // Whether a client has fetched the outcome.
    delivered: bool,
}

type SavepointResult = std::result::Result<CheckpointDone, String>;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Savepoint {
    target_directory: Option<String>,
    #[serde(default)]
    cancel_job: bool,
    #[serde(rename = "triggerId")]
    trigger_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stop {
    target_directory: Option<String>,
    #[serde(default)]
    drain: bool,
    trigger_id: Option<String>,
}

pub(super) async fn savepoint(
    State(rest): State<Rest>,
    Path(id): Path<String>,
    Json(body): Json<Savepoint>,
) -> Result<(StatusCode, Json<Value>), RestError> {
    let (job, dir) = (rest.job(&id)?, body.target_directory.as_deref());
    rest.requests.begin(job.chance(), body.trigger_id, || match body.cancel_job {
        true => job.trigger_stop_with_savepoint(dir, false),
        false => job.trigger_savepoint(dir),
    })
}

pub(super) async fn stop(
    State(rest): State<Rest>,
    Path(id): Path<String>,
    Json(body): Json<Stop>,
) -> Result<(StatusCode, Json<Value>), RestError> {
    let job = rest.job(&id)?;
    let begin = || job.trigger_stop_with_savepoint(body.target_directory.as_deref(), body.drain);
    rest.requests.begin(job.chance(), body.trigger_id, begin)
}

pub(super) async fn status(
    State(rest): State<Rest>,
    Path((id, request)): Path<(String, String)>,
) -> RestResult {
    rest.job(&id)?;
    match rest.requests.outcome(&request) {
        None => Err(RestError(StatusCode::NOT_FOUND, format!("there is no savepoint request {request}"))),
        Some(None) => Ok(Json(json!({ "status": { "id": "IN_PROGRESS" }, "operation": null }))),
        Some(Some(Ok(done))) => {
            Ok(Json(json!({ "status": { "id": "COMPLETED" }, "operation": { "location": done.url } })))
        }
        Some(Some(Err(reason))) => Err(RestError(StatusCode::INTERNAL_SERVER_ERROR, reason)),
    }
}

impl Requests {
    // A request that comes again under the same id, because its answer was lost, begins nothing new.
    fn begin(
        &self,
        chance: &Chance,
        id: Option<String>,
        begin: impl FnOnce() -> Result<Pending>,
    ) -> Result<(StatusCode, Json<Value>), RestError> {
        let id = id.unwrap_or_else(|| chance.digits(32));
        let accepted = (StatusCode::ACCEPTED, Json(json!({ "request-id": id })));
        if self.all().contains_key(&id) {
            return Ok(accepted);
        }
        let pending = begin().map_err(|error| RestError(StatusCode::BAD_REQUEST, error.chain()))?;
        self.remember(id.clone(), None);
        let requests = self.clone();
        tokio::task::spawn_blocking(move || {
            let outcome = pending.wait().map_err(|error| error.chain());
            requests.remember(id, Some(outcome));
        });
        Ok(accepted)
    }

    fn remember(&self, id: String, outcome: Option<SavepointResult>) {
        let mut all = self.all();
        if all.len() >= REMEMBERED {
            all.retain(|_, request| request.outcome.is_none());
        }
        all.insert(id, Request { outcome, delivered: false });
    }

    fn outcome(&self, id: &str) -> Option<Option<SavepointResult>> {
        let mut all = self.all();
        let request = all.get_mut(id)?;
        request.delivered = request.outcome.is_some();
        self.0.1.notify_all();
        Some(request.outcome.clone())
    }

    /// Waits until the outcome of each request has been fetched, but not for ever: the process of a job that
    /// was stopped over HTTP must not end before its answer was fetched.
    pub(crate) fn wait_until_delivered(&self, patience: Duration) {
        let undelivered = |all: &mut HashMap<String, Request>| all.values().any(|request| !request.delivered);
        self.0.1.wait_while_for(&mut self.all(), undelivered, patience);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Request>> {
        self.0.0.lock()
    }
}
