//! What every storage must do: one list, called for each kind.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::future::join_all;
use millstream_record::{Error, ErrorKind};
use millstream_storage::{Created, Storage};

const RACERS: usize = 20;
const ROUNDS: usize = 5;
/// Three parts and a bit, at the smallest part size.
const LARGE: usize = (15 << 20) + 12_345;

/// Goes through the list in a directory of its own, which is empty before and after.
pub(crate) async fn conforms(storage: &Storage) -> Result<()> {
    storage.probe().await?;
    ensure!(storage.list("").await?.is_empty(), "the probe leaves something");
    files(&storage.child("files")).await.context("files")?;
    listing(&storage.child("listing")).await.context("listing")?;
    ranges(&storage.child("ranges")).await.context("ranges")?;
    races(&storage.child("races")).await.context("races")?;
    overwriting_is_atomic(&storage.child("atomic")).await.context("overwriting")?;
    uploads(&storage.child("uploads")).await.context("uploads")?;
    whole_files(&storage.child("whole")).await.context("whole files")?;
    sweeping(&storage.child("sweep")).await.context("sweeping")?;
    ensure!(storage.list("").await?.is_empty(), "something is left: {:?}", storage.list("").await?);
    let hidden = storage.sweep("", now() + Duration::from_secs(3600)).await?;
    ensure!(hidden == 0, "{hidden} files in the making are left");
    Ok(())
}

async fn files(storage: &Storage) -> Result<()> {
    ensure!(storage.get("a").await?.is_none(), "nothing is there");
    ensure!(storage.size("a").await?.is_none(), "nothing has no size");
    storage.put("a", "one".into()).await?;
    storage.put("a", "three".into()).await?;
    ensure!(storage.get("a").await?.as_deref() == Some(b"three"), "put overwrites");
    ensure!(storage.size("a").await? == Some(5), "the size is that of the last one");
    storage.put("empty", Bytes::new()).await?;
    ensure!(storage.get("empty").await?.as_deref() == Some(b""), "empty files exist");
    exclusive(storage).await?;
    copies(storage).await?;
    storage.delete(&["a", "missing", "deep/er/c", "b", "empty"]).await?;
    storage.delete(&["a"]).await?;
    ensure!(storage.get("a").await?.is_none() && storage.list("").await?.is_empty(), "all is deleted");
    // A place that was emptied can be used again.
    ensure!(storage.create("deep/er/c", "x".into()).await? == Created::New, "deleted names are free");
    Ok(storage.delete(&["deep/er/c"]).await?)
}

async fn exclusive(storage: &Storage) -> Result<()> {
    ensure!(storage.create("a", "x".into()).await? == Created::Exists, "create refuses");
    ensure!(storage.create("b", "new".into()).await? == Created::New, "create creates");
    ensure!(storage.get("a").await?.as_deref() == Some(b"three"), "a refused create changes nothing");
    Ok(())
}

async fn copies(storage: &Storage) -> Result<()> {
    storage.copy("a", "deep/er/c").await?;
    storage.copy("b", "deep/er/c").await?;
    ensure!(storage.get("deep/er/c").await?.as_deref() == Some(b"new"), "copy overwrites");
    let nothing = refused(storage.copy("missing", "d").await)?;
    ensure!(nothing.kind() == ErrorKind::Data, "{}", nothing.chain());
    Ok(())
}

async fn listing(storage: &Storage) -> Result<()> {
    ensure!(storage.list("nowhere").await?.is_empty(), "what is not there is empty");
    let names = ["log/0000000002", "log/0000000001", "chk-1/a", "chk-1/deep/b", "chk-10/a", "top"];
    let before = now() - Duration::from_secs(60);
    for name in names {
        storage.put(name, Bytes::from(name)).await?;
    }
    let sorted: BTreeSet<&str> = names.into_iter().collect();
    let all = storage.list("").await?;
    ensure!(all.iter().map(|file| file.path.as_str()).eq(sorted.iter().copied()), "{all:?}");
    ensure!(all.iter().all(|file| file.bytes == file.path.len() as u64 && file.modified > before), "{all:?}");
    let paths = |prefix: &'static str| async move {
        let files = storage.list(prefix).await?;
        anyhow::Ok(files.into_iter().map(|file| file.path).collect::<Vec<_>>())
    };
    ensure!(paths("chk-1").await? == ["chk-1/a", "chk-1/deep/b"], "prefixes are whole segments");
    ensure!(paths("log/").await? == ["log/0000000001", "log/0000000002"], "a slash at the end is fine");
    let below = storage.child("chk-1").list("deep").await?;
    ensure!(below.len() == 1 && below[0].path == "deep/b", "paths are relative to who is asked: {below:?}");
    Ok(storage.delete(&names).await?)
}

async fn ranges(storage: &Storage) -> Result<()> {
    storage.put("digits", "0123456789".into()).await?;
    for (range, content) in [(0..10, "0123456789"), (0..1, "0"), (3..7, "3456"), (9..10, "9")] {
        let read = storage.get_range("digits", range.clone()).await?;
        ensure!(read.as_deref() == Some(content.as_bytes()), "{range:?}: {read:?}");
    }
    ensure!(storage.get_range("missing", 0..1).await?.is_none(), "nothing has no ranges");
    for beyond in [5..11, 10..12, 20..30] {
        let error = refused(storage.get_range("digits", beyond.clone()).await)?;
        ensure!(error.kind() == ErrorKind::Data, "{beyond:?}: {}", error.chain());
    }
    Ok(storage.delete(&["digits"]).await?)
}

