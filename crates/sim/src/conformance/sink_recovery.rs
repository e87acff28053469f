//! Checks of snapshots: what was not acknowledged, and what waits for the checkpoint to be complete.

use millstream_record::Result;
use millstream_stage::sink::Guarantee;
use millstream_stage::snapshot::StageSnapshot;

use super::sink_target::{SinkTarget, Written, pairs};
use super::{Check, SinkFixture};
use crate::driven_writer::{DrivenWriter, wrong};

pub(super) fn list<F: SinkFixture>() -> Vec<Check<F>> {
    vec![
        Check { name: "a crash right after a snapshot loses nothing", run: crash_after_snapshot },
        Check { name: "a snapshot restores at another parallelism", run: rescaled },
        Check {
            name: "a snapshot restores twice in a row, before anything was written",
            run: restored_twice,
        },
        Check { name: "writing goes on after a snapshot, completed and aborted", run: goes_on },
        Check {
            name: "a transaction is visible only when its checkpoint is complete",
            run: invisible_until_complete,
        },
        Check { name: "an uncompleted transaction is not visible after a crash", run: rolled_back },
    ]
}

fn crash_after_snapshot<F: SinkFixture>(fixture: &F) -> Result<()> {
    let place = SinkTarget::new(fixture, "crash_after_snapshot")?;
    let (before, after) = (pairs(0, 80, 1), pairs(80, 120, 1));
    let mut writer = place.writer(1)?;
    place.write(&mut writer, &before, 9)?;
    let snapshot = freeze(&mut [&mut writer], 1)?;
    writer.close();
    let mut writers = place.restore(&snapshot, 2, 1)?;
    place.write(&mut writers[0], &after, 9)?;
    finish(&place, writers)?;
    place.expect(&[before, after].concat(), Written::Again)
}

fn rescaled<F: SinkFixture>(fixture: &F) -> Result<()> {
    for (from, to) in [(1, 2), (2, 3), (3, 1)] {
        let place = SinkTarget::new(fixture, "rescaled")?;
        let writes = pairs(0, 90, 2);
        let mut writers = place.restore(&StageSnapshot::default(), 1, from)?;
        for (number, part) in writes.chunks(8).enumerate() {
            writers[number % usize::from(from)].write(place.rows(part))?;
        }
        let snapshot = freeze(&mut writers.iter_mut().collect::<Vec<_>>(), 1)?;
        writers.into_iter().for_each(DrivenWriter::close);
        finish(&place, place.restore(&snapshot, 2, to)?)?;
        let expected = place.expect(&writes, Written::Again);
        expected.map_err(|error| error.in_context(format_args!("from {from} writers to {to}")))?;
    }
    Ok(())
}

fn restored_twice<F: SinkFixture>(fixture: &F) -> Result<()> {
    let place = SinkTarget::new(fixture, "restored_twice")?;
    let writes = pairs(0, 40, 3);
    let mut writer = place.writer(1)?;
    place.write(&mut writer, &writes, 9)?;
    let first = freeze(&mut [&mut writer], 1)?;
    writer.close();
    let mut writers = place.restore(&first, 2, 1)?;
    let second = freeze(&mut writers.iter_mut().collect::<Vec<_>>(), 2)?;
    writers.into_iter().for_each(DrivenWriter::close);
    finish(&place, place.restore(&second, 3, 1)?)?;
    place.expect(&writes, Written::Again)
}

// Checkpoint 1 completes (twice, as may happen), 2 is aborted, 3 completes and with it what 2 had frozen.
fn goes_on<F: SinkFixture>(fixture: &F) -> Result<()> {
    let place = SinkTarget::new(fixture, "goes_on")?;
    let writes = pairs(0, 40, 4);
    let mut writer = place.writer(1)?;
    for (id, part) in (1..).zip(writes.chunks(10)) {
        place.write(&mut writer, part, 3)?;
        writer.checkpoint(id)?;
        if id == 2 {
            writer.aborted(id);
        } else {
            writer.completed(id)?;
            writer.completed(id)?;
        }
    }
    writer.flush()?;
    writer.close();
    place.expect(&writes, Written::Once)
}

fn invisible_until_complete<F: SinkFixture>(fixture: &F) -> Result<()> {
    let place = SinkTarget::new(fixture, "invisible")?;
    if place.guarantee != Guarantee::Transactional {
        return Ok(());
    }
    let writes = pairs(0, 40, 5);
    let mut writer = place.writer(1)?;
    place.write(&mut writer, &writes, 7)?;
    writer.checkpoint(1)?;
    place.expect(&[], Written::Once)?;
    writer.completed(1)?;
    writer.flush()?;
    writer.close();
    place.expect(&writes, Written::Once)
}

fn rolled_back<F: SinkFixture>(fixture: &F) -> Result<()> {
    let place = SinkTarget::new(fixture, "rolled_back")?;
    if place.guarantee != Guarantee::Transactional {
        return Ok(());
    }
    let (kept, lost) = (pairs(0, 20, 6), pairs(20, 40, 6));
    let mut writer = place.writer(1)?;
    place.write(&mut writer, &kept, 7)?;
    let snapshot = freeze(&mut [&mut writer], 1)?;
    place.write(&mut writer, &lost, 7)?;
    writer.flush()?;
    writer.close();
    finish(&place, place.restore(&snapshot, 2, 1)?)?;
    let seen = place.expect(&kept, Written::Once);
    seen.map_err(|error| {
        wrong("after a restore only the checkpoint's own writes may be visible").caused_by(error)
    })
}

pub(super) fn freeze<T: millstream_record::record::Data>(
    writers: &mut [&mut DrivenWriter<T>],
    id: u64,
) -> Result<StageSnapshot> {
    let mut snapshot = StageSnapshot::default();
    for writer in writers {
        snapshot.add(writer.checkpoint(id)?)?;
    }
    Ok(snapshot)
}

pub(super) fn finish<F: SinkFixture>(
    place: &SinkTarget<'_, F>,
    writers: Vec<DrivenWriter<F::Record>>,
) -> Result<()> {
    writers.into_iter().try_for_each(|writer| place.finish(writer))
}
