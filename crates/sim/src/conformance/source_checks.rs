//! Checks of reading: everything, once, in order, without waiting.

use std::time::Duration;

use millstream_record::Result;
use millstream_stage::source::Source;

use super::source_site::{ReadMessages, Reader, Site};
use super::{Check, SourceFixture};
use crate::driven_reader::Reading;
use crate::driven_writer::wrong;

pub(super) fn list<F: SourceFixture>() -> Vec<Check<F>> {
    vec![
        Check { name: "settings are valid and the kind has a name", run: settings },
        Check { name: "one reader gives everything once and in order", run: one_reader },
        Check { name: "three readers give everything once and in order", run: three_readers },
        Check { name: "an empty input ends", run: empty_input },
        Check { name: "a reader without splits waits", run: no_splits },
        Check { name: "a poll keeps to its budget, about", run: budget },
        Check { name: "a poll does not wait", run: polls_at_once },
        Check { name: "a paused split gives nothing until it is resumed", run: pause },
        Check { name: "splits can be added while others are read", run: add_later },
        Check { name: "a reader can be closed in the middle", run: close_early },
    ]
}

fn settings<F: SourceFixture>(fixture: &F) -> Result<()> {
    let site = Site::new(fixture, "settings", 1, 1)?;
    if site.source.kind().is_empty() { Err(wrong("Source::kind is empty")) } else { Ok(()) }
}

fn one_reader<F: SourceFixture>(fixture: &F) -> Result<()> {
    read_with(&mut Site::new(fixture, "one_reader", 3, 500)?, 1)
}

fn three_readers<F: SourceFixture>(fixture: &F) -> Result<()> {
    read_with(&mut Site::new(fixture, "three_readers", 4, 50)?, 3)
}

fn empty_input<F: SourceFixture>(fixture: &F) -> Result<()> {
    read_with(&mut Site::new(fixture, "empty_input", 2, 0)?, 1)
}

fn read_with<F: SourceFixture>(site: &mut Site<'_, F>, parallelism: u16) -> Result<()> {
    let mut seen = ReadMessages::default();
    for assignment in site.assign(parallelism)? {
        let mut reader = site.reader(assignment.subtask, parallelism)?;
        seen.start(&assignment.splits)?;
        reader.add_splits(assignment.splits)?;
        site.read_all(&mut reader, &mut seen, 64)?;
        finished(&mut reader)?;
        reader.close();
    }
    site.expect_all(&seen)
}

fn finished<T: millstream_record::Record>(reader: &mut crate::DrivenReader<T>) -> Result<()> {
    let left = reader.snapshot(1)?;
    if !left.is_empty() {
        return Err(wrong(format!("all splits are finished, but the snapshot still has {left:?}")));
    }
    match reader.poll(64)? {
        Reading::Pending => Ok(()),
        other => Err(wrong(format!("all splits are finished, but a poll gives {}", kind(&other)))),
    }
}

fn no_splits<F: SourceFixture>(fixture: &F) -> Result<()> {
    let mut site = Site::new(fixture, "no_splits", 1, 5)?;
    let mut reader = site.reader(1, 2)?;
    finished(&mut reader)?;
    reader.add_splits(Vec::new())?;
    finished(&mut reader)?;
    reader.close();
    Ok(())
}

fn budget<F: SourceFixture>(fixture: &F) -> Result<()> {
    let mut site = Site::new(fixture, "budget", 1, 2_000)?;
    let mut reader = site.reader(0, 1)?;
    let (mut seen, splits) = (ReadMessages::default(), site.splits()?);
    seen.start(&splits)?;
    reader.add_splits(splits)?;
    while seen.has_open() {
        let reading = reader.next(10)?;
        if let Reading::Rows(_, rows) = &reading {
            let count = site.messages(rows).len();
            if count > site.at_most(10) {
                return Err(wrong(format!("a poll with a budget of 10 records gave {count}")));
            }
        }
        site.note(&mut seen, reading)?;
    }
    reader.close();
    site.expect_all(&seen)
}

