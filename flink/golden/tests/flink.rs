//! The golden pipelines give the same in a real Flink cluster as in one process, on the same input.

mod common;
#[path = "flink/faults.rs"]
mod faults;
#[path = "flink/into_one_process.rs"]
mod into_one_process;
#[path = "deploy/kubernetes.rs"]
mod kubernetes;
#[path = "flink/leaks.rs"]
mod leaks;
#[path = "flink/refusals.rs"]
mod refusals;
#[path = "flink/reports.rs"]
mod reports;
#[path = "flink/sources.rs"]
mod sources;
#[path = "flink/storage.rs"]
mod storage;
#[path = "flink/submitted_again.rs"]
mod submitted_again;
#[path = "deploy/yarn.rs"]
mod yarn;

use anyhow::{Result, ensure};
use common::{Case, Place};
use flink_golden::Pipeline;
use millstream_testkit::{Flink, FlinkVersion, JobState, SavepointFormat};

/// A cluster whose TaskManager has room for native memory.
fn cluster() -> Result<Flink> {
    Flink::builder().slots(4).task_off_heap(256).start()
}

#[test]
fn every_pipeline_gives_in_flink_what_it_gives_in_one_process() -> Result<()> {
    let (place, flink) = (Place::new()?, cluster()?);
    for pipeline in
        [Pipeline::Windows, Pipeline::Sessions, Pipeline::Timers, Pipeline::TwoInputs, Pipeline::Straight]
    {
        let case = Case::bounded(pipeline, 60_000);
        let expected = case.run_in_process(&place)?;
        ensure!(!expected.is_empty(), "{pipeline:?} has no results");
        let job = flink.run(&place.submission(&case, "in-flink")?)?;
        job.wait_for(JobState::Finished)?;
        let got = place.results(&case, "in-flink")?;
        common::must_be_equal(&format!("{pipeline:?}"), &expected, &got)?;
    }
    Ok(())
}

#[test]
fn late_and_broken_records_are_told_from_the_others_and_none_is_lost() -> Result<()> {
    let (place, flink) = (Place::new()?, cluster()?);
    let case = Case::with_late_and_broken(60_000);
    let job = flink.run(&place.submission(&case, "late")?)?;
    job.wait_for(JobState::Finished)?;
    let count = |table| place.table(&case, "late", table);
    let counted: u64 = count("results")?.iter().map(|line| common::number(line, "count")).sum();
    let (late, broken) = (count("late")?.len() as u64, count("broken")?.len() as u64);
    ensure!(late > 0 && broken > 0, "{late} late, {broken} broken");
    ensure!(counted + late + broken == 60_000, "{counted} counted, {late} late, {broken} broken");
    Ok(())
}

#[test]
fn a_task_manager_that_is_killed_costs_nothing() -> Result<()> {
    let (place, mut flink) = (Place::new()?, cluster()?);
    let case = Case::bounded(Pipeline::Windows, 100_000).at_rate(10_000.0);
    let expected = case.run_in_process(&place)?;
    let job = flink.run(&place.submission(&case, "killed")?)?;
    for _ in 0..2 {
        job.wait_for_checkpoints(2)?;
        flink.task_manager(0)?.kill9()?;
        flink.task_manager(0)?.restart()?;
    }
    job.wait_for(JobState::Finished)?;
    common::must_be_equal("killed", &expected, &place.results(&case, "killed")?)
}

#[test]
fn a_savepoint_goes_on_at_another_parallelism() -> Result<()> {
    let (place, flink) = (Place::new()?, cluster()?);
    for format in [SavepointFormat::Native, SavepointFormat::Canonical] {
        for pipeline in [Pipeline::Sessions, Pipeline::Timers] {
            let name = format!("moved-{format:?}");
            let case = Case::bounded(pipeline, 60_000).at_rate(10_000.0);
            let expected = case.run_in_process(&place)?;
            let job = flink.run(&place.submission(&case, &name)?)?;
            job.wait_for_checkpoints(2)?;
            let savepoint = job.stop(format, false, None)?;
            let again = place.submission(&case.at_parallelism(3), &name)?.from_savepoint(savepoint);
            flink.run(&again)?.wait_for(JobState::Finished)?;
            common::must_be_equal(&name, &expected, &place.results(&case, &name)?)?;
        }
    }
    Ok(())
}

