//! A place of one check in the system, and what is expected there.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_record::key_group::owned_groups;
use millstream_record::{Error, Result};
use millstream_stage::Rows;
use millstream_stage::sink::{Guarantee, Sink};
use millstream_stage::snapshot::{Restored, StageSnapshot};

use super::{SinkFixture, place_name};
use crate::driven_writer::DrivenWriter;
use crate::harness::Harness;
use crate::world::World;

const GROUPS: u16 = 128;

/// One check's place.
pub(super) struct SinkTarget<'a, F: SinkFixture> {
    pub(super) fixture: &'a F,
    name: String,
    world: Arc<dyn World>,
    pub(super) guarantee: Guarantee,
    keyed: bool,
    pub(super) by_age: bool,
}

/// Whether a system without keys may show a write twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Once,
    Again,
}

impl<'a, F: SinkFixture> SinkTarget<'a, F> {
    pub(super) fn new(fixture: &'a F, check: &str) -> Result<Self> {
        let name = place_name(check);
        let sink = fixture.sink(&name)?;
        sink.validate()?;
        Ok(Self {
            world: fixture.world()?,
            guarantee: sink.guarantee(),
            keyed: fixture.keyed(&sink),
            by_age: fixture.writes_by_age(&sink),
            fixture,
            name,
        })
    }

    pub(super) fn writer(&self, epoch: u64) -> Result<DrivenWriter<F::Record>> {
        self.open(epoch, 0, 1, Restored::default())
    }

    pub(super) fn open(
        &self,
        epoch: u64,
        subtask: u16,
        parallelism: u16,
        restored: Restored,
    ) -> Result<DrivenWriter<F::Record>> {
        let harness = Harness::new(Arc::clone(&self.world)).epoch(epoch).subtask(subtask, parallelism);
        let harness = harness.key_groups(GROUPS).restored(restored);
        DrivenWriter::open(&self.fixture.sink(&self.name)?, harness)
    }

    pub(super) fn restore(
        &self,
        snapshot: &StageSnapshot,
        epoch: u64,
        parallelism: u16,
    ) -> Result<Vec<DrivenWriter<F::Record>>> {
        let share = |index| snapshot.share(index, parallelism, &owned_groups(index, GROUPS, parallelism));
        (0..parallelism).map(|index| self.open(epoch, index, parallelism, share(index))).collect()
    }

    pub(super) fn rows(&self, writes: &[(u64, u64)]) -> Rows<F::Record> {
        let row =
            |&(key, value): &(u64, u64)| (self.fixture.record(key, value), 1_511_500_000_000 + value as i64);
        writes.iter().map(row).collect()
    }

    pub(super) fn write(
        &self,
        writer: &mut DrivenWriter<F::Record>,
        writes: &[(u64, u64)],
        batch: usize,
    ) -> Result<()> {
        writes.chunks(batch).try_for_each(|part| writer.write(self.rows(part)))
    }

    /// Makes everything visible as the end of a job does, and closes the writer at once.
    pub(super) fn finish(&self, mut writer: DrivenWriter<F::Record>) -> Result<()> {
        self.make_visible(&mut writer, 1_000)?;
        writer.close();
        Ok(())
    }

    /// Flushes; where only a checkpoint makes writes visible, completes one.
    pub(super) fn make_visible(&self, writer: &mut DrivenWriter<F::Record>, id: u64) -> Result<()> {
        writer.flush()?;
        if self.guarantee == Guarantee::Transactional {
            writer.checkpoint(id)?;
            writer.completed(id)?;
            writer.flush()?;
        }
        Ok(())
    }

    /// Compares what is visible with what was written, in order.
    pub(super) fn expect(&self, writes: &[(u64, u64)], written: Written) -> Result<()> {
        let mut seen = self.fixture.visible(&self.name)?;
        seen.sort_unstable();
        let mut expected = if self.keyed { last_of_each_key(writes) } else { writes.to_vec() };
        expected.sort_unstable();
        if !self.keyed && written == Written::Again && self.guarantee != Guarantee::Transactional {
            seen.dedup();
            expected.dedup();
        }
        if seen == expected { Ok(()) } else { Err(difference(&seen, &expected)) }
    }

    pub(super) fn is_as_expected(&self, writes: &[(u64, u64)]) -> bool {
        self.expect(writes, Written::Once).is_ok()
    }
}

fn last_of_each_key(writes: &[(u64, u64)]) -> Vec<(u64, u64)> {
    writes.iter().copied().collect::<BTreeMap<_, _>>().into_iter().collect()
}

fn difference(seen: &[(u64, u64)], expected: &[(u64, u64)]) -> Error {
    let missing: Vec<_> = expected.iter().filter(|pair| seen.binary_search(pair).is_err()).take(5).collect();
    let extra: Vec<_> = seen.iter().filter(|pair| expected.binary_search(pair).is_err()).take(5).collect();
    Error::bug(format!(
        "{} of (key, value) expected, {} visible; missing, for example: {missing:?}; not expected, for example: \
         {extra:?}; twice: {:?}",
        expected.len(),
        seen.len(),
        seen.windows(2).find(|pair| pair[0].0 == pair[1].0 && !expected.windows(2).any(|two| two == *pair)),
    ))
}

/// Writes with keys `from..to`, each with the value `key * 10 + salt`.
pub(super) fn pairs(from: u64, to: u64, salt: u64) -> Vec<(u64, u64)> {
    (from..to).map(|key| (key, key * 10 + salt)).collect()
}
