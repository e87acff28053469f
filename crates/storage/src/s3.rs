//! `s3://`: Amazon S3 and what speaks its protocol, by the crate `object_store`.
//!
//! What it owns: the mapping of our few operations to requests. Not the meaning of failures (`refusal`), nor
//! pieces (`upload`), nor the connection (`connect`), nor who we are (`credentials`).

mod connect;
mod credentials;
mod refusal;
mod upload;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use millstream_record::{Error, Result};
use millstream_stage::options::Secret;
use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig};

use self::connect::Connector;
use self::refusal::{Meaning, meaning};
use self::upload::S3Upload;
use super::path::join;
use super::patience::Patience;
use super::store::{StorageFailure, StorageResult, Store, StoreUpload};
use super::{Created, Listed, StorageOptions};

/// A bucket, or the part of it below a prefix.
#[derive(Clone, Debug)]
pub(super) struct S3Store {
    bucket: AmazonS3,
    prefix: String,
    patience: Arc<Patience>,
}

impl S3Store {
    pub(super) fn new(
        bucket: &str,
        prefix: &str,
        options: &StorageOptions,
        patience: &Arc<Patience>,
    ) -> Result<Self> {
        let built = builder(bucket, options)?.build();
        let wrong = || Error::configuration(format!("the settings for s3://{bucket} do not fit together"));
        let bucket = built.map_err(|cause| wrong().caused_by(cause))?;
        Ok(Self { bucket, prefix: prefix.to_owned(), patience: Arc::clone(patience) })
    }

    fn at(&self, path: &str) -> Path {
        Path::from(join(&self.prefix, path))
    }

    /// A file whose prefix is cut off.
    fn listed(&self, file: &ObjectMeta) -> Listed {
        let path = file.location.as_ref();
        let below = path.strip_prefix(&self.prefix).unwrap_or(path).trim_start_matches('/');
        Listed { path: below.to_owned(), bytes: file.size, modified: SystemTime::from(file.last_modified) }
    }

    /// A HEAD has no body to say what is missing, so that a GET must: a bucket that is gone is not an empty
    /// one.
    async fn size_or_why_not(&self, path: &str) -> StorageResult<Option<u64>> {
        match self.get(path, Some(0..1)).await? {
            None => Ok(None),
            Some(_) => Err(StorageFailure::passing(Error::retry("the file was just written"))),
        }
    }
}

#[async_trait]
impl Store for S3Store {
    async fn create(&self, path: &str, bytes: Bytes) -> StorageResult<Created> {
        let payload = PutPayload::from_bytes(bytes);
        match self.bucket.put_opts(&self.at(path), payload, PutMode::Create.into()).await {
            Ok(_) => Ok(Created::New),
            Err(error) => match meaning(error) {
                Meaning::ConditionFailed => Ok(Created::Exists),
                other => Err(other.failure(path)),
            },
        }
    }

    async fn put(&self, path: &str, bytes: Bytes) -> StorageResult<()> {
        let written = self.bucket.put(&self.at(path), PutPayload::from_bytes(bytes)).await;
        written.map(drop).map_err(|error| meaning(error).failure(path))
    }

    async fn upload(&self, path: &str) -> StorageResult<Box<dyn StoreUpload>> {
        Ok(Box::new(S3Upload::new(self.clone(), path)))
    }

    async fn size(&self, path: &str) -> StorageResult<Option<u64>> {
        match self.bucket.head(&self.at(path)).await {
            Ok(file) => Ok(Some(file.size)),
            Err(error) => match meaning(error) {
                Meaning::NoFile => self.size_or_why_not(path).await,
                other => Err(other.failure(path)),
            },
        }
    }

    async fn get(&self, path: &str, range: Option<Range<u64>>) -> StorageResult<Option<Bytes>> {
        let options = GetOptions { range: range.clone().map(Into::into), ..GetOptions::default() };
        let read = async { self.bucket.get_opts(&self.at(path), options).await?.bytes().await };
        match (read.await.map_err(meaning), range) {
            (Ok(bytes), Some(range)) if (bytes.len() as u64) < range.end - range.start => {
                Err(StorageFailure::too_short(path, &range))
            }
            (Ok(bytes), _) => Ok(Some(bytes)),
            (Err(Meaning::NoFile), _) => Ok(None),
            (Err(Meaning::BeyondEnd), Some(range)) => Err(StorageFailure::too_short(path, &range)),
            (Err(other), _) => Err(other.failure(path)),
        }
    }

    async fn list(&self, directory: &str) -> StorageResult<Vec<Listed>> {
        let prefix = self.at(directory);
        let files = self.bucket.list(Some(&prefix)).map_ok(|file| self.listed(&file));
        files.try_collect().await.map_err(|error| meaning(error).failure(directory))
    }

    async fn delete(&self, path: &str) -> StorageResult<()> {
        match self.bucket.delete(&self.at(path)).await {
            Ok(()) => Ok(()),
            Err(error) => match meaning(error) {
                Meaning::NoFile => Ok(()),
                other => Err(other.failure(path)),
            },
        }
    }

    async fn copy(&self, from: &str, to: &str) -> StorageResult<()> {
        let copied = self.bucket.copy(&self.at(from), &self.at(to)).await;
        copied.map_err(|error| match meaning(error) {
            Meaning::NoFile => StorageFailure::nothing_to_copy(from),
            other => other.failure(from),
        })
    }

    /// Parts of uploads are not files, and `object_store` cannot list them.
    async fn sweep(&self, _: &str, _: SystemTime) -> StorageResult<u64> {
        Ok(0)
    }
}

/// What the environment says, and over it the options.
fn builder(bucket: &str, options: &StorageOptions) -> Result<AmazonS3Builder> {
    // Repeating is ours: a part of a file must be repeated as that part, and every attempt signed anew.
    let once = RetryConfig { max_retries: 0, retry_timeout: Duration::ZERO, ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(once)
        .with_allow_http(true)
        .with_disable_bulk_delete(true) // its answer hides why a file was not deleted
        .with_http_connector(Connector::new(options)?);
    if let Some(endpoint) = &options.s3_endpoint {
        builder = builder.with_endpoint(endpoint).with_virtual_hosted_style_request(false);
    }
    if let Some(region) = &options.s3_region {
        builder = builder.with_region(region);
    }
    if let Some(path_style) = options.s3_path_style_access {
        builder = builder.with_virtual_hosted_style_request(!path_style);
    }
    let keys = options.s3_access_key.as_ref().zip(options.s3_secret_key.as_ref());
    match keys {
        None => credentials::check(&builder, bucket).map(|()| builder),
        Some((key, secret)) => Ok(with_credentials(builder, key, secret, options.s3_session_token.as_ref())),
    }
}

/// A token of the environment belongs to the key of the environment.
fn with_credentials(
    builder: AmazonS3Builder,
    key: &Secret,
    secret: &Secret,
    token: Option<&Secret>,
) -> AmazonS3Builder {
    use object_store::StaticCredentialProvider;
    use object_store::aws::AwsCredential;
    builder.with_credentials(Arc::new(StaticCredentialProvider::new(AwsCredential {
        key_id: key.reveal().to_owned(),
        secret_key: secret.reveal().to_owned(),
        token: token.map(|token| token.reveal().to_owned()),
    })))
}
