//! What comes before the first document: does the cluster answer, does it know us, are the templates there.

use std::sync::Arc;
use std::time::Duration;

use millstream_core::{Error, Result};
use millstream_delivery::NotReady;
use serde::Deserialize;

use crate::client::{Answer, Client, Question};
use crate::response::describe_refusal;
use crate::retry::Trouble;
use crate::template::Template;

/// All that the start needs.
pub(crate) struct Start {
    pub(crate) client: Arc<Client>,
    pub(crate) templates: Vec<Template>,
    pub(crate) timeout: Duration,
}

#[derive(Deserialize)]
struct Health {
    status: String,
}

impl Start {
    /// One attempt.
    ///
    /// # Errors
    /// Stops for a wrong login, certificate or template; waits when no node answers or the cluster is not ready.
    pub(crate) async fn attempt(&self) -> Result<(), NotReady> {
        let left = self.timeout;
        let health = Question::get("_cluster/health?filter_path=status,error", left);
        check_health(&self.ask(&health).await?)?;
        for template in &self.templates {
            let path = format!("_index_template/{}", template.name);
            let answer = self.ask(&Question::put(path, &template.body, left)).await?;
            check_template(template, &answer)?;
        }
        Ok(())
    }

    async fn ask(&self, question: &Question) -> Result<Answer, NotReady> {
        let answer = self.client.ask(question).await.map_err(|trouble| match trouble {
            Trouble::Untrusted(reason) => NotReady::Stop(Error::configuration(format!(
                "{reason}: name the certificate authority's file in ca-file"
            ))),
            Trouble::Unreachable(reason) | Trouble::Lost(reason) => NotReady::Wait(reason),
        })?;
        match answer.status {
            401 => Err(NotReady::Stop(refused(
                &answer,
                "the login is wrong: check username and password, or api-key",
            ))),
            408 | 429 | 500..=599 => Err(NotReady::Wait(told(&answer))),
            _ => Ok(answer),
        }
    }
}

// A login that may write but not look at the cluster gets 403: it is known, and that is enough.
fn check_health(answer: &Answer) -> Result<(), NotReady> {
    let health = || serde_json::from_slice::<Health>(&answer.body);
    match answer.status {
        403 => Ok(()),
        200 if health().is_ok_and(|health| !health.status.is_empty()) => Ok(()),
        _ => Err(NotReady::Stop(refused(answer, "this is no Elasticsearch and no OpenSearch: check hosts"))),
    }
}

fn check_template(template: &Template, answer: &Answer) -> Result<(), NotReady> {
    let advice = match answer.status {
        200..=299 => return Ok(()),
        403 => {
            "the login may not manage index templates: allow it, or create the template yourself and configure none"
        }
        _ => "the index template is not accepted",
    };
    Err(NotReady::Stop(refused(answer, &format!("template {:?}: {advice}", template.name))))
}

fn refused(answer: &Answer, advice: &str) -> Error {
    Error::configuration(format!("{advice} ({})", told(answer)))
}

fn told(answer: &Answer) -> String {
    format!("{} says {}: {}", answer.host, answer.status, describe_refusal(&answer.body))
}