// A poll that waits for data does so each time; one that was merely slow, on a busy machine, is not slow five
// times.
fn polls_at_once<F: SourceFixture>(fixture: &F) -> Result<()> {
    let mut site = Site::new(fixture, "polls_at_once", 1, 5)?;
    let mut reader = site.reader(0, 1)?;
    let splits = site.splits()?;
    let names: Vec<_> = splits.iter().map(|split| split.id.clone()).collect();
    reader.add_splits(splits)?;
    reader.pause(&names);
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let (took, reading) = timed(|| reader.poll(10));
        if let Reading::Rows(..) = reading? {
            return Err(wrong("the only splits are paused, but a poll gives rows"));
        }
        fastest = fastest.min(took);
    }
    reader.close();
    if fastest > Duration::from_millis(20) {
        return Err(wrong(format!(
            "nothing was there, and the fastest of five polls took {fastest:?}: poll waits"
        )));
    }
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "what is measured is real waiting")]
fn timed<R>(call: impl FnOnce() -> R) -> (Duration, R) {
    let start = std::time::Instant::now();
    let result = call();
    (start.elapsed(), result)
}

fn pause<F: SourceFixture>(fixture: &F) -> Result<()> {
    let mut site = Site::new(fixture, "pause", 2, 300)?;
    let mut reader = site.reader(0, 1)?;
    let (mut seen, splits) = (ReadMessages::default(), site.splits()?);
    let Some(paused) = splits.first().map(|split| split.id.clone()) else {
        return Err(wrong("the enumerator found no split"));
    };
    let others = splits.len() - 1;
    seen.start(&splits)?;
    reader.add_splits(splits)?;
    while seen.count(&paused) == 0 {
        let reading = reader.next(10)?;
        site.note(&mut seen, reading)?;
    }
    let before = seen.count(&paused);
    reader.pause(std::slice::from_ref(&paused));
    read_others(&site, &mut reader, &mut seen, others)?;
    if seen.count(&paused) != before {
        return Err(wrong(format!("split {paused} is paused and gave more rows")));
    }
    reader.resume(std::slice::from_ref(&paused));
    site.read_all(&mut reader, &mut seen, 10)?;
    reader.close();
    site.expect_all(&seen)
}

// Until the other splits are finished; one of them may have been so before.
fn read_others<F: SourceFixture>(
    site: &Site<'_, F>,
    reader: &mut Reader<F>,
    seen: &mut ReadMessages,
    others: usize,
) -> Result<()> {
    if others == 0 {
        return match reader.poll(10)? {
            Reading::Pending => Ok(()),
            other => Err(wrong(format!("the only split is paused, but a poll gives {}", kind(&other)))),
        };
    }
    while seen.open_count() > 1 {
        let reading = reader.next(10)?;
        site.note(seen, reading)?;
    }
    Ok(())
}

fn add_later<F: SourceFixture>(fixture: &F) -> Result<()> {
    let mut site = Site::new(fixture, "add_later", 3, 60)?;
    let mut reader = site.reader(0, 1)?;
    let mut seen = ReadMessages::default();
    for split in site.splits()? {
        seen.start([&split])?;
        reader.add_splits(vec![split])?;
        let reading = reader.next(10)?;
        site.note(&mut seen, reading)?;
    }
    site.read_all(&mut reader, &mut seen, 10)?;
    finished(&mut reader)?;
    reader.close();
    site.expect_all(&seen)
}

fn close_early<F: SourceFixture>(fixture: &F) -> Result<()> {
    let mut site = Site::new(fixture, "close_early", 2, 200)?;
    site.reader(0, 1)?.close();
    let mut reader = site.reader(0, 1)?;
    reader.add_splits(site.splits()?)?;
    reader.close();
    let mut reader = site.reader(0, 1)?;
    reader.add_splits(site.splits()?)?;
    reader.next(10)?;
    reader.close();
    read_with(&mut site, 1)
}

fn kind<T>(reading: &Reading<T>) -> &'static str {
    match reading {
        Reading::Rows(..) => "rows",
        Reading::Pending => "nothing",
        Reading::Finished(_) => "the end of a split",
    }
}
