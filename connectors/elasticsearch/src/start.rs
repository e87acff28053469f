//! The checks before the first document: whether the cluster answers, whether it accepts the login, whether
//! the job can write to the target (`targets`) and may do so (`rights`), and whether the templates are there
//! and win (`templates`).

mod rights;
mod targets;
mod templates;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use millstream_delivery::NotReady;
use millstream_record::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

use self::targets::Presence;
use crate::bulk_retry::RequestError;
use crate::client::{Client, HttpAnswer, Question};
use crate::response::{describe_refusal, refusal_type};
use crate::template::Template;

/// All that the start needs.
pub(crate) struct Start {
    pub(crate) client: Arc<Client>,
    pub(crate) templates: Vec<Template>,
    pub(crate) timeout: Duration,
    /// Whether it was said that something cannot be compared: once for all writers of a sink.
    pub(crate) said_unseen: Arc<AtomicBool>,
}

#[derive(Deserialize)]
struct Health {
    status: String,
}

impl Start {
    /// One attempt.
    ///
    /// # Errors
    /// Stops for a wrong login, certificate or template; waits when no node answers, something else answers,
    /// or the cluster is not ready.
    pub(crate) async fn attempt(&self) -> Result<(), NotReady> {
        let left = self.timeout;
        let health = Question::get("_cluster/health?filter_path=status,error", left);
        check_health(&self.ask(&health).await?)?;
        for template in &self.templates {
            let found = self.check_targets(template, left).await?;
            self.check_rights(&found, left).await?;
            let new = found.into_iter().filter(|found| !matches!(found.presence, Presence::Index(_)));
            let new: Vec<_> = new.map(|found| found.name).collect();
            self.put_in_place(template, &new, left).await?;
        }
        Ok(())
    }

    /// The same without a change to the cluster: what an index still lacks, and templates, a start puts in
    /// place.
    ///
    /// # Errors
    /// As [`attempt`](Self::attempt), but for those of the templates; stops also for what a start would wait for:
    /// an index or a cluster that takes no documents.
    pub(crate) async fn look_only(&self) -> Result<(), NotReady> {
        let health = Question::get("_cluster/health?filter_path=status,error", self.timeout);
        check_health(&self.ask(&health).await?)?;
        let mut found = Vec::new();
        for template in &self.templates {
            found.extend(self.compare_targets(template, self.timeout).await?);
        }
        self.check_rights(&found, self.timeout).await?;
        self.check_blocks().await
    }

    // The cluster as a whole may be read-only. Who may not ask is told nothing.
    async fn check_blocks(&self) -> Result<(), NotReady> {
        const BLOCKS: [&str; 2] = ["cluster.blocks.read_only", "cluster.blocks.read_only_allow_delete"];
        let answer = self.reach(&Question::get("_cluster/settings?flat_settings=true", self.timeout)).await?;
        let settings = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        let is_set =
            |key: &&str| ["persistent", "transient"].iter().any(|kind| settings[kind][key] == "true");
        match BLOCKS.into_iter().find(is_set) {
            None => Ok(()),
            Some(key) => Err(NotReady::Stop(Error::retry(format!(
                "the cluster takes no documents, and a job would wait until it takes some: take its setting {key} away"
            )))),
        }
    }

    // None where the store, or the login, does not allow the question: then nothing is compared, which is
    // said once.
    async fn look(&self, question: &Question, what: &str) -> Result<Option<HttpAnswer>, NotReady> {
        let answer = self.reach(question).await?;
        if matches!(answer.status, 200 | 404) {
            return Ok(Some(answer));
        }
        if !self.said_unseen.swap(true, Relaxed) {
            tracing::warn!(
                reason = %cause_of(&answer),
                "Elasticsearch does not say {what}, so it is not compared with what the job needs: allow the login \
                 view_index_metadata on its indices and manage_index_templates"
            );
        }
        Ok(None)
    }

