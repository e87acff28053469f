//! Checks of snapshots: a new reader goes on exactly where the old one stood.

use millstream_record::Result;
use millstream_record::record::{from_bytes, to_bytes};
use millstream_stage::source::Split;

use super::source_site::{ReadMessages, Site};
use super::{Check, SourceFixture};
use crate::driven_writer::wrong;

pub(super) fn list<F: SourceFixture>() -> Vec<Check<F>> {
    vec![
        Check { name: "a new reader after every poll gives the rest exactly", run: new_reader_every_poll },
        Check { name: "every snapshot of a run gives the rest exactly", run: every_snapshot },
        Check { name: "a snapshot changes nothing and is the same twice", run: snapshot_twice },
        Check { name: "a snapshot before the first poll has every split", run: snapshot_first },
        Check { name: "a snapshot has paused splits too", run: snapshot_paused },
        Check { name: "splits can change hands between readers", run: change_hands },
        Check { name: "completed checkpoints are taken note of", run: completed },
    ]
}

fn new_reader_every_poll<F: SourceFixture>(fixture: &F) -> Result<()> {
    let mut site = Site::new(fixture, "every_poll", 2, 40)?;
    let (mut seen, mut splits) = (ReadMessages::default(), site.splits()?);
    seen.start(&splits)?;
    let mut polls = 0;
    while !splits.is_empty() {
        let mut reader = site.reader(0, 1)?;
        reader.add_splits(travelled(&splits)?)?;
        let reading = reader.next(7)?;
        site.note(&mut seen, reading)?;
        splits = reader.snapshot(polls)?;
        reader.close();
        polls += 1;
    }
    site.expect_all(&seen)
}

// The snapshots of one reader that goes on, each read to the end by a reader of its own.
fn every_snapshot<F: SourceFixture>(fixture: &F) -> Result<()> {
    let mut site = Site::new(fixture, "every_snapshot", 2, 25)?;
    let (mut seen, splits) = (ReadMessages::default(), site.splits()?);
    seen.start(&splits)?;
    let mut reader = site.reader(0, 1)?;
    reader.add_splits(splits)?;
    let mut id = 0;
    while seen.has_open() {
        let reading = reader.next(9)?;
        site.note(&mut seen, reading)?;
        id += 1;
        let mut branch = seen.clone();
        let mut other = site.reader(0, 1)?;
        other.add_splits(travelled(&reader.snapshot(id)?)?)?;
        site.read_all(&mut other, &mut branch, 9)?;
        other.close();
        site.expect_all(&branch).map_err(|error| error.in_context(format_args!("from snapshot {id}")))?;
    }
    reader.close();
    site.expect_all(&seen)
}

fn snapshot_twice<F: SourceFixture>(fixture: &F) -> Result<()> {
    let mut site = Site::new(fixture, "snapshot_twice", 2, 100)?;
    let (mut seen, splits) = (ReadMessages::default(), site.splits()?);
    seen.start(&splits)?;
    let mut reader = site.reader(0, 1)?;
    reader.add_splits(splits)?;
    let mut id = 0;
    while seen.has_open() {
        let reading = reader.next(30)?;
        site.note(&mut seen, reading)?;
        id += 2;
        let (first, second) = (sorted(reader.snapshot(id)?), sorted(reader.snapshot(id + 1)?));
        if first != second {
            return Err(wrong(format!(
                "two snapshots without a poll between them differ: {first:?}, {second:?}"
            )));
        }
    }
    reader.close();
    site.expect_all(&seen)
}

fn snapshot_first<F: SourceFixture>(fixture: &F) -> Result<()> {
    let mut site = Site::new(fixture, "snapshot_first", 2, 10)?;
    let splits = site.splits()?;
    let mut reader = site.reader(0, 1)?;
    reader.add_splits(splits.clone())?;
    let frozen = reader.snapshot(1)?;
    reader.close();
    go_on(&mut site, &splits, frozen)
}

fn snapshot_paused<F: SourceFixture>(fixture: &F) -> Result<()> {
    let mut site = Site::new(fixture, "snapshot_paused", 2, 10)?;
    let splits = site.splits()?;
    let mut reader = site.reader(0, 1)?;
    reader.add_splits(splits.clone())?;
    reader.pause(&splits.iter().map(|split| split.id.clone()).collect::<Vec<_>>());
    reader.poll(10)?;
    let frozen = reader.snapshot(1)?;
    reader.close();
    go_on(&mut site, &splits, frozen)
}

// Reads a snapshot that was taken before anything was read.
fn go_on<F: SourceFixture>(site: &mut Site<'_, F>, splits: &[Split], frozen: Vec<Split>) -> Result<()> {
    let mut seen = ReadMessages::default();
    seen.start(splits)?;
    if frozen.len() != splits.len() {
        return Err(wrong(format!(
            "{} splits were assigned, the snapshot has {}",
            splits.len(),
            frozen.len()
        )));
    }
    let mut reader = site.reader(0, 1)?;
    reader.add_splits(frozen)?;
    site.read_all(&mut reader, &mut seen, 10)?;
    reader.close();
    site.expect_all(&seen)
}

// Two readers have read some; a restore deals their splits the other way round.
fn change_hands<F: SourceFixture>(fixture: &F) -> Result<()> {
    let mut site = Site::new(fixture, "change_hands", 4, 60)?;
    let mut seen = ReadMessages::default();
    let mut frozen = Vec::new();
    for assignment in site.assign(2)? {
        seen.start(&assignment.splits)?;
        let mine: Vec<_> = assignment.splits.iter().map(|split| split.id.clone()).collect();
        let mut reader = site.reader(assignment.subtask, 2)?;
        reader.add_splits(assignment.splits)?;
        for _ in 0..3 {
            if mine.iter().any(|split| seen.is_open(split)) {
                let reading = reader.next(8)?;
                site.note(&mut seen, reading)?;
            }
        }
        frozen.extend(reader.snapshot(1)?);
        reader.close();
    }
    frozen.reverse();
    for (subtask, splits) in (0..).zip(frozen.chunks(2)) {
        let mut reader = site.reader(subtask, 3)?;
        reader.add_splits(travelled(splits)?)?;
        for split in splits {
            while seen.is_open(&split.id) {
                let reading = reader.next(8)?;
                site.note(&mut seen, reading)?;
            }
        }
        reader.close();
    }
    site.expect_all(&seen)
}

fn completed<F: SourceFixture>(fixture: &F) -> Result<()> {
    let mut site = Site::new(fixture, "completed", 2, 100)?;
    let (mut seen, splits) = (ReadMessages::default(), site.splits()?);
    seen.start(&splits)?;
    let mut reader = site.reader(0, 1)?;
    reader.add_splits(splits)?;
    let mut id = 0;
    while seen.has_open() {
        let reading = reader.next(40)?;
        site.note(&mut seen, reading)?;
        id += 1;
        reader.snapshot(id)?;
        // The even ones come late, together with their successor; the odd ones come twice.
        if id % 2 == 1 {
            reader.completed(id)?;
            reader.completed(id)?;
        }
    }
    reader.completed(id)?;
    reader.close();
    site.expect_all(&seen)
}

// A snapshot's splits travel as bytes.
fn travelled(splits: &[Split]) -> Result<Vec<Split>> {
    splits.iter().map(|split| from_bytes(&to_bytes(split))).collect()
}

fn sorted(mut splits: Vec<Split>) -> Vec<Split> {
    splits.sort_by(|left, right| left.id.cmp(&right.id));
    splits
}
