#![allow(clippy::unwrap_used, reason = "a test's own sink")]
//! The list for sinks, on a small sink of several requests in flight: the sound one passes, each broken one
//! is caught.

#[allow(dead_code, reason = "not every flaw is tried here")]
#[path = "support/memory.rs"]
mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_record::Result;
use millstream_sim::conformance::{self, SinkFixture};
use millstream_sim::{Simulated, World};
use parking_lot::Mutex;

use memory::{Flaw, Memory, REFUSED, Table};

struct Fixture {
    flaw: Flaw,
    seed: u64,
    places: Mutex<BTreeMap<String, Arc<Mutex<Table>>>>,
}

impl Fixture {
    fn table(&self, place: &str) -> Arc<Mutex<Table>> {
        Arc::clone(self.places.lock().entry(place.to_owned()).or_default())
    }
}

impl SinkFixture for Fixture {
    type Record = (u64, u64);
    type Sink = Memory;

    fn world(&self) -> Result<Arc<dyn World>> {
        Ok(Arc::new(Simulated::new(self.seed, 0)))
    }
    fn sink(&self, place: &str) -> Result<Memory> {
        Ok(Memory { table: self.table(place), flaw: self.flaw })
    }
    fn record(&self, key: u64, value: u64) -> (u64, u64) {
        (key, value)
    }
    fn visible(&self, place: &str) -> Result<Vec<(u64, u64)>> {
        let table = self.table(place);
        let table = table.lock();
        Ok(table.iter().map(|(key, (value, _))| (*key, *value)).collect())
    }
    fn refused(&self) -> Option<(u64, u64)> {
        Some((REFUSED, 1))
    }
    fn large(&self) -> u64 {
        4_000
    }
}

fn check(flaw: Flaw) -> Result<(), conformance::Failures> {
    conformance::sink(&Fixture { flaw, seed: 3, places: Mutex::default() })
}

#[test]
fn a_sound_sink_passes_under_any_seed() {
    for seed in 0..5 {
        conformance::sink(&Fixture { flaw: Flaw::None, seed, places: Mutex::default() }).unwrap();
    }
}

#[test]
fn every_flaw_is_caught_by_the_check_for_it() {
    let flaws = [
        (Flaw::FlushDoesNotWait, "a flush really waits: everything is readable after it"),
        (Flaw::SnapshotForgets, "a crash right after a snapshot loses nothing"),
        (Flaw::RestoreForgets, "a snapshot restores at another parallelism"),
        (Flaw::NoVersions, "an older attempt that writes later does not overwrite"),
        (Flaw::NoVersions, "the last write of a key stays"),
        (Flaw::VersionsWithoutEpoch, "a new attempt wins although it has written less"),
        (Flaw::VersionsWithoutEpoch, "an older attempt that writes later does not overwrite"),
        (Flaw::BufferIsCut, "ten times the buffer in one batch is written whole"),
        (Flaw::StaysBlocked, "a flood of small batches is written whole"),
        (Flaw::NeverSendsByAge, "a small write is written without a flush, after a while"),
        (Flaw::RefusedIsLost, "a refused record is a dead letter and the others are written"),
        (Flaw::RefusedEndsTheBatch, "a refused record is a dead letter and the others are written"),
        (Flaw::CountsNothing, "bytes and latency are counted"),
        (Flaw::FlushHangs, "an empty flush is complete"),
    ];
    for (flaw, name) in flaws {
        let failures = check(flaw).expect_err("a broken sink must not pass");
        assert!(failures.names().contains(&name), "{flaw:?} is not caught by \"{name}\":\n{failures}");
    }
}

#[test]
fn the_report_names_check_and_reason() {
    let text = format!("{:?}", check(Flaw::BufferIsCut).unwrap_err());
    assert!(
        text.contains("- ten times the buffer") && text.contains("visible; missing, for example"),
        "{text}"
    );
}

#[test]
fn a_sink_whose_snapshots_hold_what_is_in_flight_loses_nothing_in_a_crash() {
    let failures = check(Flaw::FlushLeavesItToTheSnapshot).unwrap_err();
    for name in ["a crash right after a snapshot loses nothing", "a snapshot restores at another parallelism"]
    {
        assert!(!failures.names().contains(&name), "{failures}");
    }
}