    async fn ask(&self, question: &Question) -> Result<HttpAnswer, NotReady> {
        let answer = self.reach(question).await?;
        match answer.status {
            401 => Err(NotReady::Stop(refused(
                &answer,
                "the login is wrong: check username and password, or api-key",
            ))),
            _ => Ok(answer),
        }
    }

    async fn reach(&self, question: &Question) -> Result<HttpAnswer, NotReady> {
        let answer = match self.client.ask(question).await {
            Ok(answer) => answer,
            Err(RequestError::Untrusted(reason)) => return Err(NotReady::Stop(Error::configuration(reason))),
            Err(RequestError::Unreachable(reason) | RequestError::Lost(reason)) => {
                let mistaken = self.client.mistaken_scheme().await;
                return Err(mistaken
                    .map_or(NotReady::Wait(reason), |advice| NotReady::Stop(Error::configuration(advice))));
            }
        };
        match answer.status {
            408 | 429 | 500..=599 => Err(NotReady::Wait(cause_of(&answer))),
            _ if is_blocked(&answer) => Err(NotReady::Wait(cause_of(&answer))),
            _ => Ok(answer),
        }
    }
}

// The cluster or an index is read-only, such as after its disk was full: nothing that the login lacks, and it
// passes.
fn is_blocked(answer: &HttpAnswer) -> bool {
    refusal_type(&answer.body).as_deref() == Some("cluster_block_exception")
}

// A login that may write but not look at the cluster gets 403, and a service without clusters has no such
// question: each is known by the form of its refusal, and that is enough.
fn check_health(answer: &HttpAnswer) -> Result<(), NotReady> {
    let health = || serde_json::from_slice::<Health>(&answer.body);
    match answer.status {
        403 => Ok(()),
        400..=499 if refusal_type(&answer.body).is_some() => Ok(()),
        200 if health().is_ok_and(|health| !health.status.is_empty()) => Ok(()),
        // A proxy whose cluster is away answers with a page of its own: that passes, a wrong address does
        // not, and they look alike.
        _ => Err(NotReady::Wait(format!(
            "this is no Elasticsearch and no OpenSearch: check hosts ({})",
            cause_of(answer)
        ))),
    }
}

fn refused(answer: &HttpAnswer, advice: &str) -> Error {
    Error::configuration(format!("{advice} ({})", cause_of(answer)))
}

fn cause_of(answer: &HttpAnswer) -> String {
    format!("{} says {}: {}", answer.host, answer.status, describe_refusal(&answer.body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> HttpAnswer {
        HttpAnswer { host: "http://es:9200".to_owned(), status, body: body.into() }
    }

    #[test]
    fn a_cluster_is_known_by_its_health_or_by_the_form_of_its_refusal() {
        for (status, body) in [
            (200, r#"{"status":"yellow"}"#),
            (403, r#"{"error":{"type":"security_exception","reason":"no"},"status":403}"#),
            (410, r#"{"error":{"type":"api_not_available_exception","reason":"serverless"},"status":410}"#),
        ] {
            assert!(check_health(&answer(status, body)).is_ok(), "{body}");
        }
        for (status, body) in
            [(200, "hello"), (200, "{}"), (404, "<html>"), (404, r#"{"error":"Not Found"}"#)]
        {
            let Err(NotReady::Wait(reason)) = check_health(&answer(status, body)) else { panic!("{body}") };
            assert!(reason.contains("check hosts"), "{reason}");
        }
    }

    #[test]
    fn a_block_is_no_lack_of_rights() {
        let blocked = r#"{"error":{"type":"cluster_block_exception","reason":"FORBIDDEN/6/cluster read-only"},"status":403}"#;
        assert!(is_blocked(&answer(403, blocked)));
        let forbidden = r#"{"error":{"type":"security_exception","reason":"unauthorized"},"status":403}"#;
        assert!(!is_blocked(&answer(403, forbidden)) && !is_blocked(&answer(403, "<html>")));
    }
}
