//! Sources of which some splits or subtasks have nothing to read.

use std::time::Duration;

use anyhow::{Result, ensure};
use flink_golden::Pipeline;
use millstream_testkit::{Flink, JobState, wait};

use crate::common::{self, Case, Place};

#[test]
fn windows_fire_while_a_split_is_idle_and_a_subtask_has_none() -> Result<()> {
    let (place, flink) = (Place::new()?, Flink::builder().slots(4).task_off_heap(256).start()?);
    let case = Case::bounded(Pipeline::Windows, 40_000).at_rate(8_000.0).over_splits(2).at_parallelism(4);
    let expected = case.run_in_process(&place)?;
    // Three splits for four subtasks; all of the traffic is through long before the third split ends.
    let case = case.with("quiet: 15");
    let job = flink.run(&place.submission(&case, "idle")?)?;
    let fired = || place.results(&case, "idle").is_ok_and(|lines| lines.len() > expected.len() / 2);
    ensure!(wait::until(Duration::from_secs(60), fired), "no window fires");
    ensure!(job.state()? == JobState::Running, "windows have fired at the end alone");
    job.wait_for(JobState::Finished)?;
    common::must_be_equal("idle", &expected, &place.results(&case, "idle")?)
}
