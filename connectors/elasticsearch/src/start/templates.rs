//! Puts our index template in place and sees to it that a new index gets its mapping.
//!
//! A template of somebody else that also matches may win if what it gives fits the job: then it was made for
//! it, and its shards and replicas count. If it does not fit, ours is put above it. A priority that the user
//! has given is never changed.

use std::time::Duration;

use millstream_delivery::NotReady;
use millstream_record::Error;
use serde_json::Value;

use super::{Start, cause_of, refused};
use crate::client::Question;
use crate::mapping::{self, Difference};
use crate::priority::{FILTER, Templates};
use crate::response::refusal_type;
use crate::template::Template;

impl Start {
    /// `absent` are the names that have no index yet.
    pub(super) async fn put_in_place(
        &self,
        template: &Template,
        absent: &[String],
        left: Duration,
    ) -> Result<(), NotReady> {
        let there = self.templates_there(left).await?;
        let first = template.own_priority().unwrap_or_else(|| there.lowest_for(template));
        self.put(template, first, left).await?;
        let Some(differences) = self.differences(template, &there, first, absent, left).await? else {
            return Ok(());
        };
        if template.own_priority().is_some() {
            return Err(NotReady::Stop(overridden(template, &there, first, &differences)));
        }
        let higher = there.winning_for(template);
        if let Some((other, priority)) = there.winner_over(template, first) {
            tracing::warn!(
                template = %template.name, priority = higher,
                "Elasticsearch: the index template {other} (priority {priority}) does not fit ({}); the job's is put above it, with which \
                 its settings no longer count for the job's indices", mapping::list(&differences)
            );
        }
        self.put(template, higher, left).await?;
        match self.differences(template, &there, higher, absent, left).await? {
            None => Ok(()),
            Some(differences) => Err(NotReady::Stop(overridden(template, &there, higher, &differences))),
        }
    }

    async fn templates_there(&self, left: Duration) -> Result<Templates, NotReady> {
        let question = Question::get(format!("_index_template?filter_path={FILTER}"), left);
        let answer = self.look(&question, "which index templates there are").await?;
        Ok(answer.and_then(|answer| serde_json::from_slice(&answer.body).ok()).unwrap_or_default())
    }

    async fn put(&self, template: &Template, priority: u64, left: Duration) -> Result<(), NotReady> {
        let path = format!("_index_template/{}", template.name);
        // Nobody wants to read a priority where none is needed.
        let body = if priority == 0 { template.body.clone() } else { template.with_priority(priority).body };
        let answer = self.ask(&Question::put(path, &body, left)).await?;
        let advice = match answer.status {
            200..=299 => return Ok(()),
            403 => {
                "the login may not manage index templates: allow it, or create the template yourself and configure none"
            }
            // Something between has answered, such as a proxy.
            _ if refusal_type(&answer.body).is_none() => return Err(NotReady::Wait(cause_of(&answer))),
            _ => "the index template is not accepted",
        };
        Err(NotReady::Stop(refused(&answer, &format!("template {:?}: {advice}", template.name))))
    }

    // Where a new index would differ from what the job needs; none if it fits or the store does not say.
    async fn differences(
        &self,
        template: &Template,
        there: &Templates,
        priority: u64,
        absent: &[String],
        left: Duration,
    ) -> Result<Option<Vec<Difference>>, NotReady> {
        if let Some((name, _)) = there.winner_over(template, priority)
            && there.makes_data_stream(name)
        {
            let (field, ours) = (template.targets().join(", "), "an index".to_owned());
            let theirs = format!("a data stream (by the index template {name})");
            return Ok(Some(vec![Difference { field, theirs, ours, mend: None }]));
        }
        for name in absent {
            let path = format!("_index_template/_simulate_index/{name}");
            let answer = self.look(&Question::post(path, left), "which mapping a new index gets").await?;
            let simulated = answer.and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok());
            let Some(given) = simulated.and_then(|mut body| body.get_mut("template").map(Value::take)) else {
                continue;
            };
            let nothing = Value::Object(serde_json::Map::new());
            let found = mapping::compare(template.mapping(), given.get("mappings").unwrap_or(&nothing));
            if !found.is_empty() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn overridden(template: &Template, there: &Templates, priority: u64, differences: &[Difference]) -> Error {
    let name = &template.name;
    let winner = there.winner_over(template, priority);
    let winner = winner
        .map_or_else(|| "another one".to_owned(), |(name, priority)| format!("{name} (priority {priority})"));
    Error::configuration(format!(
        "the index template {name} (priority {priority}) does not decide about new indices, {winner} does: {}. Give {name} a higher \
         priority, or change the other one's index_patterns",
        mapping::list(differences)
    ))
}
