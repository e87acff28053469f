//! What restarts and jobs leave behind in the processes of a cluster.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flink_golden::Pipeline;
use millstream_testkit::{Flink, Footprint, JobState, SavepointFormat, wait};

use crate::common::{self, Case, Place};

const MIB: u64 = 1 << 20;

/// How many copies of the library may be loaded when one job runs or has just ended: one where its main method
/// ran, one in its coordinators or tasks, and one that is about to be unloaded.
const LIBRARIES: usize = 3;

/// The JobManager and the TaskManager, when the JVM has unloaded what it can: it does so after a collection, in
/// its own time.
fn footprints(flink: &Flink) -> Result<Vec<Footprint>> {
    let measure = || -> Result<Vec<Footprint>> {
        flink.processes().map(|process| Footprint::of_java(process.pid().context("it runs")?)).collect()
    };
    let few = |all: &Vec<Footprint>| all.iter().all(|footprint| libraries(footprint) <= LIBRARIES);
    wait::for_some(Duration::from_secs(60), || measure().ok().filter(few)).map_or_else(measure, Ok)
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

#[test]
fn twenty_jobs_leave_nothing_behind() -> Result<()> {
    let place = Place::new()?;
    let flink = Flink::builder().slots(2).task_off_heap(256).start()?;
    let case = Case::bounded(Pipeline::TwoInputs, 2_000);
    let mut early = Vec::new();
    for number in 1..=20 {
        let submission = place.submission(&case, &format!("job-{number}"))?;
        flink.run(&submission)?.wait_for(JobState::Finished)?;
        if number == 5 {
            early = footprints(&flink)?;
        }
    }
    for (name, (early, late)) in
        ["JobManager", "TaskManager"].iter().zip(early.iter().zip(footprints(&flink)?))
    {
        println!("{name} after 5 jobs: {}, after 20: {}", brief(early), brief(&late));
        must_not_have_grown(name, early, &late)?;
    }
    Ok(())
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
    ensure!(late.memory <= early.memory + 128 * MIB, "{what}");
    Ok(())
}
