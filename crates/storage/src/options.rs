//! What can be set.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use millstream_record::{Error, Result};
use millstream_stage::chance::Chance;
use millstream_stage::options::{Secret, duration, size};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reports::Reports;

/// How to reach a storage and how patient to be. The URL says where it is. Keys are those of Flink's file
/// systems where the thing is the same; what begins with `s3.` or `hdfs.` matters to these alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(transform = also_dashed)]
pub struct StorageOptions {
    /// How long one request may take. A large file is written and read in several requests.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// How often a request is repeated that failed in a way that may pass. With the default waits, that is
    /// for some 20 s.
    pub max_retries: u32,
    /// The wait before the first repetition; it doubles with each further one.
    #[serde(rename = "retry.delay", with = "duration")]
    pub retry_delay: Duration,
    /// The longest wait between repetitions.
    #[serde(rename = "retry.max-delay", with = "duration")]
    pub retry_max_delay: Duration,
    /// Larger files are moved in pieces of this size, each with its own time-out and repetitions. S3 needs at
    /// least 5 MB.
    #[serde(rename = "part-size", with = "size")]
    pub part_bytes: usize,
    /// The URL of the S3 server, such as `http://127.0.0.1:9000`. Without it, Amazon's server for the region
    /// is used.
    #[serde(rename = "s3.endpoint")]
    pub s3_endpoint: Option<String>,
    /// The region of the bucket. Without it, the region in the variable `AWS_REGION` is used, else
    /// `us-east-1`.
    #[serde(rename = "s3.region")]
    pub s3_region: Option<String>,
    /// Whether requests name the bucket in their path, as most servers but Amazon's want it, instead of in
    /// the host name. Without it, they do so where `s3.endpoint` is set.
    #[serde(rename = "s3.path.style.access", alias = "s3.path-style-access")]
    pub s3_path_style_access: Option<bool>,
    /// The id of the access key, which needs `s3.secret-key`. Without both, the credentials of the
    /// environment (`AWS_ACCESS_KEY_ID`, ...) or of the machine's role are used.
    #[serde(rename = "s3.access-key")]
    pub s3_access_key: Option<Secret>,
    /// The secret key of `s3.access-key`.
    #[serde(rename = "s3.secret-key")]
    pub s3_secret_key: Option<Secret>,
    /// The session token of temporary credentials.
    #[serde(rename = "s3.session-token")]
    pub s3_session_token: Option<Secret>,
    /// For `https`: a PEM file with the certificates to trust. Without it, the certificates that the machine
    /// trusts are used.
    #[serde(rename = "s3.ca-file")]
    pub s3_ca_file: Option<PathBuf>,
    /// The user to act as where HDFS does not authenticate. Without it, the variable `HADOOP_USER_NAME` names
    /// the user, else it is the user of the process.
    #[serde(rename = "hdfs.user")]
    pub hdfs_user: Option<String>,
    /// The directory with `core-site.xml` and `hdfs-site.xml`. Without it, `HADOOP_CONF_DIR` is used, else
    /// `HADOOP_HOME/etc/hadoop`.
    #[serde(rename = "hdfs.config-dir")]
    pub hdfs_config_dir: Option<PathBuf>,
    /// Hadoop's own keys, such as `dfs.replication: 2`. They override those of Hadoop's files.
    #[serde(rename = "hdfs.config")]
    pub hdfs_config: BTreeMap<String, String>,
    /// Where it is said that the storage is away: no setting, but what a job adds.
    #[serde(skip)]
    pub reports: Reports,
    /// Names of files in the making and the jitter of waits: no setting either. A job brings its own.
    #[serde(skip)]
    pub chance: Chance,
}

fn also_dashed(schema: &mut schemars::Schema) {
    millstream_stage::options::schema::add_alias(schema, "s3.path.style.access", "s3.path-style-access");
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            max_retries: 10,
            retry_delay: Duration::from_millis(100),
            retry_max_delay: Duration::from_secs(5),
            part_bytes: 8 << 20,
            s3_endpoint: None,
            s3_region: None,
            s3_path_style_access: None,
            s3_access_key: None,
            s3_secret_key: None,
            s3_session_token: None,
            s3_ca_file: None,
            hdfs_user: None,
            hdfs_config_dir: None,
            hdfs_config: BTreeMap::new(),
            reports: Reports::default(),
            chance: Chance::default(),
        }
    }
}

impl StorageOptions {
    /// Refuses what can never work. No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration), naming the key.
    pub fn validate(&self) -> Result<()> {
        refuse(self.timeout.is_zero(), "timeout is 0: write a duration such as 30s")?;
        refuse(self.retry_max_delay < self.retry_delay, "retry.max-delay is shorter than retry.delay")?;
        refuse(self.part_bytes < 5 << 20, "part-size is below 5mb, which S3 wants at least")?;
        refuse(
            self.s3_access_key.is_some() != self.s3_secret_key.is_some(),
            "s3.access-key and s3.secret-key belong together: one of them is missing",
        )?;
        let endpoint = self.s3_endpoint.as_deref().unwrap_or("http://");
        refuse(
            !endpoint.starts_with("http://") && !endpoint.starts_with("https://"),
            "s3.endpoint begins with neither http:// nor https://: write one of them before host and port",
        )?;
        refuse(
            self.s3_session_token.is_some() && self.s3_access_key.is_none(),
            "s3.session-token is given without s3.access-key",
        )
    }
}

fn refuse(wrong: bool, message: &str) -> Result<()> {
    if wrong { Err(Error::configuration(message)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_misspelt_ones_refused() {
        let options: StorageOptions = serde_json::from_value(serde_json::json!({
            "timeout": "5s", "max-retries": 2, "retry.delay": "10ms", "part-size": "16mb",
            "s3.endpoint": "http://127.0.0.1:9000", "s3.path.style.access": true, "s3.access-key": "k", "s3.secret-key": "geheim",
            "hdfs.user": "flink", "hdfs.config": { "dfs.replication": "2" },
        }))
        .unwrap();
        options.validate().unwrap();
        assert_eq!((options.timeout, options.part_bytes), (Duration::from_secs(5), 16 << 20));
        assert!(!format!("{options:?}").contains("geheim"));
        let misspelt = serde_json::from_value::<StorageOptions>(serde_json::json!({ "s3.accesskey": "k" }));
        assert!(misspelt.unwrap_err().to_string().contains("s3.accesskey"));
    }

    #[test]
    fn impossible_values_are_refused_by_name() {
        let with = |change: fn(&mut StorageOptions)| {
            let mut options = StorageOptions::default();
            change(&mut options);
            options.validate().unwrap_err().to_string()
        };
        assert!(with(|options| options.timeout = Duration::ZERO).contains("timeout"));
        assert!(with(|options| options.part_bytes = 1).contains("part-size"));
        assert!(with(|options| options.retry_max_delay = Duration::ZERO).contains("retry.max-delay"));
        assert!(with(|options| options.s3_endpoint = Some("minio:9000".into())).contains("http://"));
        assert!(with(|options| options.s3_access_key = Some("k".into())).contains("s3.secret-key"));
        assert!(with(|options| options.s3_session_token = Some("t".into())).contains("s3.session-token"));
    }
}
