//! What public bug reports tell of other systems on Flink, tried on this one. Each test names its reports.

use anyhow::{Context, Result, ensure};
use flink_golden::Pipeline;
use millstream_testkit::{Flink, FlinkJob, JobState, SavepointFormat};

use crate::common::{self, Case, Place, must_be_equal};

#[test]
fn what_was_trouble_elsewhere_is_none_here() -> Result<()> {
    let (place, flink) = (Place::new()?, Flink::builder().slots(4).task_off_heap(256).start()?);
    unions_and_stages_without_operators(&place, &flink).context("unions")?;
    records_beyond_a_network_buffer(&place, &flink).context("large records")?;
    names_of_every_kind(&place, &flink).context("names")?;
    sources_that_end_before_others(&place, &flink).context("two sources")?;
    checkpoints_that_overlap(&place, &flink).context("overlapping checkpoints")?;
    errors_of_every_length(&place, &flink).context("long errors")
}

/// FLINK-17578, FLINK-6116, FLINK-25199: an edge's records come twice, or its watermarks never.
fn unions_and_stages_without_operators(place: &Place, flink: &Flink) -> Result<()> {
    runs_as_in_one_process(place, flink, &Case::bounded(Pipeline::Unions, 20_000))
}

/// FLINK-24190, FLINK-33077. A batch of such records is no single element: the heap would not hold it.
fn records_beyond_a_network_buffer(place: &Place, flink: &Flink) -> Result<()> {
    runs_as_in_one_process(place, flink, &Case::bounded(Pipeline::Large, 20_000).with_set("size=4000000"))
}

fn runs_as_in_one_process(place: &Place, flink: &Flink, case: &Case) -> Result<()> {
    let expected = case.run_in_process(place)?;
    flink.run(&place.submission(case, "bounded")?)?.wait_for(JobState::Finished)?;
    must_be_equal("bounded", &expected, &place.results(case, "bounded")?)
}

/// apache/iceberg#14063, apache/amoro#1238, apache/flink-cdc#4168: uids, and names in metrics and state.
fn names_of_every_kind(place: &Place, flink: &Flink) -> Result<()> {
    goes_on_from_a_savepoint(place, flink, &Case::bounded(Pipeline::Names, 40_000), |job| {
        job.wait_for_checkpoints(2).map(drop)
    })
}

/// FLINK-21080, FLINK-23512: a savepoint holds a source of which nothing is left to run.
fn sources_that_end_before_others(place: &Place, flink: &Flink) -> Result<()> {
    goes_on_from_a_savepoint(place, flink, &Case::bounded(Pipeline::TwoSources, 40_000), |job| {
        job.wait_for_vertices("the short source has finished", |all| {
            all.iter().any(|vertex| vertex.status == "FINISHED")
        })
    })
}

fn goes_on_from_a_savepoint(
    place: &Place,
    flink: &Flink,
    case: &Case,
    until: impl Fn(&FlinkJob) -> Result<()>,
) -> Result<()> {
    let case = case.clone().at_rate(8_000.0);
    let expected = case.run_in_process(place)?;
    let job = flink.run(&place.submission(&case, "moved")?)?;
    until(&job)?;
    let savepoint = job.stop(SavepointFormat::Canonical, false, None)?;
    let again = place.submission(&case.at_parallelism(3), "moved")?.from_savepoint(savepoint);
    flink.run(&again)?.wait_for(JobState::Finished)?;
    must_be_equal("moved", &expected, &place.results(&case, "moved")?)
}

/// FLINK-28941, apache/iceberg#11008: several checkpoints are on their way, and all are given up at once by the
/// savepoint that ends the job.
fn checkpoints_that_overlap(place: &Place, flink: &Flink) -> Result<()> {
    const ROUNDS: u32 = 4;
    let case = Case::endless(Pipeline::Straight).at_rate(5_000.0);
    let case = case
        .with_set("execution.checkpointing.interval=20ms")
        .with_set("execution.checkpointing.min-pause=0");
    let mut submission = place.submission(&case, "overlapping")?;
    for round in 1..=ROUNDS {
        let overlapping = submission.setting("execution.checkpointing.max-concurrent-checkpoints", "3");
        let job = flink.run(&overlapping)?;
        job.wait_for_checkpoints(5)?;
        let savepoint = job.stop(SavepointFormat::Native, round == ROUNDS, None)?;
        submission = place.submission(&case, "overlapping")?.from_savepoint(savepoint);
    }
    common::must_have_no_gaps(&place.results(&case, "overlapping")?)
}

/// FLINK-10251, FLINK-14618: a message that its RPC does not take costs a TaskManager.
fn errors_of_every_length(place: &Place, flink: &Flink) -> Result<()> {
    for size in [100, 20 << 20] {
        let case = Case::bounded(Pipeline::Complaint, 1_000);
        let case = case.with_set(&format!("size={size}")).with_set("restart-strategy.fixed-delay.attempts=0");
        // No coordinator sends an event meanwhile: one that is lost would be the failure that Flink shows.
        let case = case.with_set("execution.checkpointing.interval=1h");
        let job = flink.run(&place.submission(&case, "complaint")?)?;
        job.wait_for(JobState::Failed)?;
        let failure = job.failures()?.into_iter().next().unwrap_or_default();
        let text = "{} {0} %s %n ${env:HOME} ${jndi:x} \0 😀\nsecond line é";
        ensure!(failure.contains(text), "no formatter may touch {failure:.1000}");
        ensure!(failure.len() < 100_000, "{} bytes", failure.len());
    }
    Ok(())
}
