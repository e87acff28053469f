//! Each version of Flink that Millstream names starts and runs a job.

#[path = "flink/sequence.rs"]
mod sequence;

use anyhow::Result;
use millstream_testkit::{ClaimMode, Flink, FlinkVersion, SavepointFormat};

fn runs_a_job(version: FlinkVersion) -> Result<()> {
    let flink = Flink::builder().version(version).start()?;
    let (_dir, jar) = sequence::jar(version)?;
    let endless = sequence::endless(&jar);
    let job = flink.run(&endless)?;
    job.wait_until_running()?;
    job.wait_for_checkpoints(1)?;
    let savepoint = job.stop(SavepointFormat::Canonical, true, None)?;
    let restored = flink.run_by_client(&endless.from_savepoint(savepoint).claim(ClaimMode::NoClaim))?;
    restored.wait_for_checkpoints(1)?;
    restored.cancel()
}

#[test]
fn flink_1_20() -> Result<()> {
    runs_a_job(FlinkVersion::V1_20)
}

#[test]
fn flink_2_0() -> Result<()> {
    runs_a_job(FlinkVersion::V2_0)
}

#[test]
fn flink_2_1() -> Result<()> {
    runs_a_job(FlinkVersion::V2_1)
}

#[test]
fn flink_2_3() -> Result<()> {
    runs_a_job(FlinkVersion::V2_3)
}
