//! What restarts and jobs leave behind in the processes of a cluster.

use anyhow::{Context, Result, ensure};
use flink_golden::Pipeline;
use millstream_testkit::{Flink, Footprint, SavepointFormat};

use crate::common::{self, Case, Place};

const MIB: u64 = 1 << 20;

/// How many copies of the library may be loaded: a copy that a thread still held when its class loader was
/// collected goes when the next one does.
const LIBRARIES: usize = 12;

/// The JobManager and the TaskManager.
fn footprints(flink: &Flink) -> Result<Vec<Footprint>> {
    flink.processes().map(|process| Footprint::of_java(process.pid().context("it runs")?)).collect()
}

#[test]
fn fifty_restarts_leave_nothing_behind() -> Result<()> {
    let place = Place::new()?;
    let flink = Flink::builder().slots(2).task_off_heap(256).start()?;
    let case = Case::endless(Pipeline::TwoInputs).at_rate(2_000.0).with_tripwires();
    let job = flink.run(&place.submission(&case, "restarted")?)?;
    let mut early = Vec::new();
    for restart in 1..=50 {
        job.wait_for_checkpoints(1)?;
        place.trip(&case, "restarted", "interest", if restart % 2 == 0 { "error" } else { "panic" })?;
        if restart == 10 {
            job.wait_for_checkpoints(2)?;
            early = footprints(&flink)?;
        }
    }
    job.wait_for_checkpoints(2)?;
    for (name, (early, late)) in
        ["JobManager", "TaskManager"].iter().zip(early.iter().zip(footprints(&flink)?))
    {
        println!("{name} after 10 restarts: {}, after 50: {}", brief(early), brief(&late));
        must_not_have_grown(name, early, &late)?;
    }
    job.stop(SavepointFormat::Native, true, None)?;
    common::must_be_exact(&place, &case, "restarted")
}

fn brief(footprint: &Footprint) -> String {
    let (libraries, threads) = (libraries(footprint), threads(footprint));
    let (files, memory) = (footprint.files, footprint.memory / MIB);
    format!("{libraries} libraries, {threads} threads, {files} files, {memory} MiB")
}

/// How many copies of the pipeline's library are loaded.
fn libraries(footprint: &Footprint) -> usize {
    footprint.mapped_like("millstream-", ".so")
}

fn threads(footprint: &Footprint) -> usize {
    footprint.threads.values().sum()
}

fn must_not_have_grown(name: &str, early: &Footprint, late: &Footprint) -> Result<()> {
    let what = format!("{name}: {}, {} before", brief(late), brief(early));
    ensure!(libraries(late) <= LIBRARIES, "{what}");
    ensure!(threads(late) <= threads(early) + 8, "{what}: {:?}, {:?} before", late.threads, early.threads);
    ensure!(late.files <= early.files + 48, "{what}");
    ensure!(late.memory <= early.memory + 256 * MIB, "{what}");
    Ok(())
}