async fn races(storage: &Storage) -> Result<()> {
    for round in 0..ROUNDS {
        let name = format!("entry-{round}");
        let racer = |number: usize| storage.create(&name, Bytes::from(format!("racer {number}")));
        let outcomes = join_all((0..RACERS).map(racer)).await;
        let outcomes: Vec<Created> = outcomes.into_iter().collect::<Result<_, _>>()?;
        let winners: Vec<usize> = (0..RACERS).filter(|number| outcomes[*number] == Created::New).collect();
        ensure!(winners.len() == 1, "round {round}: winners {winners:?}");
        let content = storage.get(&name).await?.context("the winner's file")?;
        ensure!(content == format!("racer {}", winners[0]), "{content:?} is not by {winners:?}");
    }
    let names: Vec<String> = storage.list("").await?.into_iter().map(|file| file.path).collect();
    ensure!(names.len() == ROUNDS, "losers leave nothing: {names:?}");
    Ok(storage.delete(&names).await?)
}

/// Readers see one whole version or another, never a mixture, never nothing.
async fn overwriting_is_atomic(storage: &Storage) -> Result<()> {
    let version = |number: u8| Bytes::from(vec![number; 64 << 10]);
    storage.put("file", version(0)).await?;
    let write = async {
        for number in 1..20 {
            storage.put("file", version(number)).await?;
        }
        anyhow::Ok(())
    };
    let read = async {
        for _ in 0..20 {
            let content = storage.get("file").await?.context("it vanished")?;
            let versions: BTreeSet<u8> = content.iter().copied().collect();
            ensure!(
                content.len() == 64 << 10 && versions.len() == 1,
                "{} bytes of {versions:?}",
                content.len()
            );
        }
        Ok(())
    };
    futures::future::try_join(write, read).await?;
    Ok(storage.delete(&["file"]).await?)
}

async fn uploads(storage: &Storage) -> Result<()> {
    let content = pattern(LARGE, 1);
    let mut upload = storage.upload("large").await?;
    for chunk in content.chunks(700_001) {
        upload.write(Bytes::copy_from_slice(chunk)).await?;
    }
    ensure!(storage.get("large").await?.is_none(), "it is visible before it is finished");
    ensure!(storage.list("").await?.is_empty(), "it is listed before it is finished");
    ensure!(upload.finish().await? == LARGE as u64, "the size");
    ensure!(storage.get("large").await?.as_deref() == Some(&content[..]), "the content");
    smaller_uploads(storage).await?;
    given_up(storage, &content).await?;
    ensure!(storage.get("gone").await?.is_none(), "what was given up never appears");
    Ok(storage.delete(&["large", "empty"]).await?)
}

async fn smaller_uploads(storage: &Storage) -> Result<()> {
    let mut over = storage.upload("large").await?;
    over.write("small".into()).await?;
    over.finish().await?;
    ensure!(storage.get("large").await?.as_deref() == Some(b"small"), "an upload overwrites");
    storage.upload("empty").await?.finish().await?;
    ensure!(storage.size("empty").await? == Some(0), "an upload of nothing is an empty file");
    Ok(())
}

async fn given_up(storage: &Storage, content: &[u8]) -> Result<()> {
    let mut given_up = storage.upload("gone").await?;
    given_up.write(Bytes::copy_from_slice(content)).await?;
    given_up.abort().await?;
    let mut dropped = storage.upload("gone").await?;
    dropped.write(Bytes::copy_from_slice(content)).await?;
    drop(dropped);
    Ok(())
}

async fn whole_files(storage: &Storage) -> Result<()> {
    let dir = tempfile::tempdir()?;
    for bytes in [0, 10, LARGE] {
        let (here, back) = (dir.path().join("here"), dir.path().join("back/here"));
        let content = pattern(bytes, 7);
        std::fs::write(&here, &content)?;
        storage.upload_file("file", &here).await?;
        ensure!(storage.size("file").await? == Some(bytes as u64), "{bytes}: the size");
        ensure!(storage.download("file", &back).await? == bytes as u64, "{bytes}: the size that came back");
        ensure!(std::fs::read(&back)? == content, "{bytes}: the content that came back");
        let other = Storage::open(&storage.child("other").url(), &Default::default());
        // The same place behind another client, where default options reach it: through this machine.
        if let Ok(other) = other
            && storage.url().starts_with("file:")
        {
            storage.copy_to("file", &other, "copy").await?;
        } else {
            storage.copy_to("file", &storage.child("other"), "copy").await?;
        }
        ensure!(storage.get("other/copy").await?.as_deref() == Some(&content[..]), "{bytes}: the copy");
    }
    let error = refused(storage.download("missing", &dir.path().join("x")).await)?;
    ensure!(error.kind() == ErrorKind::Data && error.to_string().contains("missing"), "{}", error.chain());
    ensure!(!dir.path().join("x").exists(), "a failed download leaves nothing");
    Ok(storage.delete(&["file", "other/copy"]).await?)
}

/// What is being written now is never swept.
async fn sweeping(storage: &Storage) -> Result<()> {
    let mut upload = storage.upload("live").await?;
    upload.write(Bytes::from(pattern(LARGE, 3))).await?;
    storage.sweep("", now() - Duration::from_secs(3600)).await?;
    upload.finish().await?;
    ensure!(storage.size("live").await? == Some(LARGE as u64), "a live upload was swept");
    Ok(storage.delete(&["live"]).await?)
}

/// The error of what must not succeed.
pub(crate) fn refused<T>(outcome: millstream_record::Result<T>) -> Result<Error> {
    outcome.err().context("it succeeded")
}

#[allow(clippy::disallowed_methods, reason = "stores have real clocks")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// Bytes that differ everywhere.
pub(crate) fn pattern(bytes: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..bytes).map(|_| next()).collect()
}
