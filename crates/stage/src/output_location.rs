//! Where a sink writes, for the rule that no pipeline reads what it writes.

use std::fmt;

/// A place that a sink writes to and that a source may read.
///
/// A pipeline that read its own output would take its results for events. So sinks tell where they write
/// ([`Sink::outputs`](crate::sink::Sink::outputs)), and sources say whether they read that
/// ([`Source::reads_output`](crate::source::Source::reads_output)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputLocation {
    /// The file at this path.
    File(String),
    /// A topic of a message queue.
    Topic {
        /// The addresses of the brokers, `host:port`.
        brokers: Vec<String>,
        /// Its name.
        topic: String,
    },
}

impl fmt::Display for OutputLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.write_str(path),
            Self::Topic { topic, .. } => write!(f, "topic {topic}"),
        }
    }
}
