//! A job of Flink goes on in one process, from what it left there.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flink_golden::Pipeline;
use millstream::ErrorKind;
use millstream_testkit::{ClaimMode, Flink, FlinkJob, FlinkVersion, JobState, SavepointFormat, Submission};

use crate::common::{self, Case, Place, url};

/// A cluster that writes a file for all state; by default it puts small state into the metadata.
fn cluster() -> Result<Flink> {
    let builder = Flink::builder().slots(4).task_off_heap(256);
    builder.setting("execution.checkpointing.data-inline-threshold", "0").start()
}

/// Runs in Flink until some checkpoints are complete.
fn begun(flink: &Flink, place: &Place, case: &Case, name: &str) -> Result<FlinkJob> {
    let job = flink.run(&place.movable(case, name)?)?;
    job.wait_for_checkpoints(2)?;
    Ok(job)
}

/// Begins in Flink, stops there, and goes on here at another parallelism.
fn moves(flink: &Flink, place: &Place, pipeline: Pipeline, format: SavepointFormat) -> Result<()> {
    let name = format!("out-{format:?}");
    let case = Case::bounded(pipeline, 60_000).at_rate(10_000.0);
    let expected = case.run_in_process(place)?;
    let savepoint = begun(flink, place, &case, &name)?.stop(format, false, None)?;
    let before = place.results(&case, &name).unwrap_or_default().len();
    ensure!(before < expected.len(), "{name}: nothing is left to do of {} lines", expected.len());
    let attempt =
        case.at_parallelism(3).end_in_process(place, &name, &place.checkpoints_dir(&name), &savepoint)?;
    ensure!(attempt > 1, "attempt {attempt} is not newer than that in Flink");
    common::must_be_equal(&name, &expected, &place.results(&case, &name)?)
}

#[test]
fn a_job_that_was_stopped_in_flink_goes_on_in_one_process() -> Result<()> {
    let (place, flink) = (Place::new()?, cluster()?);
    for (pipeline, format) in [
        (Pipeline::Sessions, SavepointFormat::Canonical),
        (Pipeline::Timers, SavepointFormat::Canonical),
        (Pipeline::TwoInputs, SavepointFormat::Canonical),
        (Pipeline::Sessions, SavepointFormat::Native),
        (Pipeline::Timers, SavepointFormat::Native),
    ] {
        moves(&flink, &place, pipeline, format)?;
    }
    Ok(())
}

#[test]
fn a_job_of_the_oldest_and_the_newest_flink_goes_on_in_one_process() -> Result<()> {
    for version in [FlinkVersion::V1_20, FlinkVersion::V2_3] {
        let place = Place::for_version(version)?;
        let flink = Flink::builder().version(version).slots(4).task_off_heap(256).start()?;
        moves(&flink, &place, Pipeline::Sessions, SavepointFormat::Canonical)?;
        moves(&flink, &place, Pipeline::Timers, SavepointFormat::Native)?;
    }
    Ok(())
}

#[test]
fn a_job_goes_there_and_back_again() -> Result<()> {
    let (place, flink) = (Place::new()?, cluster()?);
    let case = Case::endless(Pipeline::Straight).at_rate(5_000.0);
    let name = "there-and-back";
    let savepoint = case.begin_in_process(&place, name)?;
    let job = flink.run(&place.continued(&case.at_parallelism(3), name, &savepoint)?)?;
    job.wait_for_checkpoints(2)?;
    let savepoint = job.stop(SavepointFormat::Canonical, false, None)?;
    // A savepoint can be moved.
    let moved = place.fresh("moved");
    fs::rename(path_of(&savepoint)?, &moved)?;
    case.drain_in_process(&place, name, &format!("file:{}", moved.display()))?;
    common::must_have_no_gaps(&place.results(&case, name)?)
}

#[test]
fn a_job_that_was_cancelled_goes_on_from_its_retained_checkpoint() -> Result<()> {
    let (place, flink) = (Place::new()?, cluster()?);
    let case = Case::bounded(Pipeline::Timers, 100_000).at_rate(10_000.0);
    let (name, expected) = ("cancelled", case.run_in_process(&place)?);
    let savepoint = begun(&flink, &place, &case, name)?.stop(SavepointFormat::Native, false, None)?;
    // The first checkpoints after a savepoint that the job owns may refer to its files.
    let again = place.movable(&case, name)?.from_savepoint(savepoint).claim(ClaimMode::Claim);
    let job = flink.run(&again)?;
    job.wait_for_checkpoints(2)?;
    job.cancel()?;
    let folder = place.checkpoints_dir(name).join(job.id());
    let checkpoint = newest_checkpoint(&folder)?;
    // The log of the attempts is another one, and still this attempt is newer.
    let attempt = case.end_in_process(&place, name, &place.fresh("checkpoints"), &url(&checkpoint))?;
    ensure!(attempt > 1, "attempt {attempt} is not newer than that in Flink");
    common::must_be_equal(name, &expected, &place.results(&case, name)?)
}

