//! The only place that speaks HTTP.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_delivery::Reply;
use millstream_record::{Error, Result};
use millstream_stage::time::Clock;
use millstream_tls::probe::{Expected, mistaken};
use parking_lot::{Mutex, MutexGuard};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, redirect};

use crate::bulk_retry::{RequestError, of_answer, of_transport};
use crate::config::ElasticsearchOptions;
use crate::hosts::Hosts;
use crate::login::authorization;
use crate::response::FILTER;
use crate::tls::{self, Trust};

const NDJSON: &str = "application/x-ndjson";
const JSON: &str = "application/json";

/// A cluster's HTTP interface.
pub(crate) struct Client {
    http: reqwest::Client,
    hosts: Hosts,
    options: ElasticsearchOptions,
    authorization: Mutex<Option<HeaderValue>>,
    bulk_path: String,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

/// What a node answered, and which one.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) host: String,
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

/// What to ask.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    method: Method,
    path: String,
    content: &'static str,
    body: Bytes,
    timeout: Duration,
}

impl Question {
    /// A question without a body.
    pub(crate) fn get(path: impl Into<String>, timeout: Duration) -> Self {
        Self { method: Method::GET, path: path.into(), content: JSON, body: Bytes::new(), timeout }
    }

    /// Asks without a body for what `GET` is not made for.
    pub(crate) fn post(path: impl Into<String>, timeout: Duration) -> Self {
        let path = path.into();
        Self { method: Method::POST, path, content: JSON, body: Bytes::new(), timeout }
    }

    /// Asks with a body.
    pub(crate) fn post_json(path: impl Into<String>, json: impl Display, timeout: Duration) -> Self {
        Self { body: json.to_string().into(), ..Self::post(path, timeout) }
    }

    /// Deletes what is at the path.
    pub(crate) fn delete(path: impl Into<String>, timeout: Duration) -> Self {
        let path = path.into();
        Self { method: Method::DELETE, path, content: JSON, body: Bytes::new(), timeout }
    }

    /// Replaces what is at the path.
    pub(crate) fn put(path: impl Into<String>, json: impl Display, timeout: Duration) -> Self {
        let body = json.to_string().into();
        Self { method: Method::PUT, path: path.into(), content: JSON, body, timeout }
    }
}

impl Client {
    /// A client for these options. Reads the certificates; connects later.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration).
    pub(crate) fn new(options: &ElasticsearchOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        let urls = options.urls()?;
        let trust = match &options.ca_file {
            _ if urls.iter().all(|url| url.scheme() == "http") => Trust::Nobody,
            Some(file) => Trust::File(file),
            None => Trust::Machine,
        };
        // The cluster is next door: no proxy; and a redirect would carry the login elsewhere.
        let http = reqwest::Client::builder()
            .connect_timeout(options.connect_timeout)
            .tls_backend_preconfigured(tls::config(trust)?)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build();
        let http =
            http.map_err(|cause| Error::configuration("no HTTP client can be made").caused_by(cause))?;
        // The store's own wait for a shard ends before ours, so that its clearer answer still comes.
        let patience = (options.request_timeout * 3 / 4).as_millis();
        Ok(Self {
            http,
            hosts: Hosts::new(urls),
            authorization: Mutex::new(authorization(options)?),
            options: options.clone(),
            bulk_path: format!("_bulk?filter_path={FILTER}&timeout={patience}ms"),
            timeout: options.request_timeout,
            clock,
        })
    }

    /// Sends a bulk request.
    pub(crate) async fn bulk(&self, body: Bytes) -> Reply {
        let (path, timeout) = (self.bulk_path.clone(), self.timeout);
        let question = Question { method: Method::POST, path, content: NDJSON, body, timeout };
        match self.ask(&question).await {
            Ok(answer) => of_answer(answer.status, &answer.body),
            Err(trouble) => Reply::Wait { reason: trouble.reason().to_owned(), overloaded: false },
        }
    }

    /// Asks one node, or, where nothing could be sent, one after the other.
    ///
    /// # Errors
    /// That of the last node that was tried.
    pub(crate) async fn ask(&self, question: &Question) -> Result<HttpAnswer, RequestError> {
        let mut last = RequestError::Unreachable("no host is configured".to_owned());
        for host in self.hosts.order(self.clock.nanos()) {
            match self.ask_node(host, question).await {
                Ok(answer) => {
                    self.note_status(host, answer.status);
                    return Ok(answer);
                }
                Err(trouble) => {
                    self.hosts.failed(host, self.clock.nanos());
                    last = trouble;
                }
            }
            if matches!(last, RequestError::Lost(_)) {
                break;
            }
        }
        Err(last)
    }

    /// What to do about a node that speaks TLS where its URL says `http`, or the reverse. Asks all of them.
    pub(crate) async fn mistaken_scheme(&self) -> Option<String> {
        for (base, url) in self.hosts.urls() {
            let expected = if url.scheme() == "https" { Expected::Https } else { Expected::Plain };
            let (host, port) = (url.host_str()?, url.port_or_known_default()?);
            if let Some(advice) = mistaken(host.trim_matches(['[', ']']), port, expected).await {
                return Some(format!("{base}: {advice}"));
            }
        }
        None
    }

    async fn ask_node(&self, host: usize, question: &Question) -> Result<HttpAnswer, RequestError> {
        let base = self.hosts.base(host);
        let url = format!("{base}/{}", question.path);
        let mut request = self.http.request(question.method.clone(), url).timeout(question.timeout);
        if let Some(authorization) = self.login().clone() {
            request = request.header(AUTHORIZATION, authorization);
        }
        if question.method != Method::GET {
            request = request.header(CONTENT_TYPE, question.content).body(question.body.clone());
        }
        let failed = |error| of_transport(base, error);
        let response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(failed)?;
        Ok(HttpAnswer { host: base.to_owned(), status, body })
    }

    fn login(&self) -> MutexGuard<'_, Option<HeaderValue>> {
        self.authorization.lock()
    }

    // A node that is not part of a working cluster answers so; others may be better off.
    fn note_status(&self, host: usize, status: u16) {
        match status {
            // A password or key that was changed meanwhile is in its file already: the next request has it.
            401 => {
                if let Ok(renewed) = authorization(&self.options) {
                    *self.login() = renewed;
                }
                self.hosts.answered(host);
            }
            502..=504 => self.hosts.failed(host, self.clock.nanos()),
            _ => self.hosts.answered(host),
        }
    }
}
