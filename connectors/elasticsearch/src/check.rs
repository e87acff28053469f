//! Looks whether the cluster can be written to, and changes nothing.

use std::sync::Arc;
use std::time::Duration;

use millstream_delivery::NotReady;
use millstream_record::{Error, Result};
use millstream_stage::time::Clock;
use serde_json::Value;

use crate::client::{Client, Question};
use crate::config::ElasticsearchOptions;
use crate::start::Start;
use crate::template::Template;

/// A person waits for the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the cluster what a job asks at its start, and compares the indices that are there with these index
/// templates (name and body); answers what the cluster is, such as `Elasticsearch 8.13.0`. Nothing is
/// written. Must be called within a Tokio runtime.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for what a job would refuse,
/// too; [`ErrorKind::Retry`](millstream_record::ErrorKind::Retry) when no node answers, the cluster is not
/// ready, or it or an index takes no documents just now.
pub async fn check(
    options: &ElasticsearchOptions,
    templates: impl IntoIterator<Item = (impl Into<String>, Value)>,
    clock: Arc<dyn Clock>,
) -> Result<String> {
    options.validate()?;
    let templates = templates.into_iter().map(|(name, body)| Template { name: name.into(), body });
    let client = Arc::new(Client::new(options, clock)?);
    let timeout = PATIENCE.min(options.request_timeout);
    let start = Start {
        client: Arc::clone(&client),
        templates: templates.map(|template| template.prefixed(&options.index_prefix)).collect(),
        timeout,
        said_unseen: Arc::default(),
    };
    start.look_only().await.map_err(|not_ready| match not_ready {
        NotReady::Stop(error) => error,
        NotReady::Wait(reason) => Error::retry(format!(
            "Elasticsearch at {} is not ready: {reason}; check `hosts`, and that it runs",
            options.hosts.join(", ")
        )),
    })?;
    Ok(product(&client, timeout).await)
}

// A login may lack the right to ask, and yet write.
async fn product(client: &Client, timeout: Duration) -> String {
    let answer = client.ask(&Question::get("?filter_path=version", timeout)).await.ok();
    let body = answer.and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok());
    let version = body.unwrap_or_default()["version"].take();
    let product = if version["distribution"] == "opensearch" { "OpenSearch" } else { "Elasticsearch" };
    let number = version["number"].as_str().unwrap_or_default();
    format!("{product} {number}").trim_end().to_owned()
}
