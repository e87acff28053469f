//! How commands without a configuration file reach Kafka.

use clap::Args;
use millstream::connectors::kafka::{KafkaSinkOptions, KafkaSourceOptions, Properties};

/// Brokers, and what they want to know.
#[derive(Clone, Debug, Args)]
pub(super) struct KafkaArgs {
    /// Kafka's brokers, separated by commas
    #[arg(long, default_value = "127.0.0.1:9092", value_name = "HOST:PORT")]
    brokers: String,
    /// A file of properties of the Kafka client for TLS and logins, one NAME=VALUE per line as Kafka's own
    /// tools read it, with librdkafka's names: security.protocol, ssl.ca.location, sasl.mechanism,
    /// sasl.username, sasl.password
    #[arg(long, value_name = "FILE", value_parser = client)]
    command_config: Option<Properties>,
}

impl KafkaArgs {
    /// A sink that writes to a topic.
    pub(super) fn sink(&self, topic: &str) -> KafkaSinkOptions {
        let (brokers, client) = self.client();
        KafkaSinkOptions { brokers, client, topic: topic.to_owned(), ..KafkaSinkOptions::default() }
    }

    /// A source that reads a topic.
    pub(super) fn source(&self, topic: &str) -> KafkaSourceOptions {
        let (brokers, client) = self.client();
        KafkaSourceOptions { brokers, client, topic: topic.into(), ..KafkaSourceOptions::default() }
    }

    fn client(&self) -> (String, Properties) {
        (self.brokers.clone(), self.command_config.clone().unwrap_or_default())
    }
}

fn client(path: &str) -> Result<Properties, String> {
    properties(&std::fs::read_to_string(path).map_err(|error| error.to_string())?)
}

// A line that is wrong is not shown: it may be a password.
fn properties(text: &str) -> Result<Properties, String> {
    let lines = (1..).zip(text.trim_start_matches('\u{feff}').lines().map(str::trim));
    let settings = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with(['#', '!']));
    let pairs = settings.map(|(number, line)| match line.split_once('=') {
        Some((name, _)) if name.trim() == "sasl.jaas.config" => Err(format!(
            "line {number}: sasl.jaas.config belongs to Kafka's Java client: write sasl.mechanism, sasl.username and sasl.password"
        )),
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim(), value.trim())),
        _ => Err(format!("line {number} is no NAME=VALUE")),
    });
    pairs.collect::<Result<Vec<_>, _>>().map(Properties::from_iter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_as_kafkas_tools_read_them() {
        let text = "\u{feff}# TLS\nsecurity.protocol = SASL_SSL\r\n\n! login\nsasl.password=a=b \n";
        let read = properties(text).unwrap();
        let pairs: Vec<_> = read.iter().collect();
        assert_eq!(pairs, [("sasl.password", "a=b"), ("security.protocol", "SASL_SSL")]);
    }

    #[test]
    fn a_line_that_is_wrong_is_named_and_not_shown() {
        for (text, wanted) in [
            ("a=b\ngeheim\n", "line 2 is no NAME=VALUE"),
            ("=geheim", "line 1 is no NAME=VALUE"),
            ("sasl.jaas.config=geheim", "sasl.username"),
        ] {
            let wrong = properties(text).unwrap_err();
            assert!(wrong.contains(wanted) && !wrong.contains("geheim"), "{wrong}");
        }
    }
}
