//! One error type whose kind says what to do about it.

use std::error::Error as StdError;
use std::fmt;

/// The result of everything that can fail in a pipeline.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What whoever catches the error should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The same call may succeed a little later.
    Retry,
    /// The job must go back to its last checkpoint.
    Restart,
    /// A newer attempt of this job runs: this one must stop and touch nothing more.
    Fenced,
    /// One record is at fault: dead letter, and on with the next.
    BadRecord,
    /// The job is set up wrongly and must not start.
    Configuration,
    /// Stored data is damaged or does not fit: the message says which.
    Data,
    /// An invariant of Millstream or of user code does not hold.
    Bug,
}

/// An error with a kind, a message that says what to do, and its cause.
///
/// `Display` is the message alone. `Debug` is what `fn main() -> Result<()>` and `unwrap` print: the message,
/// every cause and where it happened, each on a line of its own. `{:#?}` shows the fields.
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
    operator: Option<String>,
    places: Vec<String>,
}

impl Error {
    /// An error without a cause.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None, operator: None, places: Vec::new() }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error with `context: ` before its message.
    #[must_use]
    pub fn in_context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// The same error with the operator that it comes from, unless that is known already.
    #[must_use]
    pub fn in_operator(mut self, name: &str) -> Self {
        self.operator.get_or_insert_with(|| name.to_owned());
        self
    }

    /// The same error with one more place where it happened, such as a subtask. The reason comes first,
    /// places follow it.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.places.push(place.to_string());
        self
    }

    /// The operator that it comes from.
    pub fn operator(&self) -> Option<&str> {
        self.operator.as_deref()
    }

    /// Where it happened: the operator, and what else is known.
    pub fn places(&self) -> Vec<String> {
        let operator = self.operator.iter().map(|operator| format!("operator {operator}"));
        operator.chain(self.places.iter().cloned()).collect()
    }

    /// [`ErrorKind::Retry`].
    pub fn retry(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Retry, message)
    }

    /// [`ErrorKind::Restart`].
    pub fn restart(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Restart, message)
    }

    /// [`ErrorKind::BadRecord`].
    pub fn bad_record(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadRecord, message)
    }

    /// [`ErrorKind::Configuration`].
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    /// [`ErrorKind::Data`].
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    /// [`ErrorKind::Bug`].
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Bug, message)
    }

    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message and every cause below it, joined by `: `, and where it happened.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        match self.places() {
            places if places.is_empty() => text,
            places => format!("{text} ({})", places.join(", ")),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return f
                .debug_struct("Error")
                .field("kind", &self.kind)
                .field("message", &self.message)
                .field("source", &self.source)
                .field("operator", &self.operator)
                .field("places", &self.places)
                .finish();
        }
        f.write_str(&self.message)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, "\n  because: {error}")?;
            cause = error.source();
        }
        self.places().iter().try_for_each(|place| write!(f, "\n  at: {place}"))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_names_every_cause() {
        let io = std::io::Error::other("connection refused");
        let error =
            Error::retry("no broker answers at 127.0.0.1:1").caused_by(io).in_context("source clicks");
        assert_eq!(error.chain(), "source clicks: no broker answers at 127.0.0.1:1: connection refused");
        assert_eq!(error.kind(), ErrorKind::Retry);
    }

    #[test]
    fn an_error_that_main_returns_reads_as_prose() {
        let io = std::io::Error::other("connection refused");
        let error = Error::retry("no broker answers at 127.0.0.1:1").caused_by(io).in_operator("clicks");
        let printed =
            "no broker answers at 127.0.0.1:1\n  because: connection refused\n  at: operator clicks";
        assert_eq!(format!("{error:?}"), printed);
        assert!(format!("{error:#?}").contains("kind: Retry"));
    }

    #[test]
    fn the_reason_comes_first_and_places_follow() {
        let error = Error::retry("no answer").in_operator("out").in_operator("outer").at("subtask 1 of 2");
        assert_eq!(error.chain(), "no answer (operator out, subtask 1 of 2)");
        assert_eq!(error.operator(), Some("out"));
    }
}