#[test]
fn a_job_that_is_drained_ends_with_everything_that_it_has_read() -> Result<()> {
    let (place, flink) = (Place::new()?, cluster()?);
    for pipeline in [Pipeline::Straight, Pipeline::Windows] {
        let case = Case::endless(pipeline).at_rate(5_000.0);
        let job = flink.run(&place.submission(&case, "drained")?)?;
        job.wait_for_checkpoints(3)?;
        job.stop(SavepointFormat::Native, true, None)?;
        ensure!(job.state()? == JobState::Finished);
        let lines = place.results(&case, "drained")?;
        if pipeline == Pipeline::Straight {
            common::must_have_no_gaps(&lines)?;
        } else {
            // Event time has ended: the windows that were open are among them.
            let counted: u64 = lines.iter().map(|line| common::number(line, "count")).sum();
            ensure!(counted > 1_000, "{counted} events were counted");
        }
    }
    Ok(())
}

#[test]
fn a_job_that_is_stopped_goes_on_where_it_was() -> Result<()> {
    let (place, flink) = (Place::new()?, cluster()?);
    let case = Case::endless(Pipeline::Straight).at_rate(5_000.0);
    let job = flink.run(&place.submission(&case, "stopped")?)?;
    job.wait_for_checkpoints(2)?;
    let savepoint = job.stop(SavepointFormat::Native, false, None)?;
    let job = flink.run(&place.submission(&case, "stopped")?.from_savepoint(savepoint))?;
    job.wait_for_checkpoints(2)?;
    // A plain savepoint commits nothing; the job goes on.
    job.savepoint(SavepointFormat::Canonical, None)?;
    job.wait_for_checkpoints(2)?;
    job.stop(SavepointFormat::Native, true, None)?;
    common::must_have_no_gaps(&place.results(&case, "stopped")?)
}

#[test]
fn a_job_of_one_process_goes_on_in_flink() -> Result<()> {
    let (place, flink) = (Place::new()?, cluster()?);
    let case = Case::endless(Pipeline::Straight).at_rate(5_000.0);
    let savepoint = case.begin_in_process(&place, "begun-here")?;
    let job = flink.run(&place.continued(&case.at_parallelism(3), "begun-here", &savepoint)?)?;
    job.wait_for_checkpoints(3)?;
    job.stop(SavepointFormat::Native, true, None)?;
    common::must_have_no_gaps(&place.results(&case, "begun-here")?)?;
    // Timers and their state, too.
    let case = Case::bounded(Pipeline::Timers, 60_000).at_rate(10_000.0);
    let expected = case.run_in_process(&place)?;
    let savepoint = case.begin_in_process(&place, "timers")?;
    flink.run(&place.continued(&case, "timers", &savepoint)?)?.wait_for(JobState::Finished)?;
    common::must_be_equal("timers", &expected, &place.results(&case, "timers")?)
}

#[test]
fn the_oldest_and_the_newest_flink_run_it_too() -> Result<()> {
    for version in [FlinkVersion::V1_20, FlinkVersion::V2_3] {
        let place = Place::for_version(version)?;
        let flink = Flink::builder().version(version).slots(4).task_off_heap(256).start()?;
        let case = Case::bounded(Pipeline::Sessions, 60_000).at_rate(10_000.0);
        let expected = case.run_in_process(&place)?;
        let job = flink.run(&place.submission(&case, "version")?)?;
        job.wait_for_checkpoints(2)?;
        let savepoint = job.stop(SavepointFormat::Native, false, None)?;
        let again = place.submission(&case.at_parallelism(3), "version")?.from_savepoint(savepoint);
        flink.run(&again)?.wait_for(JobState::Finished)?;
        common::must_be_equal(version.number(), &expected, &place.results(&case, "version")?)?;
    }
    Ok(())
}

#[test]
fn the_harness_compiles_against_every_flink_and_passes_its_tests() -> Result<()> {
    FlinkVersion::ALL.into_iter().try_for_each(|version| version.harness().map(drop))?;
    FlinkVersion::default().test_harness()
}
