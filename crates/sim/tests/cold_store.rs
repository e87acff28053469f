//! The reference cold store passes the list that it is the reference for, and the list finds stores that do
//! not.

use std::ops::Range;
use std::sync::Arc;

use millstream_record::Result;
use millstream_sim::MemoryCold;
use millstream_sim::conformance::{self, ColdFixture};
use millstream_stage::snapshot::{CheckpointId, KeyedPart, NativeFile, NativeState};
use millstream_stage::state_backend::{
    Change, ColdSizes, ColdStore, FrozenCold, OpenedCold, Pairs, Scope, StateBackend, TakePair,
};
use millstream_stage::time::Time;

struct Reference;

impl ColdFixture for Reference {
    fn backend(&self) -> Result<Box<dyn StateBackend>> {
        Ok(Box::new(MemoryCold::default()))
    }
}

#[test]
fn the_reference_passes() {
    conformance::cold_store(&Reference).unwrap();
}

#[test]
fn each_fault_is_found() {
    for (fault, found_by) in [
        (ColdStoreFault::ForgetsRanges, "a deleted range is gone, its end stays"),
        (
            ColdStoreFault::IgnoresTheLimit,
            "a scan is in the order of bytes, ends before its end and at its limit",
        ),
        (ColdStoreFault::ExpiresEveryTable, "a value that is not expired stays, one that is may go"),
        (ColdStoreFault::CallsFilesByNameOnly, "an id names the same bytes for ever"),
        (ColdStoreFault::RestoresForeignGroups, "split in two"),
    ] {
        let failures = conformance::cold_store(&Faulty(fault)).unwrap_err();
        assert!(failures.names().contains(&found_by), "{fault:?}: {failures}");
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum ColdStoreFault {
    ForgetsRanges,
    IgnoresTheLimit,
    ExpiresEveryTable,
    CallsFilesByNameOnly,
    RestoresForeignGroups,
}

struct Faulty(ColdStoreFault);

impl ColdFixture for Faulty {
    fn backend(&self) -> Result<Box<dyn StateBackend>> {
        Ok(Box::new(FaultyBackend(self.0, MemoryCold::default())))
    }
}

struct FaultyBackend(ColdStoreFault, MemoryCold);

impl StateBackend for FaultyBackend {
    fn cold(&self, scope: &Scope, restored: &[Arc<dyn KeyedPart>]) -> Result<Option<OpenedCold>> {
        let mut scope = scope.clone();
        if self.0 == ColdStoreFault::RestoresForeignGroups {
            scope.owned = 0..u16::MAX;
        }
        let opened = self.1.cold(&scope, restored)?;
        Ok(opened.map(|opened| OpenedCold { store: Box::new(FaultyStore(self.0, opened.store)), ..opened }))
    }
}

struct FaultyStore(ColdStoreFault, Box<dyn ColdStore>);

impl ColdStore for FaultyStore {
    fn multi_get(&mut self, keys: &[&[u8]], values: &mut Vec<Option<Vec<u8>>>) -> Result<()> {
        self.1.multi_get(keys, values)
    }

    fn write(&mut self, changes: &mut Vec<Change>) -> Result<()> {
        if self.0 == ColdStoreFault::ForgetsRanges {
            changes.retain(|change| !matches!(change, Change::DeleteRange(..)));
        }
        self.1.write(changes)
    }

    fn scan(&mut self, range: Range<&[u8]>, limit: usize, pairs: &mut Pairs) -> Result<()> {
        let limit = if self.0 == ColdStoreFault::IgnoresTheLimit { usize::MAX } else { limit };
        self.1.scan(range, limit, pairs)
    }

    fn expire(&mut self, table: u8, now: Time) {
        let all = if self.0 == ColdStoreFault::ExpiresEveryTable { 0..=u8::MAX } else { table..=table };
        all.for_each(|table| self.1.expire(table, now));
    }

    fn freeze(&mut self, id: CheckpointId) -> Result<Box<dyn FrozenCold>> {
        let frozen = self.1.freeze(id)?;
        if self.0 != ColdStoreFault::CallsFilesByNameOnly {
            return Ok(frozen);
        }
        let mut files = frozen.native().files.to_vec();
        files.iter_mut().for_each(|file| file.id.clone_from(&file.name));
        Ok(Box::new(Renamed(files, frozen)))
    }

    fn sizes(&self) -> ColdSizes {
        self.1.sizes()
    }
}

struct Renamed(Vec<NativeFile>, Box<dyn FrozenCold>);

impl FrozenCold for Renamed {
    fn scan(&self, take: &mut TakePair<'_>) -> Result<()> {
        self.1.scan(take)
    }

    fn native(&self) -> NativeState<'_> {
        NativeState { files: &self.0, ..self.1.native() }
    }
}
