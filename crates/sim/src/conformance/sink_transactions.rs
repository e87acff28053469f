//! Checks of transactions around crashes, at the same and at other parallelisms: nothing visible twice,
//! nothing missing.

use millstream_record::{ErrorKind, Result};
use millstream_stage::sink::Guarantee;
use millstream_stage::snapshot::StageSnapshot;

use super::sink_recovery::{finish, freeze};
use super::sink_target::{SinkTarget, Written, pairs};
use super::{Check, SinkFixture};
use crate::driven_writer::{DrivenWriter, wrong};

pub(super) fn list<F: SinkFixture>() -> Vec<Check<F>> {
    vec![
        Check { name: "a commit whose acknowledgement was lost is not repeated", run: acknowledgement_lost },
        Check { name: "a completed checkpoint commits those before it", run: covers_earlier },
        Check { name: "an older attempt that commits later changes nothing", run: zombie_commits },
        Check { name: "output of subtasks that are no more survives two more restores", run: gone_and_back },
    ]
}

/// From so many writers to so many.
const SCALES: [(u16, u16); 3] = [(1, 1), (3, 1), (1, 3)];

fn transactional<'a, F: SinkFixture>(fixture: &'a F, check: &str) -> Result<Option<SinkTarget<'a, F>>> {
    let place = SinkTarget::new(fixture, check)?;
    Ok((place.guarantee == Guarantee::Transactional).then_some(place))
}

// Writers that have written these, all in turn, and frozen checkpoint 1.
fn frozen<F: SinkFixture>(
    place: &SinkTarget<'_, F>,
    writes: &[(u64, u64)],
    parallelism: u16,
) -> Result<(Vec<DrivenWriter<F::Record>>, StageSnapshot)> {
    let mut writers = place.restore(&StageSnapshot::default(), 1, parallelism)?;
    for (number, part) in writes.chunks(7).enumerate() {
        writers[number % usize::from(parallelism)].write(place.rows(part))?;
    }
    let snapshot = freeze(&mut writers.iter_mut().collect::<Vec<_>>(), 1)?;
    Ok((writers, snapshot))
}

// The job dies right after the commit: what it starts from again is the snapshot from before it.
fn acknowledgement_lost<F: SinkFixture>(fixture: &F) -> Result<()> {
    for (from, to) in SCALES {
        let Some(place) = transactional(fixture, "acknowledgement_lost")? else { return Ok(()) };
        let writes = pairs(0, 60, 1);
        let (mut writers, snapshot) = frozen(&place, &writes, from)?;
        for mut writer in writers.drain(..) {
            writer.completed(1)?;
            writer.flush()?;
            writer.close();
        }
        place.expect(&writes, Written::Once)?;
        finish(&place, place.restore(&snapshot, 2, to)?)?;
        in_scale(from, to, place.expect(&writes, Written::Once))?;
    }
    Ok(())
}

fn covers_earlier<F: SinkFixture>(fixture: &F) -> Result<()> {
    let Some(place) = transactional(fixture, "covers_earlier")? else { return Ok(()) };
    let writes = pairs(0, 40, 2);
    let mut writer = place.writer(1)?;
    for (id, part) in (1..).zip(writes.chunks(10)) {
        place.write(&mut writer, part, 3)?;
        writer.checkpoint(id)?;
    }
    writer.completed(3)?;
    writer.completed(2)?;
    writer.flush()?;
    place.expect(&writes[..30], Written::Once)?;
    writer.completed(4)?;
    writer.flush()?;
    writer.close();
    place.expect(&writes, Written::Once)
}

// Stopped between its snapshot and the news that it is complete, it goes on when others have taken over.
fn zombie_commits<F: SinkFixture>(fixture: &F) -> Result<()> {
    for (from, to) in SCALES {
        let Some(place) = transactional(fixture, "zombie_commits")? else { return Ok(()) };
        let (old, new) = (pairs(0, 60, 3), pairs(60, 80, 3));
        let (zombies, snapshot) = frozen(&place, &old, from)?;
        let mut writers = place.restore(&snapshot, 2, to)?;
        place.write(&mut writers[0], &new, 7)?;
        finish(&place, writers)?;
        for mut zombie in zombies {
            let committed = zombie.completed(1).and_then(|()| zombie.flush());
            zombie.close();
            if let Err(error) = committed
                && error.kind() != ErrorKind::Fenced
            {
                return Err(error.in_context("an older attempt that is not told that it is fenced"));
            }
        }
        in_scale(from, to, place.expect(&[old, new].concat(), Written::Once))?;
    }
    Ok(())
}

fn gone_and_back<F: SinkFixture>(fixture: &F) -> Result<()> {
    let Some(place) = transactional(fixture, "gone_and_back")? else { return Ok(()) };
    let writes = pairs(0, 60, 4);
    let (zombies, first) = frozen(&place, &writes, 3)?;
    let mut writers = place.restore(&first, 2, 1)?;
    let second = freeze(&mut writers.iter_mut().collect::<Vec<_>>(), 2)?;
    writers.into_iter().for_each(DrivenWriter::close);
    finish(&place, place.restore(&second, 3, 3)?)?;
    // Both were complete: whichever of them somebody goes back to.
    finish(&place, place.restore(&first, 4, 2)?)?;
    zombies.into_iter().for_each(DrivenWriter::close);
    place.expect(&writes, Written::Once)
}

fn in_scale(from: u16, to: u16, result: Result<()>) -> Result<()> {
    result.map_err(|error| wrong(format!("from {from} writers to {to}")).caused_by(error))
}
