//! Checks of what happens when a job is started again, and when the attempt before it is not dead yet.

use millstream_record::{ErrorKind, Result};
use millstream_stage::sink::Guarantee;

use super::sink_target::{SinkTarget, Written, pairs};
use super::{Check, SinkFixture};
use crate::driven_writer::DrivenWriter;

pub(super) fn list<F: SinkFixture>() -> Vec<Check<F>> {
    vec![
        Check { name: "a new attempt that repeats all writes leaves one result", run: repeated_by_new_epoch },
        Check {
            name: "a new writer of the same attempt that repeats all writes leaves one result",
            run: repeated,
        },
        Check { name: "a new attempt wins although it has written less", run: new_epoch_wins },
        Check { name: "close without a flush loses nothing that is written again", run: crash_before_flush },
        Check { name: "an older attempt that writes later does not overwrite", run: zombie_writes },
        Check { name: "an older attempt that had buffered before does not overwrite", run: zombie_flushes },
    ]
}

fn repeated_by_new_epoch<F: SinkFixture>(fixture: &F) -> Result<()> {
    repeat(&SinkTarget::new(fixture, "repeated_new_epoch")?, &[1, 2, 7])
}

fn repeated<F: SinkFixture>(fixture: &F) -> Result<()> {
    repeat(&SinkTarget::new(fixture, "repeated")?, &[1, 1])
}

// The attempts cut their batches differently, as replays do.
fn repeat<F: SinkFixture>(place: &SinkTarget<'_, F>, epochs: &[u64]) -> Result<()> {
    // What a transaction has committed is not written again after a restore.
    if place.guarantee == Guarantee::Transactional {
        return Ok(());
    }
    let writes = pairs(0, 60, 1);
    for (number, epoch) in epochs.iter().enumerate() {
        let mut writer = place.writer(*epoch)?;
        place.write(&mut writer, &writes, 7 + number * 5)?;
        place.finish(writer)?;
        place.expect(&writes, Written::Again)?;
    }
    Ok(())
}

fn new_epoch_wins<F: SinkFixture>(fixture: &F) -> Result<()> {
    let place = SinkTarget::new(fixture, "new_epoch_wins")?;
    let mut writes: Vec<_> = (0..500).map(|value| (value % 2, value)).collect();
    let mut writer = place.writer(1)?;
    place.write(&mut writer, &writes, 10)?;
    place.finish(writer)?;
    let mut writer = place.writer(2)?;
    place.write(&mut writer, &[(1, 3)], 1)?;
    place.finish(writer)?;
    writes.push((1, 3));
    place.expect(&writes, Written::Again)
}

fn crash_before_flush<F: SinkFixture>(fixture: &F) -> Result<()> {
    let place = SinkTarget::new(fixture, "crash_before_flush")?;
    let writes = pairs(0, 200, 2);
    let mut writer = place.writer(1)?;
    place.write(&mut writer, &writes, 30)?;
    writer.close();
    let mut writer = place.writer(2)?;
    place.write(&mut writer, &writes, 17)?;
    place.finish(writer)?;
    place.expect(&writes, Written::Again)
}

fn zombie_writes<F: SinkFixture>(fixture: &F) -> Result<()> {
    let place = SinkTarget::new(fixture, "zombie_writes")?;
    if place.guarantee != Guarantee::IdempotentFenced {
        return Ok(());
    }
    let (old, new) = (pairs(0, 50, 1), pairs(0, 40, 2));
    let zombie = place.writer(4)?;
    let mut writer = place.writer(5)?;
    place.write(&mut writer, &new, 10)?;
    place.finish(writer)?;
    let late = place.writer(3)?;
    // The one has written more than the winner, the other less.
    haunt(&place, zombie, &old[..40].repeat(2))?;
    haunt(&place, late, &old[..20])?;
    place.expect(&new, Written::Once)
}

fn zombie_flushes<F: SinkFixture>(fixture: &F) -> Result<()> {
    let place = SinkTarget::new(fixture, "zombie_flushes")?;
    if place.guarantee != Guarantee::IdempotentFenced {
        return Ok(());
    }
    let (old, new) = (pairs(0, 40, 1), pairs(0, 40, 2));
    let mut zombie = place.writer(4)?;
    place.write(&mut zombie, &old, 40)?;
    let mut writer = place.writer(5)?;
    place.write(&mut writer, &new, 10)?;
    place.finish(writer)?;
    haunt(&place, zombie, &old)?;
    place.expect(&new, Written::Once)
}

// It may be told that it is fenced, or may write in vain.
fn haunt<F: SinkFixture>(
    place: &SinkTarget<'_, F>,
    mut zombie: DrivenWriter<F::Record>,
    writes: &[(u64, u64)],
) -> Result<()> {
    let result = place.write(&mut zombie, writes, 10).and_then(|()| zombie.flush());
    zombie.close();
    match result {
        Err(error) if error.kind() != ErrorKind::Fenced => Err(error.in_context("the older attempt")),
        _ => Ok(()),
    }
}
