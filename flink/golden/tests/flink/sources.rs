//! Sources of which some splits or subtasks have nothing to read.

use anyhow::Result;
use flink_golden::Pipeline;
use millstream_testkit::{Flink, JobState};

use crate::common::{self, Case, Place};

#[test]
fn a_quiet_split_and_a_subtask_without_one_lose_nothing() -> Result<()> {
    let (place, flink) = (Place::new()?, Flink::builder().slots(4).task_off_heap(256).start()?);
    let case = Case::bounded(Pipeline::Windows, 40_000).at_rate(8_000.0).over_splits(2).at_parallelism(4);
    let expected = case.run_in_process(&place)?;
    // Three splits for four subtasks; all of the traffic is through before the third split ends.
    let case = case.with("quiet: 15");
    let job = flink.run(&place.submission(&case, "idle")?)?;
    job.wait_for(JobState::Finished)?;
    common::must_be_equal("idle", &expected, &place.results(&case, "idle")?)
}
