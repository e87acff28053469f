//! Checks of what a writer does while all is well.

use millstream_record::Result;
use millstream_stage::Rows;
use millstream_stage::sink::{Guarantee, Sink};

use super::sink_target::{SinkTarget, Written, pairs};
use super::{Check, SinkFixture};
use crate::driven_writer::{SINK_NAME, wrong};

pub(super) fn list<F: SinkFixture>() -> Vec<Check<F>> {
    vec![
        Check { name: "settings are valid and the kind has a name", run: settings },
        Check { name: "a writer can be closed before anything was written", run: close_at_once },
        Check { name: "an empty flush is complete", run: empty_flush },
        Check { name: "a flush really waits: everything is readable after it", run: flush_waits },
        Check { name: "every flush covers what came since the last one", run: every_flush },
        Check { name: "the last write of a key stays", run: last_write_stays },
        Check { name: "ten times the buffer in one batch is written whole", run: large_batch },
        Check { name: "a flood of small batches is written whole", run: flood },
        Check { name: "two writers at once do not disturb each other", run: two_writers },
        Check { name: "a small write is written without a flush, after a while", run: by_age },
        Check { name: "a refused record is a dead letter and the others are written", run: refused },
        Check { name: "bytes and latency are counted", run: metrics },
    ]
}

fn settings<F: SinkFixture>(fixture: &F) -> Result<()> {
    let sink = fixture.sink(&super::place_name("settings"))?;
    sink.validate()?;
    if sink.kind().is_empty() { Err(wrong("Sink::kind is empty")) } else { Ok(()) }
}

fn close_at_once<F: SinkFixture>(fixture: &F) -> Result<()> {
    let place = SinkTarget::new(fixture, "close_at_once")?;
    place.writer(1)?.close();
    let mut writer = place.writer(2)?;
    writer.resume()?;
    writer.close();
    place.expect(&[], Written::Once)
}

fn empty_flush<F: SinkFixture>(fixture: &F) -> Result<()> {
    let place = SinkTarget::new(fixture, "empty_flush")?;
    let mut writer = place.writer(1)?;
    writer.flush()?;
    writer.write(Rows::default())?;
    writer.flush()?;
    place.finish(writer)?;
    place.expect(&[], Written::Once)
}

fn flush_waits<F: SinkFixture>(fixture: &F) -> Result<()> {
    let place = SinkTarget::new(fixture, "flush_waits")?;
    let writes = pairs(0, 100, 1);
    let mut writer = place.writer(1)?;
    place.write(&mut writer, &writes, 7)?;
    place.finish(writer)?;
    place.expect(&writes, Written::Once)
}

fn every_flush<F: SinkFixture>(fixture: &F) -> Result<()> {
    let place = SinkTarget::new(fixture, "every_flush")?;
    let mut writer = place.writer(1)?;
    let mut written = Vec::new();
    for round in 0..5 {
        let writes = pairs(round * 10, round * 10 + 10, round);
        place.write(&mut writer, &writes, 10)?;
        written.extend(writes);
        place.make_visible(&mut writer, round + 1)?;
        place.expect(&written, Written::Once)?;
    }
    place.finish(writer)?;
    place.expect(&written, Written::Once)
}

// Within a batch, across batches in flight together, and across a flush. A system without keys shows all of
// them.
fn last_write_stays<F: SinkFixture>(fixture: &F) -> Result<()> {
    let place = SinkTarget::new(fixture, "last_write_stays")?;
    let writes: Vec<_> = (0..2_000).map(|number| (number % 5, number)).collect();
    let mut writer = place.writer(1)?;
    let (before, after) = writes.split_at(1_200);
    place.write(&mut writer, before, 11)?;
    place.make_visible(&mut writer, 1)?;
    place.expect(before, Written::Once)?;
    place.write(&mut writer, after, 400)?;
    place.finish(writer)?;
    place.expect(&writes, Written::Once)
}

