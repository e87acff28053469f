//! Deletes what a job has written, so that it can begin anew.

use std::sync::Arc;

use millstream_record::{Error, Result};
use millstream_stage::time::Clock;
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Client, HttpAnswer, Question};
use crate::config::ElasticsearchOptions;
use crate::response::describe_refusal;
use crate::target::{self, Target};

#[derive(Deserialize)]
struct Count {
    count: u64,
}

/// Deletes an index (with `index-prefix` put before its name) and answers how many documents it had. A
/// `dry_run` only counts.
///
/// The index is deleted as a whole: single documents would leave their versions behind for a minute, and the
/// writes of a job that begins anew would be refused. Must be called within a Tokio runtime.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for a data stream, an alias, and
/// a login that may not; [`ErrorKind::Retry`](millstream_record::ErrorKind::Retry) when no node answers.
pub async fn forget(
    options: &ElasticsearchOptions,
    index: &str,
    dry_run: bool,
    clock: Arc<dyn Clock>,
) -> Result<u64> {
    options.validate()?;
    let client = Client::new(options, clock)?;
    let index = format!("{}{index}", options.index_prefix);
    let ask = |question: Question| {
        let client = &client;
        async move { client.ask(&question).await.map_err(|trouble| Error::retry(trouble.reason().to_owned())) }
    };
    let there = ask(Question::get(format!("{index}?flat_settings=true"), options.request_timeout)).await?;
    if there.status == 404 {
        return Ok(0);
    }
    let body: Value = serde_json::from_slice(&expected(&there)?.body).map_err(|_| refused(&there))?;
    match target::of_answer(&index, &body) {
        Target::Absent => return Ok(0),
        Target::Index { name, .. } if name == index => {}
        Target::Index { name, .. } => {
            return Err(Error::configuration(format!(
                "{index} is an alias of the index {name}: delete that index yourself (DELETE {name}) if nothing else is in it"
            )));
        }
        Target::Unfit(reason) => return Err(Error::configuration(reason)),
    }
    expected(&ask(Question::post(format!("{index}/_refresh"), options.request_timeout)).await?)?;
    let counted = ask(Question::get(format!("{index}/_count"), options.request_timeout)).await?;
    let count: Count = serde_json::from_slice(&expected(&counted)?.body).map_err(|_| refused(&counted))?;
    if !dry_run {
        expected(&ask(Question::delete(index.as_str(), options.request_timeout)).await?)?;
    }
    Ok(count.count)
}

fn expected(answer: &HttpAnswer) -> Result<&HttpAnswer> {
    if answer.status == 200 { Ok(answer) } else { Err(refused(answer)) }
}

fn refused(answer: &HttpAnswer) -> Error {
    Error::configuration(format!(
        "{} says {}: {}",
        answer.host,
        answer.status,
        describe_refusal(&answer.body)
    ))
}
