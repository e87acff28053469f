//! What comes before the first document: does the cluster answer, does it know us, are the templates there.

use std::sync::Arc;
use std::time::Duration;

use millstream_core::io::Io;
use millstream_core::time::Clock;
use millstream_core::{Error, Result};
use serde::Deserialize;

use crate::client::{Answer, Client, Question};
use crate::response::describe_refusal;
use crate::retry::Trouble;
use crate::template::Template;
use millstream_core::backoff::Backoff;

/// All that the start needs.
pub(crate) struct Start {
    pub(crate) client: Arc<Client>,
    pub(crate) templates: Vec<Template>,
    pub(crate) io: Arc<dyn Io>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) backoff: Backoff,
    pub(crate) timeout: Duration,
}

/// Why an attempt was in vain.
enum Failure {
    Final(Error),
    Passing(String),
}

#[derive(Deserialize)]
struct Health {
    status: String,
}

impl Start {
    /// Tries until everything is in place or the time is up.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_core::ErrorKind::Configuration) for a wrong login, certificate or template;
    /// [`ErrorKind::Restart`](millstream_core::ErrorKind::Restart) when no node answers in time.
    pub(crate) async fn run(mut self) -> Result<()> {
        let began = self.clock.nanos();
        let mut left = self.timeout;
        for tries in 1_u32.. {
            let reason = match self.attempt(left).await {
                Ok(()) => return Ok(()),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(reason)) => reason,
            };
            let delay = self.backoff.delay(tries);
            let gone = Duration::from_nanos(self.clock.nanos().saturating_sub(began));
            left = self.timeout.saturating_sub(gone + delay);
            if left.is_zero() {
                let message = format!(
                    "Elasticsearch is not ready after {:?} (start.timeout): {reason}; check hosts and that the cluster runs",
                    self.timeout
                );
                return Err(Error::restart(message));
            }
            self.io.sleep(delay).await;
        }
        unreachable!("there are more tries than time")
    }

    async fn attempt(&self, left: Duration) -> Result<(), Failure> {
        let health = Question::get("_cluster/health?filter_path=status,error", left);
        check_health(&self.ask(&health).await?)?;
        for template in &self.templates {
            let path = format!("_index_template/{}", template.name);
            let answer = self.ask(&Question::put(path, &template.body, left)).await?;
            check_template(template, &answer)?;
        }
        Ok(())
    }

    async fn ask(&self, question: &Question) -> Result<Answer, Failure> {
        let answer = self.client.ask(question).await.map_err(|trouble| match trouble {
            Trouble::Untrusted(reason) => Failure::Final(Error::configuration(format!(
                "{reason}: name the certificate authority's file in ca-file"
            ))),
            Trouble::Unreachable(reason) | Trouble::Lost(reason) => Failure::Passing(reason),
        })?;
        match answer.status {
            401 => Err(Failure::Final(refused(
                &answer,
                "the login is wrong: check username and password, or api-key",
            ))),
            408 | 429 | 500..=599 => Err(Failure::Passing(told(&answer))),
            _ => Ok(answer),
        }
    }
}

// A login that may write but not look at the cluster gets 403: it is known, and that is enough.
fn check_health(answer: &Answer) -> Result<(), Failure> {
    let health = || serde_json::from_slice::<Health>(&answer.body);
    match answer.status {
        403 => Ok(()),
        200 if health().is_ok_and(|health| !health.status.is_empty()) => Ok(()),
        _ => Err(Failure::Final(refused(answer, "this is no Elasticsearch and no OpenSearch: check hosts"))),
    }
}

fn check_template(template: &Template, answer: &Answer) -> Result<(), Failure> {
    let advice = match answer.status {
        200..=299 => return Ok(()),
        403 => {
            "the login may not manage index templates: allow it, or create the template yourself and configure none"
        }
        _ => "the index template is not accepted",
    };
    Err(Failure::Final(refused(answer, &format!("template {:?}: {advice}", template.name))))
}

fn refused(answer: &Answer, advice: &str) -> Error {
    Error::configuration(format!("{advice} ({})", told(answer)))
}

fn told(answer: &Answer) -> String {
    format!("{} says {}: {}", answer.host, answer.status, describe_refusal(&answer.body))
}
