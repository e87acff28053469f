//! How each store is doing: fine, slow, or away since when. Decided here, without I/O, from what the job
//! counts.

use std::time::Duration;

use millstream::runtime::SinkStatus;
use millstream::trouble::Ongoing;
use serde::Serialize;

/// A row that waits longer makes its store slow.
const SLOW: Duration = Duration::from_secs(5);
/// A store that acknowledges nothing for so long, while rows wait for it, is away, whether an error was seen
/// or not.
const SILENT: Duration = Duration::from_secs(10);
/// Answers that were under way when the trouble began.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The state of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// It takes its rows.
    Fine,
    /// It takes rows, but late or not all of them.
    Slow,
    /// It takes none.
    Away,
}

/// All sinks of one store together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Its name in the names of operators, such as `elasticsearch`.
    pub(super) name: String,
    /// The system, as troubles name it.
    pub(super) system: String,
    /// Rows that it has acknowledged.
    pub(super) written: u64,
    /// Rows that wait for it.
    pub(super) unwritten: u64,
    /// For how long the oldest of them waits.
    pub(super) oldest: Option<Duration>,
    /// How often it commits, if that is when its rows are acknowledged.
    pub(super) commits_every: Option<Duration>,
    /// For how long it has acknowledged nothing; none where it never has.
    pub(super) silent_for: Option<Duration>,
    /// What fails.
    pub(super) trouble: Option<Ongoing>,
}

/// What is to be said of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    /// Its state.
    pub(super) state: State,
    /// For how long, where it is not fine.
    pub(super) lasts: Option<Duration>,
    /// Why.
    pub(super) why: Option<String>,
}

/// The stores of a job, from its sinks: `user-clicks-to-redis` belongs to `redis`. The page itself is none.
pub(super) fn stores(sinks: &[SinkStatus]) -> Vec<Facts> {
    let mut stores: Vec<Facts> = Vec::new();
    for sink in sinks {
        let name = sink.name.split_once("-to-").map_or(sink.name.as_str(), |(_, store)| store);
        if name == "page" || name == "refused-dead-letters" {
            continue;
        }
        let known = stores.iter().position(|store| store.name == name);
        let place = known.unwrap_or_else(|| {
            stores.push(Facts { name: name.to_owned(), ..Facts::default() });
            stores.len() - 1
        });
        stores[place].add(sink);
    }
    stores
}

impl Facts {
    fn add(&mut self, sink: &SinkStatus) {
        self.system.clone_from(&sink.system);
        self.written += sink.written;
        self.unwritten += sink.unwritten;
        self.oldest = self.oldest.max(sink.oldest);
        self.commits_every = self.commits_every.max(sink.commits_every);
    }

    /// The state of the store.
    pub(super) fn judge(&self) -> Judged {
        let silent = self.silent_for.unwrap_or(Duration::MAX);
        let oldest = self.oldest.unwrap_or_default();
        // Rows that wait for a checkpoint are not late.
        let usual = 2 * self.commits_every.unwrap_or_default();
        match &self.trouble {
            Some(trouble) => {
                let no_answer =
                    silent.saturating_add(LAST_ANSWERS) >= trouble.lasts || silent >= SILENT + usual;
                let state = if no_answer { State::Away } else { State::Slow };
                // The first error may come long after the last answer.
                let lasts = if no_answer { trouble.lasts.max(oldest.min(silent)) } else { trouble.lasts };
                Judged { state, lasts: Some(lasts), why: Some(trouble.why.clone()) }
            }
            None if oldest >= SILENT + usual && silent >= SILENT + usual => {
                let why = "no answer, and no error either".to_owned();
                Judged { state: State::Away, lasts: Some(oldest.min(silent)), why: Some(why) }
            }
            None if oldest >= SLOW + usual => Judged { state: State::Slow, lasts: Some(oldest), why: None },
            None => Judged { state: State::Fine, lasts: None, why: None },
        }
    }

