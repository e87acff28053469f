//! The sink's settings.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use millstream_record::{Error, Result};
use millstream_stage::options::{Secret, duration, size};
use redis::{ConnectionAddr, IntoConnectionInfo};
use schemars::JsonSchema;
use serde::Deserialize;

/// How to reach Redis and how to write to it.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RedisOptions {
    /// The server's address: `redis://HOST:PORT/DATABASE`, or `rediss://` for TLS. A login may stand in it;
    /// better give it below.
    #[schemars(extend("default" = DEFAULT_URL))]
    pub url: Url,
    /// The user to log in as (Redis 6 and later). Without it, the default user is taken.
    pub username: Option<String>,
    /// The password. Write it as `${VARIABLE}`, or use `password-env` or `password-file`.
    pub password: Option<Secret>,
    /// The variable of the environment that holds the password, instead of giving it here.
    pub password_env: Option<String>,
    /// The file that holds the password, without its last line break, instead of giving it here.
    pub password_file: Option<PathBuf>,
    /// With TLS: a PEM file with the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// How long a key stays after its last write, in whole seconds; `0s` keeps it for ever. Its version goes
    /// with it, so let the time be longer than a writer that should be dead can live on: a checkpoint
    /// interval and a restart at the least.
    #[serde(with = "duration")]
    pub expiry: Duration,
    /// The largest number of writes in one pipeline.
    pub batch_records: usize,
    /// The largest size of one pipeline, unless a single write is larger.
    #[serde(with = "size")]
    pub batch_bytes: usize,
    /// How long a write waits for other writes of its pipeline. Writes of one key that wait together become
    /// one.
    #[serde(with = "duration")]
    pub linger: Duration,
    /// How many pipelines are on their way at once, on one connection per subtask.
    pub max_in_flight: usize,
    /// When a subtask holds more than this, waiting and on its way, it takes no more data until there is
    /// room.
    #[serde(with = "size")]
    pub buffer_bytes: usize,
    /// How long one attempt to connect and log in may take.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// How long the answers of a pipeline may take.
    #[serde(with = "duration")]
    pub request_timeout: Duration,
    /// How long the job waits at its start for a Redis that does not answer.
    #[serde(with = "duration")]
    pub start_timeout: Duration,
    /// The first pause after a failure that may pass. It doubles each time, and a random part is taken off.
    #[serde(with = "duration")]
    pub retry_initial: Duration,
    /// The longest pause after a failure that may pass.
    #[serde(with = "duration")]
    pub retry_max: Duration,
    /// How long all requests may fail before the job goes back to its last checkpoint.
    #[serde(with = "duration")]
    pub retry_for: Duration,
}

const DEFAULT_URL: &str = "redis://127.0.0.1:6379";

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            url: Url::from(DEFAULT_URL),
            username: None,
            password: None,
            password_env: None,
            password_file: None,
            ca_file: None,
            expiry: Duration::from_secs(7 * 24 * 60 * 60),
            batch_records: 1_000,
            batch_bytes: 1 << 20,
            linger: Duration::from_millis(5),
            max_in_flight: 4,
            buffer_bytes: 16 << 20,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
            start_timeout: Duration::from_secs(10),
            retry_initial: Duration::from_millis(50),
            retry_max: Duration::from_secs(5),
            retry_for: Duration::from_secs(600),
        }
    }
}

impl RedisOptions {
    /// The default settings for a server.
    pub fn at(url: &str) -> Self {
        Self { url: Url::from(url), ..Self::default() }
    }

    /// Refuses what can never work. No I/O.
    pub(crate) fn validate(&self) -> Result<()> {
        self.validate_address()?;
        let counts = [
            ("batch-records", self.batch_records),
            ("batch-bytes", self.batch_bytes),
            ("max-in-flight", self.max_in_flight),
            ("buffer-bytes", self.buffer_bytes),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, value)| *value == 0) {
            return Err(Error::configuration(format!("redis: {name} must not be 0")));
        }
        let passwords = [self.password.is_some(), self.password_env.is_some(), self.password_file.is_some()];
        if passwords.iter().filter(|given| **given).count() > 1 {
            return Err(Error::configuration(
                "redis: password, password-env and password-file exclude each other",
            ));
        }
        if self.expiry.subsec_nanos() != 0 {
            return Err(Error::configuration(
                "redis: expiry must be in whole seconds; 0s keeps keys for ever",
            ));
        }
        if self.retry_initial.is_zero() || self.retry_initial > self.retry_max {
            return Err(Error::configuration(
                "redis: retry-initial must be above 0s and not above retry-max",
            ));
        }
        Ok(())
    }

    /// The password to log in with, from wherever it is. Reads the environment or a file.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when it is not where it
    /// should be.
    pub(crate) fn read_password(&self) -> Result<Option<Secret>> {
        let missing = |place: &str| Error::configuration(format!("redis: no password in {place}"));
        if let Some(name) = &self.password_env {
            let text = std::env::var(name);
            let text = text.map_err(|error| missing(&format!("the variable {name}")).caused_by(error))?;
            return Ok(Some(text.into()));
        }
        let Some(path) = &self.password_file else {
            return Ok(self.password.clone());
        };
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| missing(&path.display().to_string()).caused_by(error))?;
        Ok(Some(text.trim_end_matches(['\r', '\n']).into()))
    }

    fn validate_address(&self) -> Result<()> {
        let wrong = |what: &str| Error::configuration(format!("redis: url {} {what}", self.url));
        if self.url.ends_within_its_login() {
            return Err(wrong(
                "cannot be read, as its login has one of # / ? in it: give username and password apart",
            ));
        }
        let address = self.url.expose().into_connection_info().map_err(|error| {
            wrong("is not of the form redis://HOST:PORT/DATABASE or rediss://…").caused_by(error)
        })?;
        match address.addr() {
            ConnectionAddr::TcpTls { insecure: true, .. } => Err(wrong(
                "asks for TLS without verification: give the server's authority as ca-file instead",
            )),
            ConnectionAddr::TcpTls { .. } => Ok(()),
            _ if self.ca_file.is_some() => {
                Err(wrong("does not ask for TLS, yet a ca-file is given: begin it with rediss://"))
            }
            _ => Ok(()),
        }
    }
}

