//! What a job writes must not be what it reads: it would take its results for events, and each of those is a
//! dead letter, which it reads again.

use std::fmt;

use millstream::connectors::files::FilesSource;
#[cfg(feature = "servers")]
use millstream::connectors::kafka::KafkaSinkOptions;
use millstream::{Error, Result};

use crate::options::{DeadLetterOptions, Options, SinkOptions, SourceOptions};
use crate::sinks::csv;
#[cfg(feature = "servers")]
use crate::sinks::kafka;

/// The names of all tables.
const TABLES: [&str; 3] = ["user_clicks", "hot_items", "pv_uv"];

enum OutputPlace {
    File(String),
    #[cfg(feature = "servers")]
    Topic {
        topic: String,
        brokers: String,
    },
}

/// Refuses a place to write to that the source reads.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream::ErrorKind::Configuration), naming both.
pub fn refuse_own_output(options: &Options) -> Result<()> {
    let read = places(options).into_iter().find(|(_, place)| place.is_read_by(&options.source));
    let Some((part, place)) = read else { return Ok(()) };
    Err(Error::configuration(format!(
        "`{part}` writes to {place}, which `source` reads: the job would take its own output for events. Let one of them be elsewhere"
    )))
}

fn places(options: &Options) -> Vec<(String, OutputPlace)> {
    let mut places = Vec::new();
    for (number, sink) in options.sinks.iter().enumerate() {
        let of_sink: Vec<_> = match sink {
            SinkOptions::Csv(options) => {
                TABLES.map(|table| OutputPlace::File(csv::path(options, table))).into()
            }
            SinkOptions::Sqlite(options) => {
                vec![OutputPlace::File(options.path.to_string_lossy().into_owned())]
            }
            #[cfg(feature = "servers")]
            SinkOptions::Kafka(options) => {
                TABLES.map(|table| OutputPlace::topic(kafka::topic_of(options, table), options)).into()
            }
            #[cfg(feature = "servers")]
            SinkOptions::Elasticsearch(_) | SinkOptions::Redis(_) => Vec::new(),
            #[cfg(not(feature = "servers"))]
            SinkOptions::LeftOut(left_out) => match *left_out {},
        };
        places.extend(of_sink.into_iter().map(|place| (format!("sinks.{number}"), place)));
    }
    let dead_letters = match &options.dead_letter {
        DeadLetterOptions::Files(file) => OutputPlace::File(file.path.clone()),
        #[cfg(feature = "servers")]
        DeadLetterOptions::Kafka(options) => OutputPlace::topic(options.topic.clone(), options),
        #[cfg(not(feature = "servers"))]
        DeadLetterOptions::LeftOut(left_out) => match *left_out {},
    };
    places.push(("dead-letter".to_owned(), dead_letters));
    places
}

impl OutputPlace {
    #[cfg(feature = "servers")]
    fn topic(topic: String, options: &KafkaSinkOptions) -> Self {
        Self::Topic { topic, brokers: options.brokers.clone() }
    }

    fn is_read_by(&self, source: &SourceOptions) -> bool {
        match (self, source) {
            (Self::File(file), SourceOptions::Files(files)) => FilesSource::new(files.source()).reads(file),
            #[cfg(feature = "servers")]
            (Self::Topic { topic, brokers }, SourceOptions::Kafka(from)) => {
                from.topic.0.contains(topic) && is_same_cluster(brokers, &from.brokers)
            }
            _ => false,
        }
    }
}

// As far as their addresses tell.
#[cfg(feature = "servers")]
fn is_same_cluster(one: &str, other: &str) -> bool {
    let addresses =
        |brokers: &str| brokers.split(',').map(|address| address.trim().to_owned()).collect::<Vec<_>>();
    let other = addresses(other);
    addresses(one).iter().any(|address| other.contains(address))
}

impl fmt::Display for OutputPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.write_str(file),
            #[cfg(feature = "servers")]
            Self::Topic { topic, .. } => write!(f, "topic {topic}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(job: &str) -> Option<String> {
        let options: Options = serde_json::from_str(job).unwrap();
        refuse_own_output(&options).err().map(|error| error.to_string())
    }

    #[test]
    fn files_that_the_source_would_read_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().display();
        let job = |source: &str, sink: &str, letters: &str| {
            refused(&format!(
                r#"{{"source": {{"type": "files", "path": "{dir}/{source}"}}, "sinks": [{sink}],
                    "dead-letter": {{"type": "files", "path": "{dir}/{letters}"}}}}"#
            ))
        };
        let csv = format!(r#"{{"type": "csv", "dir": "{dir}/out"}}"#);
        let sqlite = format!(r#"{{"type": "sqlite", "path": "{dir}/clicks.db"}}"#);
        assert_eq!(job("*.json", &csv, "dead-letter.jsonl"), None);
        assert_eq!(job("in/*.jsonl", &sqlite, "dead-letter.jsonl"), None);
        let letters = job("*.jsonl", &csv, "dead-letter.jsonl").unwrap();
        assert!(
            letters.starts_with("`dead-letter` writes to") && letters.contains("dead-letter.jsonl, which"),
            "{letters}"
        );
        assert!(job("**/*.csv", &csv, "x").unwrap().starts_with("`sinks.0` writes to"));
        assert!(job("", &sqlite, "elsewhere/x").unwrap().contains("clicks.db"));
    }

    #[test]
    fn topics_that_the_source_reads_are_refused_in_the_same_cluster() {
        let job = |sink: &str, letters: &str| {
            refused(&format!(
                r#"{{"source": {{"type": "kafka", "brokers": "a:1, b:1", "topic": ["clicks", "carts"]}},
                    "sinks": [{{"type": "kafka", "brokers": "b:1", "topic": "{sink}"}}],
                    "dead-letter": {{"type": "kafka", "brokers": "{letters}", "topic": "carts"}}}}"#
            ))
        };
        assert_eq!(job("results-{table}", "c:1"), None);
        assert!(
            job("clicks", "c:1").unwrap().contains("`sinks.0` writes to topic clicks, which `source` reads")
        );
        assert!(job("results", "a:1").unwrap().starts_with("`dead-letter` writes to topic carts"));
    }
}
