//! Checks of the enumerator: every split is dealt once, also after a restore.

use std::collections::BTreeSet;

use millstream_record::Result;
use millstream_stage::source::{Assignment, EnumeratorEvent, Source};

use super::source_site::{ReadMessages, Site};
use super::{Check, SourceFixture};
use crate::driven_writer::wrong;

pub(super) fn list<F: SourceFixture>() -> Vec<Check<F>> {
    vec![
        Check { name: "every split is dealt once, at parallelism 1, 2 and 3", run: dealt_once },
        Check { name: "every reader of a bounded source learns that nothing follows", run: last_for_all },
        Check { name: "a restored enumerator deals nothing again", run: restored },
        Check { name: "returned splits are dealt again, at their positions", run: returned },
        Check { name: "ticks and ready readers of a bounded source get no split twice", run: ticks },
    ]
}

fn dealt_once<F: SourceFixture>(fixture: &F) -> Result<()> {
    let site = Site::new(fixture, "dealt_once", 4, 3)?;
    for parallelism in 1..=3 {
        let assignments = site.assign(parallelism)?;
        subtasks_exist(&assignments, parallelism)?;
        let mut seen = ReadMessages::default();
        seen.start(assignments.iter().flat_map(|assignment| &assignment.splits))?;
        let dealt: BTreeSet<_> = seen.splits().collect();
        let filled = site.content.iter().filter(|(_, records)| !records.is_empty()).map(|(split, _)| split);
        let missing: Vec<_> = filled.filter(|split| !dealt.contains(split.as_str())).collect();
        if !missing.is_empty() {
            return Err(wrong(format!("at parallelism {parallelism}, no reader gets {missing:?}")));
        }
    }
    Ok(())
}

fn subtasks_exist(assignments: &[Assignment], parallelism: u16) -> Result<()> {
    match assignments.iter().find(|assignment| assignment.subtask >= parallelism) {
        Some(assignment) => {
            Err(wrong(format!("subtask {} of {parallelism} gets an assignment", assignment.subtask)))
        }
        None => Ok(()),
    }
}

fn last_for_all<F: SourceFixture>(fixture: &F) -> Result<()> {
    for splits in [0, 2] {
        let site = Site::new(fixture, "last_for_all", splits, 2)?;
        told_the_end(&site.assign(3)?, 3)?;
    }
    Ok(())
}

fn told_the_end(assignments: &[Assignment], parallelism: u16) -> Result<()> {
    let last = assignments.iter().filter(|assignment| assignment.last);
    let informed: BTreeSet<_> = last.map(|assignment| assignment.subtask).collect();
    if informed.len() == usize::from(parallelism) {
        return Ok(());
    }
    Err(wrong(format!(
        "of {parallelism} readers only {informed:?} learn that nothing follows: the others never end"
    )))
}

// The readers get their splits back by themselves.
fn restored<F: SourceFixture>(fixture: &F) -> Result<()> {
    let site = Site::new(fixture, "restored", 3, 3)?;
    let mut first = site.source.enumerator();
    first.on(&site.enumerator_context(2), EnumeratorEvent::Start { restored: None })?;
    let mut second = site.source.enumerator();
    let start = EnumeratorEvent::Start { restored: Some(first.snapshot()) };
    let assignments = second.on(&site.enumerator_context(3), start)?;
    let again: Vec<_> = assignments.iter().flat_map(|assignment| &assignment.splits).collect();
    if !again.is_empty() {
        return Err(wrong(format!("after a restore, these splits are dealt a second time: {again:?}")));
    }
    told_the_end(&assignments, 3)
}

fn returned<F: SourceFixture>(fixture: &F) -> Result<()> {
    let mut site = Site::new(fixture, "returned", 2, 60)?;
    let (mut seen, splits) = (ReadMessages::default(), site.splits()?);
    let mut enumerator = site.source.enumerator();
    enumerator.on(&site.enumerator_context(1), EnumeratorEvent::Start { restored: None })?;
    seen.start(&splits)?;
    let mut reader = site.reader(0, 1)?;
    reader.add_splits(splits)?;
    let reading = reader.next(10)?;
    site.note(&mut seen, reading)?;
    let event = EnumeratorEvent::Returned { splits: reader.snapshot(1)? };
    reader.close();
    let mut reader = site.reader(0, 1)?;
    for assignment in enumerator.on(&site.enumerator_context(1), event)? {
        reader.add_splits(assignment.splits)?;
    }
    site.read_all(&mut reader, &mut seen, 10)?;
    reader.close();
    site.expect_all(&seen)
}

fn ticks<F: SourceFixture>(fixture: &F) -> Result<()> {
    let site = Site::new(fixture, "ticks", 3, 3)?;
    let (mut seen, context) = (ReadMessages::default(), site.enumerator_context(2));
    let mut enumerator = site.source.enumerator();
    let ready = |subtask| EnumeratorEvent::ReaderReady { subtask };
    let start = EnumeratorEvent::Start { restored: None };
    for event in [start, ready(0), EnumeratorEvent::Tick, ready(1), EnumeratorEvent::Tick] {
        let assignments = enumerator.on(&context, event)?;
        subtasks_exist(&assignments, 2)?;
        seen.start(assignments.iter().flat_map(|assignment| &assignment.splits))?;
    }
    Ok(())
}
