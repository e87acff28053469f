//! What a restore check found, as data and as text.

use std::fmt;

use millstream_record::schema::Note;
use millstream_record::{Error, Result};

/// What becomes of a job's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreReport {
    /// Every operator that has state, in the job or in the snapshot: those of the job first, upstream first.
    pub operators: Vec<OperatorReport>,
    /// The snapshot's and the job's number of key groups, where they differ: no restore is possible then.
    pub key_groups: Option<(u16, u16)>,
}

/// One operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorReport {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: String,
    /// Its states.
    pub states: Vec<StateReport>,
}

/// One state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateReport {
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub fate: StateFate,
}

/// What becomes of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateFate {
    /// It comes back as it is.
    Same,
    /// It comes back, with these changes.
    Migrates(Vec<Note>),
    /// It cannot come back, for these reasons.
    Incompatible(Vec<Note>),
    /// The snapshot has it under the operator's name, but the operator is of another kind now.
    Foreign,
    /// The operator does not say beforehand what states it has: it judges by itself when it opens.
    Unknown,
    /// The snapshot does not have it: it begins empty.
    New,
    /// The job does not have it.
    Dropped,
}

impl StateReport {
    pub(super) fn new(name: &str, fate: StateFate) -> Self {
        Self { name: name.to_owned(), fate }
    }
}

impl RestoreReport {
    /// Refuses a restore that would fail or, unless it is allowed, lose state. Names every state that stands
    /// against it and what to do.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) when a state does not fit;
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when state would be lost, or
    /// a setting is another.
    pub fn refusal(&self, allow_non_restored_state: bool) -> Result<()> {
        let states = || {
            self.operators
                .iter()
                .flat_map(|operator| operator.states.iter().map(move |state| (operator, state)))
        };
        let reasons =
            states().filter_map(|(operator, state)| operator.reason(state, allow_non_restored_state));
        let reasons: Vec<_> = self.key_groups_reason().into_iter().chain(reasons).collect();
        if reasons.is_empty() {
            return Ok(());
        }
        let text = format!("the snapshot does not fit the job: {}", reasons.join("; "));
        let misfit = states().any(|(_, state)| state.fate.is_misfit());
        Err(if misfit { Error::data(text) } else { Error::configuration(text) })
    }

    fn key_groups_reason(&self) -> Option<String> {
        let (snapshot, job) = self.key_groups?;
        Some(format!(
            "the snapshot has {snapshot} key groups and the job {job}: set the job's to the snapshot's"
        ))
    }

    fn rows(&self) -> Vec<[String; 3]> {
        let mut rows = vec![["operator", "state", "on restore"].map(str::to_owned)];
        for operator in &self.operators {
            let mut name = format!("{} ({})", operator.name, operator.kind);
            for state in &operator.states {
                let mut shown = state.name.clone();
                for line in state.fate.lines() {
                    rows.push([std::mem::take(&mut name), std::mem::take(&mut shown), line]);
                }
            }
        }
        rows
    }
}

impl OperatorReport {
    fn reason(&self, state: &StateReport, allow_non_restored_state: bool) -> Option<String> {
        let (operator, name) = (&self.name, &state.name);
        match &state.fate {
            StateFate::Incompatible(notes) => {
                let notes: Vec<_> = notes.iter().map(Note::to_string).collect();
                Some(format!("operator `{operator}`, state `{name}`: {}", notes.join("; ")))
            }
            StateFate::Foreign => Some(format!(
                "the snapshot has a state `{name}` of an operator named `{operator}`, which is another kind of operator now: give the \
                 new operator a name of its own"
            )),
            StateFate::Dropped if !allow_non_restored_state => Some(format!(
                "the snapshot has state of an operator named `{operator}` (`{name}`), the job has none: give it its old name back, or \
                 allow that it is lost (--allow-non-restored-state)"
            )),
            StateFate::Dropped
            | StateFate::Same
            | StateFate::Migrates(_)
            | StateFate::Unknown
            | StateFate::New => None,
        }
    }
}

impl StateFate {
    fn is_misfit(&self) -> bool {
        matches!(self, Self::Incompatible(_) | Self::Foreign)
    }

    fn lines(&self) -> Vec<String> {
        let listed = |word: &str, notes: &[Note]| {
            let line = |(number, note): (usize, &Note)| {
                let head = if number == 0 { word.to_owned() } else { " ".repeat(word.len()) };
                format!("{head} {note}")
            };
            notes.iter().enumerate().map(line).collect()
        };
        match self {
            Self::Same => vec!["same".to_owned()],
            Self::Migrates(notes) => listed("migrates:", notes),
            Self::Incompatible(notes) => listed("INCOMPATIBLE:", notes),
            Self::Foreign => vec!["INCOMPATIBLE: the operator is of another kind now".to_owned()],
            Self::Unknown => vec!["unknown before the operator opens".to_owned()],
            Self::New => vec!["new: begins empty".to_owned()],
            Self::Dropped => vec!["DROPPED: the job has no such state".to_owned()],
        }
    }
}

/// A table for people: operator, state, what becomes of it.
impl fmt::Display for RestoreReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (first, second) = (width(0), width(1));
        for [operator, state, fate] in &rows {
            writeln!(f, "{operator:first$}  {state:second$}  {fate}")?;
        }
        match self.key_groups_reason() {
            Some(reason) => writeln!(f, "INCOMPATIBLE: {reason}"),
            None => Ok(()),
        }
    }
}
