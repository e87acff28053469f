//! Checkpoints and savepoints on `hdfs://`, on a real NameNode and DataNodes.

mod store_list;

use anyhow::Result;
use millstream_storage::{Storage, StorageOptions};
use millstream_testkit::Hdfs;

#[tokio::test(flavor = "multi_thread")]
async fn a_store_on_hdfs_conforms() -> Result<()> {
    let hdfs = Hdfs::start()?;
    let options = StorageOptions { hdfs_user: Some("millstream".to_owned()), ..StorageOptions::default() };
    let root = Storage::open(&format!("{}/flink/checkpoints", hdfs.url()), &options)?;
    store_list::conforms(&root, &options, 31).await
}
