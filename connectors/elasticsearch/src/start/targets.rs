//! Looks at what is at the names that the job writes to, and refuses what it cannot write to.

use std::time::Duration;

use millstream_delivery::NotReady;
use millstream_record::Error;
use serde_json::Value;

use super::{Start, cause_of};
use crate::client::Question;
use crate::mapping::{self, Difference};
use crate::target::{self, Target};
use crate::template::Template;

impl Start {
    /// Answers for which names there is no index yet: the template decides about those.
    pub(super) async fn check_targets(
        &self,
        template: &Template,
        left: Duration,
    ) -> Result<Vec<String>, NotReady> {
        let mut absent = Vec::new();
        for name in template.targets() {
            match self.target(&name, left).await? {
                Target::Absent => absent.push(name),
                Target::Unfit(reason) => return Err(NotReady::Stop(Error::configuration(reason))),
                Target::Index { name, mapping } => {
                    let differences = mapping::compare(template.mapping(), &mapping);
                    self.reconcile(&name, &differences, left).await?;
                }
            }
        }
        Ok(absent)
    }

    /// The same, and changes nothing.
    pub(super) async fn compare_targets(&self, template: &Template, left: Duration) -> Result<(), NotReady> {
        for name in template.targets() {
            match self.target(&name, left).await? {
                Target::Absent => {}
                Target::Unfit(reason) => return Err(NotReady::Stop(Error::configuration(reason))),
                Target::Index { name, mapping } => {
                    let differences = mapping::compare(template.mapping(), &mapping);
                    if mapping::mend(&differences).is_none() {
                        return Err(NotReady::Stop(refuse(&name, &mapping::list(&differences), "")));
                    }
                }
            }
        }
        Ok(())
    }

    async fn target(&self, name: &str, left: Duration) -> Result<Target, NotReady> {
        let question = Question::get(format!("{name}?flat_settings=true"), left);
        let Some(answer) = self.look(&question, &format!("what {name} is")).await? else {
            return Ok(Target::Absent);
        };
        match serde_json::from_slice::<Value>(&answer.body) {
            Ok(body) if answer.status == 200 => Ok(target::of_answer(name, &body)),
            Ok(body) if body.get("error").is_some() => Ok(Target::Absent),
            // Something between has answered, such as a proxy.
            _ => Err(NotReady::Wait(cause_of(&answer))),
        }
    }

    // What an index can still learn it is taught; for the rest there is no way but another index.
    async fn reconcile(
        &self,
        index: &str,
        differences: &[Difference],
        left: Duration,
    ) -> Result<(), NotReady> {
        let list = mapping::list(differences);
        let Some(body) = mapping::mend(differences) else {
            return Err(NotReady::Stop(refuse(index, &list, "")));
        };
        if differences.is_empty() {
            return Ok(());
        }
        let answer = self.reach(&Question::put(format!("{index}/_mapping"), &body, left)).await?;
        if answer.status == 200 {
            tracing::info!(index, "Elasticsearch: the index's mapping was extended, as {list}");
            return Ok(());
        }
        // A value that is too long for an old index becomes a dead letter by itself; a field that is missing
        // spoils every document.
        if differences
            .iter()
            .all(|difference| difference.theirs != "missing" && difference.field != "dynamic")
        {
            tracing::warn!(
                index, reason = %cause_of(&answer),
                "Elasticsearch: the index's mapping could not be extended, and longer values will be dead letters, as {list}"
            );
            return Ok(());
        }
        let command = format!(
            " (or run PUT {index}/_mapping {body} with a login that may do so; {})",
            cause_of(&answer)
        );
        Err(NotReady::Stop(refuse(index, &list, &command)))
    }
}

fn refuse(index: &str, list: &str, or: &str) -> Error {
    Error::configuration(format!(
        "the index {index} is there with another mapping: {list}. Delete it, or copy it (_reindex) to one with the job's mapping, or write \
         to another name (index-prefix){or}"
    ))
}
