//! What can be set.

use std::path::PathBuf;
use std::time::Duration;

use millstream_record::{Error, Result};
use millstream_stage::options::{Secret, duration, optional_duration, size};
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::template::check_index_name;

/// Where to write, how to log in, and when to send. Keys are those of Flink's connector where the thing is
/// the same.
///
/// Limits hold per subtask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ElasticsearchOptions {
    /// The base URLs of one cluster's nodes; a path is kept. Requests go to the nodes in turn, and a node
    /// that fails is left out for a while.
    #[schemars(extend("x-flink" = "hosts"))]
    pub hosts: Vec<String>,
    /// The user to log in as; needs a password.
    #[schemars(extend("x-flink" = "username"))]
    pub username: Option<String>,
    /// The password of `username`.
    #[schemars(extend("x-flink" = "password"))]
    pub password: Option<Secret>,
    /// The variable of the environment that holds the password, instead of giving it here.
    pub password_env: Option<String>,
    /// The file that holds the password, without its last line break, instead of giving it here.
    pub password_file: Option<PathBuf>,
    /// The API key to log in with instead of a user, in its encoded form (`id:key` in base64).
    pub api_key: Option<Secret>,
    /// The variable of the environment that holds the API key, instead of giving it here.
    pub api_key_env: Option<String>,
    /// The file that holds the API key, without its last line break, instead of giving it here.
    pub api_key_file: Option<PathBuf>,
    /// For `https`: a PEM file with the certificates to trust. Without it, the certificates that the machine
    /// trusts are used.
    pub ca_file: Option<PathBuf>,
    /// A text that is put before the name of every index and template.
    #[schemars(extend("x-flink" = "index"))]
    pub index_prefix: String,
    /// A request is sent when this many documents wait.
    #[serde(rename = "bulk-flush.max-actions")]
    #[schemars(extend("x-flink" = "sink.bulk-flush.max-actions"))]
    pub max_actions: usize,
    /// A request is sent when documents of this size wait. No request is larger, unless a single document is.
    #[serde(rename = "bulk-flush.max-size", with = "size")]
    #[schemars(extend("x-flink" = "sink.bulk-flush.max-size"))]
    pub max_bytes: usize,
    /// A request is sent when a document has waited for this long; `0s` sends at once.
    #[serde(rename = "bulk-flush.interval", with = "duration")]
    #[schemars(extend("x-flink" = "sink.bulk-flush.interval"))]
    pub interval: Duration,
    /// The largest number of requests in flight; there are fewer while the cluster is overloaded.
    #[serde(rename = "bulk-flush.max-in-flight")]
    pub max_in_flight: usize,
    /// The wait before the first repetition; it doubles with each further one.
    #[serde(rename = "bulk-flush.backoff.delay", with = "duration")]
    #[schemars(extend("x-flink" = "sink.bulk-flush.backoff.delay"))]
    pub backoff_delay: Duration,
    /// The longest wait between repetitions.
    #[serde(rename = "bulk-flush.backoff.max-delay", with = "duration")]
    pub backoff_max_delay: Duration,
    /// How long a document is retried before the job is restarted from its checkpoint. Without it, the sink
    /// retries for ever; the metric `retries` and the log show it.
    #[serde(rename = "bulk-flush.backoff.max-time", with = "optional_duration")]
    pub backoff_max_time: Option<Duration>,
    /// How much the writer of one subtask holds, sent or not, before it takes no more data.
    #[serde(rename = "buffer.max-size", with = "size")]
    pub buffer_bytes: usize,
    /// A larger document goes to the dead letter without being sent.
    #[serde(rename = "document.max-size", with = "size")]
    pub max_document_bytes: usize,
    /// How long to wait for a connection.
    #[serde(rename = "connection.timeout", with = "duration")]
    #[schemars(extend("x-flink" = "connection.timeout"))]
    pub connect_timeout: Duration,
    /// How long to wait for the answer to a request.
    #[serde(rename = "connection.request-timeout", with = "duration")]
    #[schemars(extend("x-flink" = "socket.timeout"))]
    pub request_timeout: Duration,
    /// How long the job waits at its start for a cluster that does not answer.
    #[serde(rename = "start.timeout", with = "duration")]
    pub start_timeout: Duration,
}

impl Default for ElasticsearchOptions {
    fn default() -> Self {
        Self {
            hosts: vec!["http://127.0.0.1:9200".to_owned()],
            username: None,
            password: None,
            password_env: None,
            password_file: None,
            api_key: None,
            api_key_env: None,
            api_key_file: None,
            ca_file: None,
            index_prefix: String::new(),
            max_actions: 5000,
            max_bytes: 4 << 20,
            interval: Duration::from_millis(100),
            max_in_flight: 4,
            backoff_delay: Duration::from_millis(100),
            backoff_max_delay: Duration::from_secs(10),
            backoff_max_time: None,
            buffer_bytes: 32 << 20,
            max_document_bytes: 16 << 20,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            start_timeout: Duration::from_secs(30),
        }
    }
}

impl ElasticsearchOptions {
    /// Refuses what can never work. No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration), naming the key.
    pub fn validate(&self) -> Result<()> {
        self.urls()?;
        self.check_login()?;
        check_prefix(&self.index_prefix)?;
        for (key, value) in [
            ("bulk-flush.max-actions", self.max_actions),
            ("bulk-flush.max-size", self.max_bytes),
            ("bulk-flush.max-in-flight", self.max_in_flight),
            ("buffer.max-size", self.buffer_bytes),
            ("document.max-size", self.max_document_bytes),
        ] {
            refuse(value == 0, || format!("{key} is 0: nothing would ever be written"))?;
        }
        for (key, value) in [
            ("bulk-flush.backoff.delay", self.backoff_delay),
            ("connection.timeout", self.connect_timeout),
            ("connection.request-timeout", self.request_timeout),
            ("start.timeout", self.start_timeout),
        ] {
            refuse(value.is_zero(), || format!("{key} is 0: write a duration such as 5s"))?;
        }
        refuse(self.backoff_max_delay < self.backoff_delay, || {
            "bulk-flush.backoff.max-delay is shorter than bulk-flush.backoff.delay".to_owned()
        })
    }

