//! Checks of what a cold store freezes and comes back from.

use std::ops::Range;
use std::slice::from_ref;
use std::sync::Arc;

use millstream_record::Result;
use millstream_record::key_group::KeyGroup;

use super::cold_shelf::{Shelf, Stored};
use super::cold_store::{Beside, key, value};
use super::{Check, ColdFixture};
use crate::driven_writer::wrong;

pub(super) fn list<F: ColdFixture>() -> Vec<Check<F>> {
    vec![
        Check { name: "what was frozen stays as it was", run: isolated },
        Check { name: "a frozen store's files go with it", run: files_go },
        Check { name: "restored to the same groups", run: same },
        Check { name: "split in two", run: split },
        Check { name: "two merged into one", run: merged },
        Check { name: "three become two, at the highest groups there are", run: crosswise },
        Check { name: "what did not change is not stored again, also after a restore", run: incremental },
        Check { name: "a small change makes a small checkpoint", run: small_change },
        Check { name: "an id names the same bytes for ever", run: ids },
    ]
}

fn pairs(groups: Range<KeyGroup>, each: u16, text: &str) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    groups.flat_map(move |group| {
        (0..each)
            .map(move |n| (key(group, (n % 3) as u8, n.to_be_bytes()), value(format!("{text} {group} {n}"))))
    })
}

// A store of these groups with pairs in each, on the shelf.
fn stored<F: ColdFixture>(fixture: &F, shelf: &Shelf, groups: Range<KeyGroup>) -> Result<Arc<Stored>> {
    let mut beside = Beside::new(&*fixture.backend()?, 1, groups.clone())?;
    beside.put(pairs(groups, 50, "first"))?;
    beside.freeze(1, shelf)
}

fn isolated<F: ColdFixture>(fixture: &F) -> Result<()> {
    let mut beside = Beside::new(&*fixture.backend()?, 1, 0..8)?;
    let mut frozen = Vec::new();
    for (round, text) in ["first", "second", "third"].into_iter().enumerate() {
        beside.put(pairs(0..8, 100, text))?;
        frozen.push((beside.all(), beside.store.freeze(round as u64)?));
    }
    beside.put(pairs(0..8, 100, "last"))?;
    let shelf = Shelf::new()?;
    for (expected, frozen) in frozen {
        if shelf.store(&*frozen)?.pairs != expected {
            return Err(wrong("later writes show in what was frozen"));
        }
    }
    beside.check()
}

fn files_go<F: ColdFixture>(fixture: &F) -> Result<()> {
    let mut beside = Beside::new(&*fixture.backend()?, 1, 0..8)?;
    beside.put(pairs(0..8, 10, "first"))?;
    let frozen = beside.store.freeze(1)?;
    let paths: Vec<_> = frozen.native().files.iter().map(|file| file.path.clone()).collect();
    if paths.is_empty() || !paths.iter().all(|path| path.exists()) {
        return Err(wrong("files that were named are not there"));
    }
    drop(frozen);
    if paths.iter().any(|path| path.exists()) {
        return Err(wrong("files stay behind"));
    }
    beside.check()
}

fn same<F: ColdFixture>(fixture: &F) -> Result<()> {
    let shelf = Shelf::new()?;
    let part = stored(fixture, &shelf, 0..128)?;
    let mut beside = Beside::restore(&*fixture.backend()?, 2, 0..128, &[part])?;
    beside.put(pairs(0..4, 60, "second"))?;
    beside.check()?;
    let part = beside.freeze(2, &shelf)?;
    Beside::restore(&*fixture.backend()?, 3, 0..128, &[part]).map(drop)
}

fn split<F: ColdFixture>(fixture: &F) -> Result<()> {
    let shelf = Shelf::new()?;
    let part = stored(fixture, &shelf, 0..128)?;
    let backend = fixture.backend()?;
    for owned in [0..64, 64..128] {
        let mut beside = Beside::restore(&*backend, 2, owned.clone(), from_ref(&part))?;
        beside.put(pairs(owned.start..owned.start + 3, 60, "second"))?;
        let part = beside.freeze(2, &shelf)?;
        Beside::restore(&*fixture.backend()?, 3, owned, &[part])?;
    }
    Ok(())
}

