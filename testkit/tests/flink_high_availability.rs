//! A job goes on after the JobManager that leads and a TaskManager have crashed.

#[path = "flink/sequence.rs"]
mod sequence;

use anyhow::{Context, Result};
use millstream_testkit::{Flink, ZooKeeper};

#[test]
fn a_job_goes_on_without_its_leader_and_without_a_task_manager() -> Result<()> {
    let zookeeper = ZooKeeper::start()?;
    let builder = Flink::builder().high_availability(&zookeeper.quorum(), 2).task_managers(2);
    let mut flink = builder.start()?;
    let (_dir, jar) = sequence::jar(flink.version())?;
    let job = flink.run(&sequence::endless(&jar).parallelism(3))?;
    job.wait_until_running()?;
    let before = job.wait_for_checkpoints(2)?;

    let first = flink.wait_for_leader(&[])?;
    flink.job_manager(first)?.kill9()?;
    flink.task_manager(0)?.kill9()?;
    let second = flink.wait_for_leader(&[first])?;
    flink.task_manager(0)?.restart()?;
    job.wait_until_running()?;
    let restored = job.checkpoints()?.latest.restored.context("it was restored")?;
    assert!(restored.id >= before, "restored from {}, though {before} was complete", restored.id);
    assert!(job.wait_for_checkpoints(2)? > restored.id);

    // The JobManager that crashed comes back as a standby.
    flink.job_manager(first)?.restart()?;
    flink.wait_for_slots(4)?;
    assert_eq!(flink.leader(), Some(second));

    // A JobManager that hangs is replaced, and stands by when it goes on.
    let group = flink.job_manager(second)?.group().context("it runs")?;
    group.pause();
    flink.wait_for_leader(&[second])?;
    job.wait_until_running()?;
    group.resume();
    job.wait_for_checkpoints(2)?;
    assert_eq!(flink.wait_for_leader(&[second])?, first);
    job.cancel()
}
