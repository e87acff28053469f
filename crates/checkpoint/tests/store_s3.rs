//! Checkpoints and savepoints on `s3://`, on a real server.

mod store_list;

use anyhow::Result;
use millstream_storage::{Storage, StorageOptions};
use millstream_testkit::{MinIo, unique_name};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_on_minio_conforms() -> Result<()> {
    let minio = MinIo::shared()?;
    let bucket = unique_name("store");
    minio.create_bucket(&bucket)?;
    let options = StorageOptions {
        s3_endpoint: Some(minio.endpoint().to_owned()),
        s3_access_key: Some(minio.access_key().into()),
        s3_secret_key: Some(minio.secret_key().into()),
        ..StorageOptions::default()
    };
    let root = Storage::open(&format!("s3://{bucket}/checkpoints"), &options)?;
    store_list::conforms(&root, &options, 13).await
}