    /// Its name for people, and where it is.
    pub(super) fn title(&self) -> (String, String) {
        let (kind, number) = match self.name.rsplit_once('-') {
            Some((kind, number)) if number.parse::<u32>().is_ok() => (kind, format!(" {number}")),
            _ => (self.name.as_str(), String::new()),
        };
        let kind = match kind {
            "elasticsearch" => "Elasticsearch",
            "redis" => "Redis",
            "sqlite" => "SQLite",
            "csv" => "CSV files",
            "kafka" => "Kafka",
            "dead-letters" => "Dead letters",
            other => other,
        };
        let place = self.system.split_once(" at ").or_else(|| self.system.split_once(" file "));
        (format!("{kind}{number}"), place.map(|(_, place)| place.to_owned()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    fn trouble(lasts: u64) -> Option<Ongoing> {
        let lasts = Duration::from_secs(lasts);
        Some(Ongoing { subject: "Redis at redis://shop".into(), why: "refused".into(), lasts, attempts: 3 })
    }

    fn state(facts: &Facts) -> (State, Option<u64>) {
        let judged = facts.judge();
        (judged.state, judged.lasts.map(|lasts| lasts.as_secs()))
    }

    #[test]
    fn a_store_that_acknowledges_is_fine_however_much_waits() {
        let busy = Facts { unwritten: 1_000_000, oldest: secs(4), silent_for: secs(0), ..Facts::default() };
        assert_eq!(state(&busy), (State::Fine, None));
        // Nothing was ever written to it, and nothing is to be written.
        assert_eq!(state(&Facts::default()), (State::Fine, None));
        assert_eq!(state(&Facts { silent_for: secs(4000), ..Facts::default() }), (State::Fine, None));
    }

    #[test]
    fn a_store_is_away_since_its_trouble_began_unless_it_writes_all_the_same() {
        let failing = |silent_for, lasts| Facts { silent_for, trouble: trouble(lasts), ..Facts::default() };
        assert_eq!(state(&failing(None, 2)), (State::Away, Some(2)));
        assert_eq!(state(&failing(secs(43), 43)), (State::Away, Some(43)));
        assert_eq!(state(&failing(secs(42), 43)), (State::Away, Some(43)), "its last answer was under way");
        assert_eq!(state(&failing(secs(1), 43)), (State::Slow, Some(43)), "only a part of it is in trouble");
        assert_eq!(state(&failing(secs(11), 43)), (State::Away, Some(43)));
        let silent = Facts { oldest: secs(33), ..failing(secs(35), 23) };
        assert_eq!(
            state(&silent),
            (State::Away, Some(33)),
            "it kept silent before the first request timed out"
        );
    }

    #[test]
    fn a_store_that_keeps_silent_is_slow_and_then_away_before_any_error_is_seen() {
        let waits = |oldest, silent| Facts {
            unwritten: 1,
            oldest: secs(oldest),
            silent_for: secs(silent),
            ..Facts::default()
        };
        assert_eq!(state(&waits(5, 5)), (State::Slow, Some(5)));
        assert_eq!(state(&waits(12, 13)), (State::Away, Some(12)));
        assert_eq!(state(&waits(12, 3)), (State::Slow, Some(12)));
        let commits = |oldest| Facts { commits_every: secs(60), ..waits(oldest, oldest) };
        assert_eq!(state(&commits(100)), (State::Fine, None), "it waits for the next checkpoint");
        assert_eq!(state(&commits(200)), (State::Away, Some(200)));
    }

    #[test]
    fn sinks_of_one_store_are_one() {
        let sink = |name: &str, unwritten, oldest| SinkStatus {
            name: name.into(),
            system: "Redis at redis://shop".into(),
            written: 10,
            unwritten,
            oldest,
            commits_every: None,
        };
        let sinks = [
            sink("pv-uv-to-redis", 3, secs(1)),
            sink("hot-items-to-redis", 4, secs(7)),
            sink("pv-uv-to-page", 9, secs(99)),
            sink("dead-letters", 0, None),
        ];
        let stores = stores(&sinks);
        let names: Vec<_> = stores.iter().map(|store| store.name.as_str()).collect();
        assert_eq!(names, ["redis", "dead-letters"]);
        assert_eq!((stores[0].unwritten, stores[0].written, stores[0].oldest), (7, 20, secs(7)));
        assert_eq!(stores[0].title(), ("Redis".to_owned(), "redis://shop".to_owned()));
        let second = Facts { name: "kafka-2".into(), ..Facts::default() };
        assert_eq!(second.title(), ("Kafka 2".to_owned(), String::new()));
    }
}