    /// The hosts as URLs.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when there is none or one is
    /// no URL.
    pub(crate) fn urls(&self) -> Result<Vec<Url>> {
        refuse(self.hosts.is_empty(), || {
            "hosts is empty: name at least one, such as http://127.0.0.1:9200".to_owned()
        })?;
        self.hosts.iter().map(|host| parse_host(host)).collect()
    }

    fn check_login(&self) -> Result<()> {
        let count = |given: [bool; 3]| given.into_iter().filter(|given| *given).count();
        let passwords =
            count([self.password.is_some(), self.password_env.is_some(), self.password_file.is_some()]);
        let keys = count([self.api_key.is_some(), self.api_key_env.is_some(), self.api_key_file.is_some()]);
        refuse(passwords > 1, || "password, password-env and password-file exclude each other".to_owned())?;
        refuse(keys > 1, || "api-key, api-key-env and api-key-file exclude each other".to_owned())?;
        refuse(self.username.is_some() != (passwords == 1), || {
            "username and password belong together: one of them is missing".to_owned()
        })?;
        refuse(passwords + keys > 1, || {
            "username and api-key are two ways to log in: leave one out".to_owned()
        })
    }
}

fn parse_host(host: &str) -> Result<Url> {
    // The text itself may hold a password, so that only its tail is shown.
    let shown = host.rsplit('@').next().unwrap_or_default();
    let wanted =
        || Error::configuration(format!("host {shown:?} is no URL: write it as http://127.0.0.1:9200"));
    let url = Url::parse(host).map_err(|cause| wanted().caused_by(cause))?;
    refuse(!url.username().is_empty() || url.password().is_some(), || {
        format!("host {shown:?} contains a login: use username and password instead")
    })?;
    let usable = matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none();
    if usable { Ok(url) } else { Err(wanted()) }
}

fn check_prefix(prefix: &str) -> Result<()> {
    if prefix.is_empty() {
        return Ok(());
    }
    check_index_name(prefix)
        .map_err(|reason| Error::configuration(format!("index-prefix {prefix:?} {reason}")))
}

fn refuse(wrong: bool, message: impl FnOnce() -> String) -> Result<()> {
    if wrong { Err(Error::configuration(message())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_json(json: serde_json::Value) -> Result<ElasticsearchOptions, serde_json::Error> {
        serde_json::from_value(json)
    }

    #[test]
    fn the_defaults_and_the_keys_in_the_documentation_work() {
        ElasticsearchOptions::default().validate().unwrap();
        let options = from_json(serde_json::json!({
            "hosts": ["https://es-1:9200/search", "https://es-2:9200"], "username": "u", "password": "p",
            "ca-file": "ca.pem", "index-prefix": "shop-", "bulk-flush.max-actions": 10, "bulk-flush.max-size": "2mb",
            "bulk-flush.interval": "1s", "bulk-flush.backoff.max-time": "10 min", "start.timeout": 500,
        }));
        let options = options.unwrap();
        options.validate().unwrap();
        assert_eq!(options.max_bytes, 2 << 20);
        assert_eq!(options.backoff_max_time, Some(Duration::from_secs(600)));
        assert_eq!(options.start_timeout, Duration::from_millis(500));
    }

    #[test]
    fn unknown_keys_and_impossible_values_are_refused() {
        let unknown = from_json(serde_json::json!({ "host": "http://x" })).unwrap_err();
        assert!(unknown.to_string().contains("unknown field `host`"), "{unknown}");
        for (json, named) in [
            (serde_json::json!({ "hosts": [] }), "hosts"),
            (serde_json::json!({ "hosts": ["127.0.0.1:9200"] }), "127.0.0.1:9200"),
            (serde_json::json!({ "hosts": ["ftp://x"] }), "ftp://x"),
            (serde_json::json!({ "username": "u" }), "password"),
            (serde_json::json!({ "username": "u", "password": "p", "api-key": "k" }), "api-key"),
            (serde_json::json!({ "username": "u", "password": "p", "password-env": "P" }), "password-env"),
            (serde_json::json!({ "api-key": "u", "api-key-file": "p" }), "api-key-file"),
            (serde_json::json!({ "password-file": "p" }), "username"),
            (serde_json::json!({ "index-prefix": "Shop" }), "index-prefix"),
            (serde_json::json!({ "bulk-flush.max-actions": 0 }), "max-actions"),
            (serde_json::json!({ "connection.request-timeout": 0 }), "request-timeout"),
            (serde_json::json!({ "bulk-flush.backoff.max-delay": "1ms" }), "max-delay"),
        ] {
            let error = from_json(json).unwrap().validate().unwrap_err();
            assert_eq!(error.kind(), millstream_record::ErrorKind::Configuration);
            assert!(error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let options = ElasticsearchOptions {
            password: Some("geheim".into()),
            api_key: Some("geheim".into()),
            ..Default::default()
        };
        assert!(!format!("{options:?}").contains("geheim"));
        let in_url =
            ElasticsearchOptions { hosts: vec!["http://u:geheim@x:9200".into()], ..Default::default() };
        let error = in_url.validate().unwrap_err();
        assert!(error.to_string().contains("username") && !error.chain().contains("geheim"), "{error}");
    }
}