/// An address that may contain a password, which is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Url(String);

impl Url {
    /// The whole text.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether its host would be a part of the login: a path, a query or a fragment begins before the last
    /// `@`.
    fn ends_within_its_login(&self) -> bool {
        let rest = ["redis://", "rediss://"].iter().find_map(|scheme| self.0.strip_prefix(scheme));
        let behind_host = rest.and_then(|rest| rest.split_once(['/', '?', '#']));
        behind_host.is_some_and(|(_, behind)| behind.contains('@'))
    }
}

impl From<&str> for Url {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Without the login.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        // Up to the last '@': a password with a '/' or '@' in it must not show either.
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        write!(f, "{scheme}://{host}")
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_json(text: &str) -> Result<RedisOptions, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn options_have_defaults_and_unknown_ones_are_refused() {
        assert_eq!(from_json("{}").unwrap(), RedisOptions::default());
        let options =
            from_json(r#"{"url": "redis://db:1/2", "linger": "20ms", "batch-records": 5}"#).unwrap();
        assert_eq!((options.linger, options.batch_records), (Duration::from_millis(20), 5));
        assert!(from_json(r#"{"batch_records": 5}"#).unwrap_err().to_string().contains("batch-records"));
        assert!(from_json(r#"{"linger": "soon"}"#).is_err());
    }

    #[test]
    fn secrets_are_read_and_never_printed() {
        let text = r#"{"url": "redis://me:hid/d@en@host:7", "password": "hidden"}"#;
        let printed = format!("{:?}", from_json(text).unwrap());
        assert!(printed.contains("redis://host:7") && !printed.contains("hid"), "{printed}");

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3 cret\n").unwrap();
        let options = RedisOptions { password_file: Some(file.path().to_owned()), ..RedisOptions::default() };
        assert_eq!(options.read_password().unwrap(), Some("s3 cret".into()));
        let error = from_json(r#"{"password-env": "MILLSTREAM_NO_SUCH_VARIABLE"}"#)
            .unwrap()
            .read_password()
            .unwrap_err();
        assert!(error.to_string().contains("MILLSTREAM_NO_SUCH_VARIABLE"));
    }

    #[test]
    fn what_can_never_work_is_refused() {
        assert!(RedisOptions::default().validate().is_ok());
        assert!(RedisOptions::at("rediss://db").validate().is_ok());
        let wrong = [
            RedisOptions::at("127.0.0.1:6379"),
            RedisOptions::at("http://127.0.0.1"),
            RedisOptions::at("rediss://db#insecure"),
            RedisOptions::at("redis://:se/cret@db:6379"),
            RedisOptions::at("redis://me:12#secret@db:6379"),
            RedisOptions::at("redis://:sec@ret#?s3cret@db:6379/1"),
            RedisOptions { ca_file: Some("ca.pem".into()), ..RedisOptions::default() },
            RedisOptions {
                password: Some("a".into()),
                password_env: Some("B".into()),
                ..RedisOptions::default()
            },
            RedisOptions { batch_records: 0, ..RedisOptions::default() },
            RedisOptions { expiry: Duration::from_millis(1500), ..RedisOptions::default() },
            RedisOptions { retry_initial: Duration::from_secs(60), ..RedisOptions::default() },
        ];
        for options in wrong {
            let error = options.validate().unwrap_err();
            assert_eq!(error.kind(), millstream_record::ErrorKind::Configuration, "{options:?}");
            assert!(!error.chain().contains("cret"), "{}", error.chain());
        }
    }
}