fn merged<F: ColdFixture>(fixture: &F) -> Result<()> {
    let shelf = Shelf::new()?;
    let parts = [stored(fixture, &shelf, 64..128)?, stored(fixture, &shelf, 0..64)?];
    let mut beside = Beside::restore(&*fixture.backend()?, 2, 0..128, &parts)?;
    beside.put(pairs(60..70, 60, "second"))?;
    let part = beside.freeze(2, &shelf)?;
    Beside::restore(&*fixture.backend()?, 3, 0..128, &[part]).map(drop)
}

fn crosswise<F: ColdFixture>(fixture: &F) -> Result<()> {
    let shelf = Shelf::new()?;
    let last = 32768;
    let old = [last - 9..last - 6, last - 6..last - 3, last - 3..last];
    let parts = old.map(|owned| stored(fixture, &shelf, owned));
    let parts = parts.into_iter().collect::<Result<Vec<_>>>()?;
    let backend = fixture.backend()?;
    for (owned, parts) in [(last - 9..last - 4, &parts[..2]), (last - 4..last, &parts[1..])] {
        let beside = Beside::restore(&*backend, 2, owned.clone(), parts)?;
        if beside.model.len() != 50 * owned.len() {
            return Err(wrong("the check lost pairs itself"));
        }
    }
    Ok(())
}

fn incremental<F: ColdFixture>(fixture: &F) -> Result<()> {
    let shelf = Shelf::new()?;
    let mut beside = Beside::new(&*fixture.backend()?, 1, 0..128)?;
    beside.put(pairs(0..128, 100, "first"))?;
    let full = beside.freeze(1, &shelf)?;
    let again = beside.freeze(2, &shelf)?;
    let mut restored = Beside::restore(&*fixture.backend()?, 2, 0..128, from_ref(&again))?;
    let restored = restored.freeze(3, &shelf)?;
    // Each checkpoint may have small files of its own, such as a list of the others.
    for (what, stored) in [("again", again), ("after a restore", restored)] {
        if stored.new_bytes * 4 > full.new_bytes {
            let (new, full) = (stored.new_bytes, full.new_bytes);
            return Err(wrong(format!("{what}: {new} bytes for no change, {full} for everything")));
        }
    }
    Ok(())
}

fn small_change<F: ColdFixture>(fixture: &F) -> Result<()> {
    let shelf = Shelf::new()?;
    let mut beside = Beside::new(&*fixture.backend()?, 1, 0..128)?;
    beside.put(pairs(0..128, 200, "first"))?;
    let full = beside.freeze(1, &shelf)?;
    beside.put(pairs(77..78, 50, "second"))?;
    let little = beside.freeze(2, &shelf)?;
    if little.new_bytes * 4 < full.new_bytes {
        return Ok(());
    }
    Err(wrong(format!("{} bytes for 50 pairs of {}", little.new_bytes, full.new_bytes)))
}

// Two attempts go on from one checkpoint, each in its own way: their files must not be mistaken for each
// other's.
fn ids<F: ColdFixture>(fixture: &F) -> Result<()> {
    let shelf = Shelf::new()?;
    let first = stored(fixture, &shelf, 0..128)?;
    for epoch in 2..5 {
        let backend = fixture.backend()?;
        let mut beside = Beside::restore(&*backend, epoch, 0..128, from_ref(&first))?;
        for id in 10..14 {
            beside.put(pairs(0..128, 20, &format!("{epoch} {id}")))?;
            let part = beside.freeze(id, &shelf)?;
            Beside::restore(&*backend, 100 * epoch + id, 0..128, &[part])?;
        }
    }
    Ok(())
}
