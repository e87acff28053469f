//! Asks whether the login may do what the job will do, where the store tells: Elasticsearch with security does,
//! OpenSearch does not. A right that is missing would otherwise show as documents that wait for ever.

use std::time::Duration;

use millstream_delivery::NotReady;
use millstream_record::Error;
use serde_json::{Value, json};

use super::Start;
use super::targets::{Found, Presence};
use crate::client::Question;

const WRITE: &str = "index";
const TEMPLATES: &str = "manage_index_templates";

/// Each of them lets the first document make its index.
const CREATE: [&str; 2] = ["auto_configure", "create_index"];

impl Start {
    /// Refuses a login that may not write to these names.
    ///
    /// # Errors
    /// Stops with what is missing.
    pub(super) async fn check_rights(&self, found: &[Found], left: Duration) -> Result<(), NotReady> {
        let question = Question::post_json("_security/user/_has_privileges", question(found), left);
        // Whatever else the store says, such as Elasticsearch 7 without security with a status of 500, tells
        // nothing.
        let answer = self.client.ask(&question).await.ok().filter(|answer| answer.status == 200);
        let granted = answer.and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok());
        match granted.and_then(|granted| missing(found, &granted)) {
            Some(what) => Err(NotReady::Stop(Error::configuration(what))),
            None => Ok(()),
        }
    }
}

fn question(found: &[Found]) -> Value {
    let names: Vec<_> = found.iter().flat_map(names).collect();
    json!({
        "cluster": [TEMPLATES],
        "index": [{ "names": names, "privileges": [WRITE, CREATE[0], CREATE[1]] }],
    })
}

// A right on an index is one on its alias, too, and the reverse.
fn names(found: &Found) -> impl Iterator<Item = &str> {
    let index = match &found.presence {
        Presence::Index(index) if *index != found.name => Some(index.as_str()),
        Presence::Index(_) | Presence::Absent | Presence::Unknown => None,
    };
    std::iter::once(found.name.as_str()).chain(index)
}

// None where nothing is missing, as far as the answer says.
fn missing(found: &[Found], granted: &Value) -> Option<String> {
    let denies = |found: &Found, right: &str| {
        let mut said = names(found).filter_map(|name| granted["index"][name][right].as_bool()).peekable();
        said.peek().is_some() && !said.any(|granted| granted)
    };
    for one in found {
        if denies(one, WRITE) {
            let name = &one.name;
            return Some(format!(
                "the login may not write to {name}: grant it the privilege {WRITE} on that index"
            ));
        }
        if one.presence == Presence::Absent && CREATE.iter().all(|right| denies(one, right)) {
            return Some(format!(
                "there is no index {} yet, and the login may not make it: grant it {} or {} on that index, or make the index",
                one.name, CREATE[0], CREATE[1]
            ));
        }
    }
    let templates = granted["cluster"][TEMPLATES].as_bool();
    (templates == Some(false)).then(|| {
        format!("the login may not put index templates in place: grant it the cluster privilege {TEMPLATES}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(presence: Presence) -> Vec<Found> {
        vec![Found { name: "clicks".to_owned(), presence }]
    }

    fn granted(rights: &Value) -> Value {
        json!({ "has_all_requested": false, "cluster": { TEMPLATES: true }, "index": { "clicks": rights } })
    }

    #[test]
    fn what_is_missing_is_named() {
        let nothing = granted(&json!({ "index": false, "auto_configure": false, "create_index": false }));
        let told = missing(&found(Presence::Unknown), &nothing).unwrap();
        assert!(told.contains("may not write to clicks"), "{told}");
        let writes = granted(&json!({ "index": true, "auto_configure": false, "create_index": false }));
        let told = missing(&found(Presence::Absent), &writes).unwrap();
        assert!(told.contains("no index clicks yet"), "{told}");
        let mut all = granted(&json!({ "index": true, "auto_configure": false, "create_index": true }));
        assert_eq!(missing(&found(Presence::Absent), &all), None);
        all["cluster"][TEMPLATES] = json!(false);
        assert!(missing(&found(Presence::Absent), &all).unwrap().contains("index templates"));
    }

    #[test]
    fn nothing_more_is_asked_for_than_the_job_needs() {
        let writes = granted(&json!({ "index": true, "auto_configure": false, "create_index": false }));
        for presence in [Presence::Unknown, Presence::Index("clicks".to_owned())] {
            assert_eq!(missing(&found(presence), &writes), None);
        }
        let mut alias = granted(&json!({ "index": false }));
        alias["index"]["clicks-v2"] = json!({ "index": true });
        assert_eq!(missing(&found(Presence::Index("clicks-v2".to_owned())), &alias), None);
        // No answer that one could read.
        assert_eq!(missing(&found(Presence::Absent), &json!({ "error": "no handler" })), None);
    }
}