#[test]
fn what_cannot_be_gone_on_from_is_refused_with_the_reason() -> Result<()> {
    let (place, flink) = (Place::new()?, cluster()?);
    let case = Case::endless(Pipeline::Sessions).at_rate(5_000.0);
    let job = begun(&flink, &place, &case, "looked-at")?;
    let savepoint = job.savepoint(SavepointFormat::Canonical, None)?;
    job.cancel()?;
    let report = case.dry_run(&place, &savepoint).map_err(|error| anyhow::anyhow!(error.chain()))?.report;
    let text = report.to_string();
    for state in ["traffic", "splits", "sessions"] {
        ensure!(text.contains(state), "{state} is not in {text}");
    }
    report.refusal(false).map_err(|error| anyhow::anyhow!(error.chain()))?;
    // State that another pipeline has no place for.
    let other = Case::endless(Pipeline::Timers).dry_run(&place, &savepoint);
    let refusal = other.map_err(|error| anyhow::anyhow!(error.chain()))?.report.refusal(false);
    let refusal = refusal.expect_err("state would be lost").chain();
    ensure!(refusal.contains("sessions"), "{refusal}");
    refuses_damaged(&case, &place, &savepoint)?;
    refuses_foreign(&case, &place, &flink)
}

/// Metadata that was cut off anywhere.
fn refuses_damaged(case: &Case, place: &Place, savepoint: &str) -> Result<()> {
    let metadata = fs::read(path_of(savepoint)?.join("_metadata"))?;
    let folder = place.fresh("damaged");
    fs::create_dir(&folder)?;
    // What Flink serializes with Java comes last, and is not read.
    let properties = metadata.windows(4).rposition(|bytes| bytes == [0xac, 0xed, 0, 5]);
    for length in (4..properties.context("Flink's own properties")?).step_by(97) {
        fs::write(folder.join("_metadata"), &metadata[..length])?;
        let error = case.dry_run(place, &url(&folder)).expect_err("it was cut");
        ensure!(error.kind() == ErrorKind::Data, "{length} bytes: {}", error.chain());
    }
    fs::write(folder.join("_metadata"), metadata)?;
    let missing = case.dry_run(place, &url(&folder)).expect_err("its files are not there").chain();
    ensure!(missing.contains("is missing"), "{missing}");
    Ok(())
}

/// A savepoint of a job that is written in Java.
fn refuses_foreign(case: &Case, place: &Place, flink: &Flink) -> Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testkit/tests/flink/SequenceJob.java");
    let folder = place.fresh("java");
    fs::create_dir(&folder)?;
    let jar = flink.version().compile(&[&source], &folder)?;
    let job = Submission::jar(&jar).class("SequenceJob").parallelism(2);
    let job = flink.run(&job.argument(i64::MAX.to_string()).argument("-1"))?;
    job.wait_until_running()?;
    job.wait_for_checkpoints(1)?;
    let savepoint = job.stop(SavepointFormat::Canonical, false, None)?;
    ensure!(job.state()? == JobState::Finished);
    let error = case.dry_run(place, &savepoint).expect_err("it is not of this pipeline");
    ensure!(error.kind() == ErrorKind::Configuration, "{}", error.chain());
    ensure!(error.chain().contains("which no Millstream pipeline writes"), "{}", error.chain());
    Ok(())
}

/// One that was under way when the job ended has no metadata.
fn newest_checkpoint(job: &Path) -> Result<PathBuf> {
    let folders = fs::read_dir(job).with_context(|| format!("{} cannot be read", job.display()))?;
    let folders = folders.filter_map(std::result::Result::ok).map(|entry| entry.path());
    let numbers = folders.filter(|folder| folder.join("_metadata").is_file()).filter_map(|folder| {
        let name = folder.file_name()?.to_str()?.strip_prefix("chk-")?;
        name.parse::<u64>().ok()
    });
    let newest = numbers.max().with_context(|| format!("no checkpoint is left in {}", job.display()))?;
    Ok(job.join(format!("chk-{newest}")))
}

/// The folder of a savepoint whose place Flink has told.
fn path_of(savepoint: &str) -> Result<PathBuf> {
    let path = savepoint.strip_prefix("file:").context("a savepoint of this machine")?;
    Ok(PathBuf::from(format!("/{}", path.trim_start_matches('/'))))
}
