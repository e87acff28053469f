//! The cluster, and a job in it from start to end.

use std::time::Duration;

use anyhow::{Result, bail};
use millstream_testkit::group::Group;
use millstream_testkit::server::Server;
use millstream_testkit::{Flink, FlinkBuilder, FlinkJob, JobState, Submission};

use crate::measure::wait;

/// Native memory of a TaskManager, in MiB. Ours gives half of it to RocksDB, as much as `MANAGED` gives Flink's.
const OFF_HEAP: u32 = 1024;
const MANAGED: u32 = 512;
/// Heap of a TaskManager's tasks, in MiB. Flink's state of all metrics is there.
const HEAP: u32 = 4096;

/// One whose TaskManagers have room for either job: each side has its own, with the same sizes.
pub(super) fn builder() -> FlinkBuilder {
    Flink::builder().task_heap(HEAP).task_off_heap(OFF_HEAP).managed_memory(MANAGED).network_memory(128)
}

/// Processor time of the TaskManagers so far.
pub(super) fn cpu(flink: &Flink) -> Duration {
    let task_managers = flink.processes().skip(flink.rest_ports().len());
    task_managers.filter_map(Server::group).map(Group::cpu).sum()
}

/// Memory that the TaskManagers hold now.
pub(super) fn memory(flink: &Flink) -> u64 {
    let task_managers = flink.processes().skip(flink.rest_ports().len());
    task_managers.filter_map(Server::group).map(Group::memory).sum()
}

/// Runs a job that ends, and returns the processor time that it took.
pub(super) fn run(flink: &Flink, submission: &Submission) -> Result<Duration> {
    let before = cpu(flink);
    let job = flink.run(submission)?;
    until_finished(&job)?;
    // What the JVM cleans up behind it.
    wait(Duration::from_secs(1));
    Ok(cpu(flink) - before)
}

fn until_finished(job: &FlinkJob) -> Result<()> {
    while !finished(job)? {
        wait(Duration::from_millis(200));
    }
    Ok(())
}

fn finished(job: &FlinkJob) -> Result<bool> {
    let state = job.state()?;
    if state == JobState::Finished {
        return Ok(true);
    }
    // A restart would make the figures worthless.
    if let Some(failure) = job.failures()?.first() {
        bail!("the job failed: {failure}");
    }
    Ok(false)
}
