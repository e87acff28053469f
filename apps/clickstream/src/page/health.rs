//! The sentence at the top of the page: how the job is, and why.

use std::time::Duration;

use millstream::runtime::JobStatus;
use millstream::trouble::rounded;
use serde::Serialize;

use super::store::State;

/// How much it hurts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Level {
    /// All is well.
    Good,
    /// Somebody may want to look.
    Warn,
    /// Results are missing.
    Bad,
    /// Nothing runs, as was wanted.
    Over,
}

/// How the job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Health {
    /// How much it hurts.
    pub(super) level: Level,
    /// In a word.
    pub(super) word: &'static str,
    /// In a sentence.
    pub(super) text: String,
}

/// A store as far as the job's health depends on it.
#[derive(Clone, Debug)]
pub(super) struct Store {
    /// Its name for people.
    pub(super) title: String,
    /// Its state.
    pub(super) state: State,
    /// For how long, where it is not fine.
    pub(super) lasts: Option<Duration>,
    /// Rows that wait for it.
    pub(super) unwritten: u64,
}

/// What is known of the job.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// Flink's status.
    pub(super) status: JobStatus,
    /// Whether it is being stopped in order.
    pub(super) stopping: bool,
    /// The number of the attempt.
    pub(super) attempts: u64,
    /// In how long the next one begins.
    pub(super) next_attempt: Option<Duration>,
    /// The last failure.
    pub(super) failure: Option<String>,
    /// Whether everything was read.
    pub(super) input_ended: bool,
    /// Its stores.
    pub(super) stores: Vec<Store>,
    /// What else is in trouble, the first of it.
    pub(super) trouble: Option<String>,
}

/// Says how the job is.
pub(super) fn health(facts: &Facts) -> Health {
    let says = |level, word, text: String| Health { level, word, text };
    let failure = || facts.failure.clone().unwrap_or_default();
    match facts.status {
        JobStatus::Initializing | JobStatus::Running if facts.stopping => {
            says(Level::Warn, "Stopping", stopping(&facts.stores))
        }
        JobStatus::Initializing => match &facts.trouble {
            Some(trouble) => says(Level::Bad, "Starting", trouble.clone()),
            None => says(Level::Warn, "Starting", "It finds its input and restores its state.".to_owned()),
        },
        JobStatus::Running => running(facts),
        JobStatus::Failing => says(Level::Bad, "Failing", failure()),
        JobStatus::Restarting => {
            let next = match facts.next_attempt.filter(|next| *next >= Duration::from_secs(1)) {
                Some(next) => format!("Attempt {} begins in {}.", facts.attempts + 1, whole(next)),
                None => format!("Attempt {} begins.", facts.attempts + 1),
            };
            says(Level::Bad, "Restarting", sentences(&[next, failure()]))
        }
        JobStatus::Cancelling => says(Level::Over, "Being cancelled", String::new()),
        JobStatus::Canceled => {
            let text = "It goes on from its latest checkpoint when it is started again.";
            says(Level::Over, "Cancelled", text.to_owned())
        }
        JobStatus::Finished if facts.input_ended => {
            let text = "The whole input was read, and every store has all results.";
            says(Level::Over, "Finished", text.to_owned())
        }
        JobStatus::Finished => {
            let text = "It was stopped with a savepoint, from which it can go on.";
            says(Level::Over, "Finished", text.to_owned())
        }
        JobStatus::Failed => says(Level::Bad, "Failed", failure()),
        JobStatus::Suspended => {
            let waits = unwritten(&facts.stores);
            let goes_on = "It goes on where it was when it is started again.".to_owned();
            match waits {
                0 => says(Level::Over, "Stopped", goes_on),
                _ => says(Level::Warn, "Stopped", format!("{} not written yet. {goes_on}", rows(waits))),
            }
        }
    }
}

fn running(facts: &Facts) -> Health {
    let in_state = |state| facts.stores.iter().filter(move |store| store.state == state);
    let away: Vec<_> = in_state(State::Away).collect();
    let slow: Vec<_> = in_state(State::Slow).collect();
    let (level, word, text) = match (away.as_slice(), slow.as_slice(), &facts.trouble) {
        ([store], ..) => {
            let lasts = whole(store.lasts.unwrap_or_default());
            let waits = match store.unwritten {
                0 => String::new(),
                count => {
                    format!("; {} for it", if count == 1 { "1 row waits".into() } else { waiting(count) })
                }
            };
            let text = format!("{} has been away for {lasts}{waits}. The job itself runs.", store.title);
            (Level::Bad, "Store away", text)
        }
        ([_, ..], ..) => {
            let names: Vec<_> = away.iter().map(|store| store.title.as_str()).collect();
            let count = away.iter().map(|store| store.unwritten).sum();
            let names = names.join(" and ");
            let text = format!("{names} are away; {} for them. The job itself runs.", waiting(count));
            (Level::Bad, "Stores away", text)
        }
        (_, [store, ..], _) => (Level::Warn, "Store slow", format!("{} takes its rows late.", store.title)),
        (_, _, Some(trouble)) => (Level::Warn, "Running with trouble", trouble.clone()),
        _ if facts.stores.is_empty() => {
            (Level::Good, "Running", "Results are on this page alone.".to_owned())
        }
        _ => (Level::Good, "Running", "Every store takes its rows.".to_owned()),
    };
    Health { level, word, text }
}

