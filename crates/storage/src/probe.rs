//! Whether a storage can do what exactly-once rests on.

use bytes::Bytes;
use futures::future;
use millstream_record::{Error, ErrorKind, Result};

use super::path::join;
use super::store::StorageResult;
use super::{Created, Storage};

/// How many try to create the same file at the same time.
const RACERS: u64 = 8;

/// Writes, reads, lists and deletes; creates twice; lets several create at once.
///
/// All files are in a directory of this probe's own, which it removes also when it fails.
pub(super) async fn run(storage: &Storage) -> Result<()> {
    let place = storage.child(&format!("probe-{:016x}", storage.chance().bits()));
    let outcome = all(&place).await;
    let left = place.delete(&["file", "again/file", "entry", "race"]).await;
    outcome
        .and(left)
        .map_err(|error| error.in_context(format_args!("storage {} cannot be used", storage.url())))
}

async fn all(place: &Storage) -> Result<()> {
    if let Err(error) = plain_files(place).await {
        if error.kind() != ErrorKind::Configuration {
            return Err(error);
        }
        // On a busy store a write whose answer came too late is repeated, and the first one may land behind
        // the next.
        tracing::warn!("the storage is tried once more: {error}");
        plain_files(&place.child("again")).await?;
    }
    create_twice(place).await?;
    race(place).await
}

async fn plain_files(place: &Storage) -> Result<()> {
    place.put("file", Bytes::from_static(b"first")).await?;
    place.put("file", Bytes::from_static(b"content")).await?;
    let read = place.get("file").await?;
    let lack = format!("a file reads differently than written: {read:?}");
    require(read.as_deref() == Some(b"content"), &lack)?;
    require(
        place.get_range("file", 1..4).await?.as_deref() == Some(b"ont"),
        "a range of a file reads differently than written",
    )?;
    let listed: Vec<String> = place.list("").await?.into_iter().map(|file| file.path).collect();
    require(listed == ["file"], "a file is not listed right after it was written")?;
    place.delete(&["file"]).await?;
    require(place.get("file").await?.is_none(), "a file can be read after it was deleted")
}

async fn create_twice(place: &Storage) -> Result<()> {
    // The first one may be told "exists" if an answer was lost and it was repeated; its content says whether
    // it is there.
    place.create("entry", Bytes::from_static(b"one")).await?;
    let second = place.create("entry", Bytes::from_static(b"two")).await?;
    let content = place.get("entry").await?;
    let kept = second == Created::Exists && content.as_deref() == Some(b"one");
    require(kept, "creating a file that is there overwrites it instead of being refused")
}

async fn race(place: &Storage) -> Result<()> {
    let full = join(&place.base, "race");
    let racer = |number: u64| {
        let full = full.as_str();
        // One attempt each: a repetition after a lost answer would look like a lost race.
        place
            .patience
            .within(async move { place.store.create(full, Bytes::from(format!("racer {number}"))).await })
    };
    let outcomes: Vec<StorageResult<Created>> = future::join_all((0..RACERS).map(racer)).await;
    let winners = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Created::New))).count();
    require(
        winners <= 1,
        &format!("{winners} of {RACERS} that created the same file at once were told they had"),
    )?;
    let unclear = outcomes.into_iter().find_map(Result::err);
    match (winners, unclear) {
        (1, _) => Ok(()),
        (_, Some(failure)) => Err(failure.into_error()),
        (_, None) => {
            require(false, "of several writers that created the same file at once, none was told that it had")
        }
    }
}

fn require(holds: bool, lack: &str) -> Result<()> {
    if holds {
        return Ok(());
    }
    let advice = "exactly-once rests on atomic exclusive creation; use another store or version";
    Err(Error::new(ErrorKind::Configuration, format!("{lack} ({advice})")))
}
