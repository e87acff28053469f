//! Checkpoints and savepoints on `file://`.

mod store_list;

use anyhow::Result;
use millstream_checkpoint::storage::{Storage, StorageOptions};
use millstream_checkpoint::store::{Attempt, CheckpointStore, CheckpointWriter, Written};
use millstream_core::drive::layout::Place;
use millstream_core::drive::log::Base;
use millstream_core::snapshot::Frozen;

#[tokio::test(flavor = "multi_thread")]
async fn a_store_on_a_directory_conforms() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let options = StorageOptions::default();
    let root = Storage::open(&format!("file://{}", dir.path().display()), &options)?;
    store_list::conforms(&root, &options, 3).await
}

/// That it compiles is the test: a driver may spawn each call.
#[test]
fn all_futures_can_be_sent() {
    fn sent<F: Future + Send>(_: F) {}
    let _ = |store: CheckpointStore| sent(async move { store.probe().await });
    let _ = |store: CheckpointStore| sent(async move { store.claim(Base::Latest).await });
    let _ = |store: CheckpointStore| sent(async move { store.read("").await });
    let _ = |attempt: Attempt| sent(async move { attempt.restore().await });
    let _ = |attempt: Attempt| sent(async move { attempt.clean().await });
    let _ = |attempt: Attempt, written: Written| sent(async move { attempt.complete(&written, 1).await });
    let _ = |attempt: Attempt| sent(async move { attempt.retire(Vec::new()).await });
    let _ = |writer: CheckpointWriter, place: Place| {
        sent(async move { writer.part(place, Frozen::default()).await });
    };
    let _ = |writer: CheckpointWriter| sent(async move { writer.finish(Vec::new()).await });
    let _ = |writer: CheckpointWriter| sent(async move { writer.discard().await });
}