fn stopping(stores: &[Store]) -> String {
    let late = stores.iter().filter(|store| store.unwritten > 0).max_by_key(|store| store.unwritten);
    match late {
        Some(store) => {
            format!(
                "It reads no more and waits for {}: {} not written yet.",
                store.title,
                rows(store.unwritten)
            )
        }
        None => "It reads no more; what was read is processed and written.".to_owned(),
    }
}

fn unwritten(stores: &[Store]) -> u64 {
    stores.iter().map(|store| store.unwritten).sum()
}

fn rows(count: u64) -> String {
    if count == 1 { "1 row is".to_owned() } else { format!("{} rows are", grouped(count)) }
}

fn waiting(count: u64) -> String {
    format!("{} rows wait", grouped(count))
}

fn whole(time: Duration) -> String {
    rounded(Duration::from_secs(time.as_secs().max(1))).replace(".0 s", " s")
}

fn sentences(parts: &[String]) -> String {
    let parts: Vec<_> = parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect();
    parts.join(" ")
}

// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(status: JobStatus) -> Facts {
        Facts {
            status,
            stopping: false,
            attempts: 1,
            next_attempt: None,
            failure: None,
            input_ended: false,
            stores: vec![store("SQLite", State::Fine, None, 3)],
            trouble: None,
        }
    }

    fn store(title: &str, state: State, lasts: Option<u64>, unwritten: u64) -> Store {
        Store { title: title.into(), state, lasts: lasts.map(Duration::from_secs), unwritten }
    }

    fn said(facts: &Facts) -> (Level, &'static str, String) {
        let Health { level, word, text } = health(facts);
        (level, word, text)
    }

    #[test]
    fn a_store_that_is_away_comes_before_everything_else() {
        let mut facts = facts(JobStatus::Running);
        assert_eq!(said(&facts), (Level::Good, "Running", "Every store takes its rows.".into()));
        facts.trouble = Some("checkpoints of job `clicks`: no space".into());
        assert_eq!(
            said(&facts),
            (Level::Warn, "Running with trouble", "checkpoints of job `clicks`: no space".into())
        );
        facts.stores.push(store("Kafka", State::Slow, Some(7), 9));
        assert_eq!(said(&facts), (Level::Warn, "Store slow", "Kafka takes its rows late.".into()));
        facts.stores.push(store("Elasticsearch", State::Away, Some(43), 12_345));
        let text = "Elasticsearch has been away for 43 s; 12,345 rows wait for it. The job itself runs.";
        assert_eq!(said(&facts), (Level::Bad, "Store away", text.into()));
        facts.stores.push(store("Redis", State::Away, Some(3), 1));
        let text = "Elasticsearch and Redis are away; 12,346 rows wait for them. The job itself runs.";
        assert_eq!(said(&facts), (Level::Bad, "Stores away", text.into()));
    }

    #[test]
    fn a_job_that_fails_says_why_and_when_it_tries_again() {
        let facts = |status, next| Facts {
            attempts: 2,
            next_attempt: Some(Duration::from_millis(next)),
            failure: Some("disk full".into()),
            ..facts(status)
        };
        let text = "Attempt 3 begins in 8 s. disk full".to_owned();
        assert_eq!(said(&facts(JobStatus::Restarting, 8200)), (Level::Bad, "Restarting", text));
        assert_eq!(said(&facts(JobStatus::Restarting, 20)).2, "Attempt 3 begins. disk full");
        assert_eq!(said(&facts(JobStatus::Failing, 0)), (Level::Bad, "Failing", "disk full".into()));
        assert_eq!(said(&facts(JobStatus::Failed, 0)), (Level::Bad, "Failed", "disk full".into()));
    }

    #[test]
    fn the_ends_of_a_job_are_told_apart() {
        let whole = Facts { input_ended: true, ..facts(JobStatus::Finished) };
        let (level, word, text) = said(&whole);
        assert!((level, word) == (Level::Over, "Finished") && text.contains("whole input"), "{text}");
        assert!(said(&facts(JobStatus::Finished)).2.contains("savepoint"));
        let stopped = said(&facts(JobStatus::Suspended));
        assert_eq!((stopped.0, stopped.1), (Level::Warn, "Stopped"));
        assert!(stopped.2.starts_with("3 rows are not written yet."), "{}", stopped.2);
        let stopping = Facts { stopping: true, ..facts(JobStatus::Running) };
        assert!(said(&stopping).2.contains("waits for SQLite: 3 rows are not written yet"));
        assert_eq!(said(&facts(JobStatus::Canceled)).1, "Cancelled");
    }
}
