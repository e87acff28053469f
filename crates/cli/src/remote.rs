//! A running job over HTTP, by Flink's REST interface: what `list`, `savepoint`, `stop`, `cancel` and
//! `checkpoints` do.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use millstream_record::{Error, Result};
use millstream_stage::options::Secret;
use serde_json::{Value, json};

/// How long one request may take; a savepoint takes many.
const TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(200);
/// How often a job that was stopped is asked whether it is gone: for a minute.
const GONE_POLLS: u32 = 300;

/// The job that a process runs.
pub struct Remote {
    agent: ureq::Agent,
    url: String,
    authorization: Option<String>,
    id: String,
}

impl Remote {
    /// Asks the process at this URL, such as `http://127.0.0.1:8081`, for its job.
    ///
    /// # Errors
    /// [`ErrorKind::Retry`](millstream_record::ErrorKind::Retry) when nobody answers there.
    pub fn to(url: &str, password: Option<&Secret>) -> Result<Self> {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT));
        let login = |password: &Secret| BASE64_STANDARD.encode(format!("millstream:{}", password.reveal()));
        // As Flink's own command has it: host:port.
        let scheme = if url.contains("://") { "" } else { "http://" };
        let mut remote = Self {
            agent: config.build().into(),
            url: format!("{scheme}{}", url.trim_end_matches('/')),
            authorization: password.map(|password| format!("Basic {}", login(password))),
            id: String::new(),
        };
        remote.id = remote.get("/jobs")?["jobs"][0]["id"].as_str().unwrap_or_default().to_owned();
        Ok(remote)
    }

    /// The job's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Name, state, times.
    ///
    /// # Errors
    /// Returns the same errors as [`to`](Self::to).
    pub fn overview(&self) -> Result<Value> {
        Ok(self.get("/jobs/overview")?["jobs"][0].take())
    }

    /// What fails outside of the job just now: a store or brokers that are away, say. None where the process
    /// is of a version that does not tell.
    pub fn troubles(&self) -> Vec<Value> {
        let answer = self.get(&format!("/jobs/{}/troubles", self.id));
        answer
            .ok()
            .and_then(|mut body| body["troubles"].as_array_mut().map(std::mem::take))
            .unwrap_or_default()
    }

    /// Counts, the latest ones, the history.
    ///
    /// # Errors
    /// Returns the same errors as [`to`](Self::to).
    pub fn checkpoints(&self) -> Result<Value> {
        self.get(&format!("/jobs/{}/checkpoints", self.id))
    }

    /// Takes a savepoint and waits for it; answers where it is.
    ///
    /// # Errors
    /// Why there is none; the job goes on.
    pub fn savepoint(&self, dir: Option<&str>) -> Result<String> {
        let body = json!({ "target-directory": dir, "cancel-job": false });
        self.triggered(&format!("/jobs/{}/savepoints", self.id), &body)
    }

    /// Ends the job with a savepoint and waits for it; answers where it is.
    ///
    /// # Errors
    /// Why there is none; the job goes on.
    pub fn stop(&self, dir: Option<&str>, drain: bool) -> Result<String> {
        let body = json!({ "targetDirectory": dir, "drain": drain });
        self.triggered(&format!("/jobs/{}/stop", self.id), &body)
    }

    /// Waits until the job's process listens no more, so that its port and its directory are free.
    ///
    /// # Errors
    /// [`ErrorKind::Retry`](millstream_record::ErrorKind::Retry) when it still answers after a while.
    pub fn wait_until_gone(&self) -> Result<()> {
        for _ in 0..GONE_POLLS {
            if self.is_gone() {
                return Ok(());
            }
            std::thread::park_timeout(POLL);
        }
        Err(Error::retry(format!(
            "the job was stopped, but its process still answers at {}: end it with SIGTERM",
            self.url
        )))
    }

    // An answer of whatever kind comes from somebody who listens; so does silence.
    fn is_gone(&self) -> bool {
        let asked = self.login(self.agent.get(self.at("/jobs"))).call();
        !matches!(asked, Ok(_) | Err(ureq::Error::Timeout(_)))
    }

    /// Ends the job at once.
    ///
    /// # Errors
    /// Returns the same errors as [`to`](Self::to).
    pub fn cancel(&self) -> Result<()> {
        let request = self.agent.patch(self.at(&format!("/jobs/{}?mode=cancel", self.id)));
        let answer = self.login(request).send("").map_err(|error| self.away(error))?;
        read(answer).map(drop)
    }

    fn triggered(&self, path: &str, body: &Value) -> Result<String> {
        let request = self.login(self.agent.post(self.at(path)));
        let request = request.header("Content-Type", "application/json");
        let accepted = read(request.send(body.to_string()).map_err(|error| self.away(error))?)?;
        let id = accepted["request-id"].as_str().unwrap_or_default();
        let status = format!("/jobs/{}/savepoints/{id}", self.id);
        loop {
            let mut answer = self.get(&status)?;
            if answer["status"]["id"] == "COMPLETED" {
                let location = answer["operation"]["location"].take();
                return Ok(location.as_str().unwrap_or_default().to_owned());
            }
            std::thread::park_timeout(POLL);
        }
    }

    fn get(&self, path: &str) -> Result<Value> {
        let request = self.login(self.agent.get(self.at(path)));
        read(request.call().map_err(|error| self.away(error))?)
    }

    fn at(&self, path: &str) -> String {
        format!("{}/v1{path}", self.url)
    }

    fn login<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.authorization {
            Some(authorization) => request.header("Authorization", authorization),
            None => request,
        }
    }

    fn away(&self, error: ureq::Error) -> Error {
        Error::retry(format!(
            "no job answers at {}: give the address that it printed at its start, or set rest.port in its configuration",
            self.url
        ))
        .caused_by(error)
    }
}

fn read(mut answer: ureq::http::Response<ureq::Body>) -> Result<Value> {
    let status = answer.status();
    let text = answer.body_mut().read_to_string();
    let text = text.map_err(|error| Error::retry("the answer broke off").caused_by(error))?;
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    match status.as_u16() {
        200..300 => Ok(body),
        401 => Err(Error::configuration("a password is needed: --password-file")),
        _ => {
            let reason = body["errors"][0].as_str().map_or(text.clone(), str::to_owned);
            Err(Error::restart(format!("the job answers with {status}: {reason}")))
        }
    }
}
