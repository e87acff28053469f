//! Checkpoints and savepoints on `file://`.

mod store_list;

use anyhow::Result;
use millstream_checkpoint::storage::{Storage, StorageOptions};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_on_a_directory_conforms() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let options = StorageOptions::default();
    let root = Storage::open(&format!("file://{}", dir.path().display()), &options)?;
    store_list::conforms(&root, &options).await
}