fn large_batch<F: SinkFixture>(fixture: &F) -> Result<()> {
    let place = SinkTarget::new(fixture, "large_batch")?;
    let writes = pairs(0, fixture.large(), 2);
    let mut writer = place.writer(1)?;
    writer.write(place.rows(&writes))?;
    writer.settle()?;
    writer.write(place.rows(&[(fixture.large(), 1)]))?;
    place.finish(writer)?;
    place.expect(&[writes, vec![(fixture.large(), 1)]].concat(), Written::Once)
}

fn flood<F: SinkFixture>(fixture: &F) -> Result<()> {
    let place = SinkTarget::new(fixture, "flood")?;
    let writes = pairs(0, fixture.large(), 3);
    let mut writer = place.writer(1)?;
    place.write(&mut writer, &writes, 37)?;
    place.finish(writer)?;
    place.expect(&writes, Written::Once)
}

fn two_writers<F: SinkFixture>(fixture: &F) -> Result<()> {
    let place = SinkTarget::new(fixture, "two_writers")?;
    let writes = pairs(0, 600, 4);
    let mut writers = [place.open(1, 0, 2, Default::default())?, place.open(1, 1, 2, Default::default())?];
    for (number, part) in writes.chunks(20).enumerate() {
        writers[number % 2].write(place.rows(part))?;
    }
    writers.into_iter().try_for_each(|writer| place.finish(writer))?;
    place.expect(&writes, Written::Once)
}

fn by_age<F: SinkFixture>(fixture: &F) -> Result<()> {
    let place = SinkTarget::new(fixture, "by_age")?;
    if !place.by_age {
        return Ok(());
    }
    let writes = pairs(0, 3, 5);
    let mut writer = place.writer(1)?;
    writer.write(place.rows(&writes))?;
    while !place.is_as_expected(&writes) {
        let turned = writer.turn();
        // A client of its own accord may have sent it without waking anyone.
        if turned.is_err() && place.is_as_expected(&writes) {
            break;
        }
        turned.map_err(|error| error.in_context("written, not flushed, and never visible"))?;
    }
    place.finish(writer)?;
    place.expect(&writes, Written::Once)
}

fn refused<F: SinkFixture>(fixture: &F) -> Result<()> {
    let Some(record) = fixture.refused() else {
        return Ok(());
    };
    let place = SinkTarget::new(fixture, "refused")?;
    let writes = pairs(0, 10, 6);
    let mut writer = place.writer(1)?;
    place.write(&mut writer, &writes[..5], 5)?;
    let mut rows = place.rows(&writes[5..8]);
    rows.push(record, 0);
    writer.write(rows)?;
    place.write(&mut writer, &writes[8..], 2)?;
    place.make_visible(&mut writer, 1)?;
    let refused = writer.dead_letters().to_vec();
    place.finish(writer)?;
    match refused.as_slice() {
        [letter] if letter.id.is_empty() || letter.reason.is_empty() || letter.raw.is_empty() => {
            Err(wrong(format!("the dead letter lacks its id, bytes or reason: {letter:?}")))
        }
        [_] => place.expect(&writes, Written::Once),
        others => Err(wrong(format!("one dead letter expected, {} came", others.len()))),
    }
}

fn metrics<F: SinkFixture>(fixture: &F) -> Result<()> {
    let place = SinkTarget::new(fixture, "metrics")?;
    let mut writer = place.writer(1)?;
    place.write(&mut writer, &pairs(0, 50, 7), 10)?;
    place.make_visible(&mut writer, 1)?;
    let metrics = writer.harness().metrics().operator(SINK_NAME);
    place.finish(writer)?;
    if metrics.bytes_out.get() == 0 {
        return Err(wrong("bytes_out is still 0 after a flush of 50 records"));
    }
    if metrics.latency.histogram().is_empty() && place.guarantee != Guarantee::Transactional {
        return Err(wrong("no latency was recorded for 50 acknowledged records"));
    }
    Ok(())
}
