//! Checkpoints and savepoints on `file://`.

mod store_list;

use anyhow::Result;
use millstream_checkpoint::store::{
    AttemptStore, CheckpointStore, CheckpointWriter, ReadOptions, WrittenCheckpoint, open,
};
use millstream_protocol::layout::SubtaskId;
use millstream_protocol::log::Base;
use millstream_stage::snapshot::Frozen;
use millstream_storage::{Storage, StorageOptions};

use crate::store_list::job::{Job, Machine, plan};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_on_a_directory_conforms() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let options = StorageOptions::default();
    let root = Storage::open(&format!("file://{}", dir.path().display()), &options)?;
    store_list::conforms(&root, &options, 7).await
}

/// That it compiles is the test: a driver may spawn each call.
#[test]
fn all_futures_can_be_sent() {
    fn sent<F: Future + Send>(_: F) {}
    let _ = |store: CheckpointStore| sent(async move { store.probe().await });
    let _ = |store: CheckpointStore| sent(async move { store.claim(Base::Latest).await });
    let _ = |store: CheckpointStore| sent(async move { store.read("").await });
    let _ = |attempt: AttemptStore| sent(async move { attempt.restore().await });
    let _ = |attempt: AttemptStore| sent(async move { attempt.clean().await });
    let _ = |attempt: AttemptStore, written: WrittenCheckpoint| {
        sent(async move { attempt.complete(&written, 1).await });
    };
    let _ = |attempt: AttemptStore| sent(async move { attempt.retire(Vec::new()).await });
    let _ = |writer: CheckpointWriter, place: SubtaskId| {
        sent(async move { writer.part(place, Frozen::default()).await });
    };
    let _ = |writer: CheckpointWriter| sent(async move { writer.finish(Vec::new()).await });
    let _ = |writer: CheckpointWriter| sent(async move { writer.discard().await });
}

#[test]
fn a_snapshot_outlives_the_runtime_that_opened_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let options = StorageOptions::default();
    let root = Storage::open(&format!("file://{}", dir.path().display()), &options)?;
    let machine = Machine::new(&options)?;
    let mut job = Job::large_items(0);
    job.advance(2);
    let opened = tokio::runtime::Runtime::new()?.block_on(async {
        let attempt = machine.claim(&root, "job").await?;
        let writer = attempt.savepoint(1, None, &plan("job", 2))?;
        let (written, _) = job.write(&machine, writer, 2).await?;
        anyhow::Ok(open(&written.url, &options, &ReadOptions::default()).await?)
    })?;
    job.compare(&opened.snapshot, false)
}
