//! Flink's REST interface, asked at whichever JobManager answers.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::logs::Logs;
use super::root_cause::root_cause;
use crate::http::{self, Content};
use crate::wait;

/// A jar is run by its main method within the request, and Java is slow at first.
const PATIENCE: Duration = Duration::from_secs(60);

/// The REST servers of a cluster; those of standbys forward to the leader.
#[derive(Debug)]
pub(crate) struct Rest {
    ports: Vec<u16>,
    /// The one that answered last.
    last: AtomicUsize,
    logs: Logs,
}

impl Rest {
    pub(crate) fn new(ports: Vec<u16>, logs: Logs) -> Self {
        Self { ports, last: AtomicUsize::new(0), logs }
    }

    /// Sends a request without content.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.send("GET", path, "application/json", &[])
    }

    /// Sends a request with JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self, method: &str, path: &str, body: &Value) -> Result<T> {
        self.send(method, path, "application/json", body.to_string().as_bytes())
    }

    /// Uploads a jar and returns the id that Flink gives it.
    pub(crate) fn upload(&self, jar: &Path) -> Result<String> {
        const BOUNDARY: &str = "millstream-jar-boundary";
        let name = jar.file_name().with_context(|| format!("{} is no file", jar.display()))?;
        let bytes = fs::read(jar).with_context(|| format!("cannot read {}", jar.display()))?;
        let disposition =
            format!("Content-Disposition: form-data; name=\"jarfile\"; filename=\"{}\"", name.display());
        let kind = "Content-Type: application/x-java-archive";
        let mut body = format!("--{BOUNDARY}\r\n{disposition}\r\n{kind}\r\n\r\n").into_bytes();
        body.extend(bytes);
        body.extend(format!("\r\n--{BOUNDARY}--\r\n").into_bytes());
        let multipart = format!("multipart/form-data; boundary={BOUNDARY}");
        let answer: Value = self.send("POST", "/jars/upload", &multipart, &body)?;
        let file = answer["filename"].as_str().with_context(|| format!("Flink answered {answer}"))?;
        Ok(file.rsplit('/').next().unwrap_or(file).to_owned())
    }

    /// Asks until `accept` returns something, for as long as `patience`; JobManagers that are away or do not
    /// know the job yet are asked again. If it takes longer, the message has the last answer and says where
    /// the logs are; an error of `accept` ends it at once.
    pub(crate) fn wait<T, R: DeserializeOwned>(
        &self,
        path: &str,
        what: &str,
        patience: Duration,
        mut accept: impl FnMut(R) -> Result<Progress<T>>,
    ) -> Result<T> {
        let deadline = wait::Deadline::after(patience);
        loop {
            let last = match self.get(path).map(&mut accept) {
                Ok(Ok(Progress::Done(value))) => return Ok(value),
                Ok(Ok(Progress::Pending(state))) => state,
                Ok(Err(error)) => return Err(error.context(self.logs.keep())),
                Err(error) => format!("{error:#}"),
            };
            if deadline.passed() {
                let logs = self.logs.keep();
                bail!("{what} did not happen within {} s; last seen: {last}\n{logs}", patience.as_secs());
            }
            wait::pause(Duration::from_millis(100));
        }
    }

    fn send<T: DeserializeOwned>(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Result<T> {
        let port = self.answering_port()?;
        let answer = http::send(port, method, path, None, &Content { patience: PATIENCE, kind, body })
            .with_context(|| format!("{method} {path} failed"))?;
        if !(200..300).contains(&answer.status) {
            bail!("{method} {path} was answered {}: {}", answer.status, reason(&answer.body));
        }
        let text = if answer.body.trim().is_empty() { "null" } else { &answer.body };
        serde_json::from_str(text).with_context(|| format!("{method} {path} was answered {text}"))
    }

    /// A request that changes something must not be sent twice, so the port is tried with one that does not.
    fn answering_port(&self) -> Result<u16> {
        let last = self.last.load(Ordering::Relaxed);
        for offset in 0..self.ports.len() {
            let index = (last + offset) % self.ports.len();
            if http::get(self.ports[index], "/overview", None).is_ok_and(|answer| answer.status == 200) {
                self.last.store(index, Ordering::Relaxed);
                return Ok(self.ports[index]);
            }
        }
        bail!("no JobManager leads: none answers on the ports {:?}", self.ports)
    }
}

/// What becomes of something that is waited for.
pub(crate) enum Progress<T> {
    Done(T),
    /// Not yet: how things are now.
    Pending(String),
}

/// Flink answers with a list of texts, of which one is a stack trace.
fn reason(body: &str) -> String {
    let parsed: Value = serde_json::from_str(body).unwrap_or_default();
    let errors = parsed["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text: Vec<&str> = errors.iter().filter_map(Value::as_str).collect();
    if text.is_empty() { body.to_owned() } else { root_cause(&text.join("\n")) }
}
