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

/// What is at a name that the job writes to.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) presence: Presence,
}

/// Whether there is an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Not yet.
    Absent,
    /// It cannot be seen.
    Unknown,
    /// Yes, under this name where the other one is its alias.
    Index(String),
}

impl Start {
    /// Looks at all names that a template is for; the template decides about those that have no index yet.
    pub(super) async fn check_targets(
        &self,
        template: &Template,
        left: Duration,
    ) -> Result<Vec<Found>, NotReady> {
        let mut found = Vec::new();
        for name in template.targets() {
            let presence = match self.target(&name, left).await? {
                None => Presence::Unknown,
                Some(Target::Absent) => Presence::Absent,
                Some(Target::Unfit(reason)) => return Err(NotReady::Stop(Error::configuration(reason))),
                Some(Target::Index { name, mapping, .. }) => {
                    let differences = mapping::compare(template.mapping(), &mapping);
                    self.reconcile(&name, &differences, left).await?;
                    Presence::Index(name)
                }
            };
            found.push(Found { name, presence });
        }
        Ok(found)
    }

    /// The same, and changes nothing. An index that takes no documents is refused: a job would wait for it,
    /// but whoever asks wants to know.
    pub(super) async fn compare_targets(
        &self,
        template: &Template,
        left: Duration,
    ) -> Result<Vec<Found>, NotReady> {
        let mut found = Vec::new();
        for name in template.targets() {
            let presence = match self.target(&name, left).await? {
                None => Presence::Unknown,
                Some(Target::Absent) => Presence::Absent,
                Some(Target::Unfit(reason)) => return Err(NotReady::Stop(Error::configuration(reason))),
                Some(Target::Index { name, mapping, blocked }) => {
                    let differences = mapping::compare(template.mapping(), &mapping);
                    if mapping::mend(&differences).is_none() {
                        return Err(NotReady::Stop(refuse(&name, &mapping::list(&differences), "")));
                    }
                    if let Some(setting) = blocked {
                        return Err(NotReady::Stop(takes_nothing(&name, setting)));
                    }
                    Presence::Index(name)
                }
            };
            found.push(Found { name, presence });
        }
        Ok(found)
    }

    // None where the store, or the login, does not let the job see what is there.
    async fn target(&self, name: &str, left: Duration) -> Result<Option<Target>, NotReady> {
        let question = Question::get(format!("{name}?flat_settings=true"), left);
        let Some(answer) = self.look(&question, &format!("what {name} is")).await? else {
            return Ok(None);
        };
        match serde_json::from_slice::<Value>(&answer.body) {
            Ok(body) if answer.status == 200 => Ok(Some(target::of_answer(name, &body))),
            Ok(body) if body.get("error").is_some() => Ok(Some(Target::Absent)),
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

fn takes_nothing(index: &str, setting: &str) -> Error {
    let (what, advice) = match setting {
        "index.verified_before_close" => ("is closed", "open it".to_owned()),
        blocked => ("takes no documents", format!("take its setting {blocked} away")),
    };
    Error::retry(format!("the index {index} {what}, and a job would wait until it takes some: {advice}"))
}

fn refuse(index: &str, list: &str, or: &str) -> Error {
    Error::configuration(format!(
        "the index {index} is there with another mapping: {list}. Delete it, or copy it (_reindex) to one with the job's mapping, or write \
         to another name (index-prefix){or}"
    ))
}
