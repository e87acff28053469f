//! The credentials for the store: missing ones are found before anything is sent, or reported when the
//! machine's role has none.

use std::error::Error as StdError;
use std::fmt;

use millstream_record::{Error, Result};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Key};
use url::Url;

/// Where to write credentials.
const ADVICE: &str = "set s3.access-key and s3.secret-key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY \
                      (profiles in ~/.aws are not read)";

/// Refuses settings that name no credentials where no role of the machine can stand in for them.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration), naming what is missing.
pub(super) fn check(builder: &AmazonS3Builder, bucket: &str) -> Result<()> {
    // A flag that nobody has set is "false".
    let set =
        |key: Key| builder.get_config_value(&key).is_some_and(|value| !value.is_empty() && value != "false");
    match (set(Key::AccessKeyId), set(Key::SecretAccessKey)) {
        (true, true) => return Ok(()),
        (true, false) => return Err(half("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
        (false, true) => return Err(half("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")),
        (false, false) => {}
    }
    let elsewhere = [
        Key::SkipSignature,
        Key::WebIdentityTokenFile,
        Key::ContainerCredentialsRelativeUri,
        Key::ContainerCredentialsFullUri,
        Key::MetadataEndpoint,
    ];
    let endpoint =
        [Key::S3Endpoint, Key::Endpoint].into_iter().find_map(|key| builder.get_config_value(&key));
    if elsewhere.into_iter().any(set) || endpoint.is_none_or(|endpoint| is_amazon(&endpoint)) {
        return Ok(());
    }
    Err(Error::configuration(format!("no credentials for s3://{bucket}: {ADVICE}")))
}

fn half(here: &str, missing: &str) -> Error {
    Error::configuration(format!("the environment has {here}, but no {missing}: set both, or neither"))
}

// Only there a machine's role counts.
fn is_amazon(endpoint: &str) -> bool {
    let host =
        Url::parse(endpoint).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    [".amazonaws.com", ".amazonaws.com.cn"].into_iter().any(|domain| host.ends_with(domain))
}

/// The services of a cloud that give credentials to a machine, container or role.
pub(super) fn gives_credentials(host: &str) -> bool {
    host.starts_with("169.254.") || host.starts_with("sts.") || host.starts_with("[fd00:ec2::")
}

/// The machine's role, or its token, gave no credentials.
#[derive(Debug)]
pub(super) struct NoCredentials {
    pub(super) host: String,
    pub(super) why: String,
}

impl NoCredentials {
    /// What to do about it. A machine may get its role, and the service be there, at any time.
    pub(super) fn advice() -> Error {
        Error::retry(format!("no credentials: {ADVICE}, or give this machine a role that may use the bucket"))
    }
}

impl fmt::Display for NoCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asking {} for those of this machine's role: {}", self.host, self.why)
    }
}

impl StdError for NoCredentials {}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(settings: &[(Key, &str)]) -> Result<(), String> {
        let set = |builder: AmazonS3Builder, (key, value): &(Key, &str)| builder.with_config(*key, *value);
        let builder = settings.iter().fold(AmazonS3Builder::new(), set);
        check(&builder, "bucket").map_err(|error| error.to_string())
    }

    #[test]
    fn no_credentials_are_refused_unless_a_role_may_have_them() {
        let own = (Key::Endpoint, "http://minio:9000");
        assert!(checked(&[own]).unwrap_err().contains("no credentials for s3://bucket: set s3.access-key"));
        assert!(checked(&[(Key::AccessKeyId, "key")]).unwrap_err().contains("no AWS_SECRET_ACCESS_KEY"));
        assert!(
            checked(&[(Key::SecretAccessKey, "secret"), own]).unwrap_err().contains("no AWS_ACCESS_KEY_ID")
        );
        checked(&[(Key::AccessKeyId, "key"), (Key::SecretAccessKey, "secret"), own]).unwrap();
        checked(&[]).unwrap();
        checked(&[(Key::Endpoint, "https://bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com")]).unwrap();
        checked(&[own, (Key::WebIdentityTokenFile, "/token")]).unwrap();
        checked(&[own, (Key::SkipSignature, "true")]).unwrap();
    }
}
