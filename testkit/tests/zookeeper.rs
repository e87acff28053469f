//! ZooKeeper comes up, alone and as three, and another server leads when one crashes or hangs.

use anyhow::{Context, Result};
use millstream_testkit::ZooKeeper;

#[test]
fn a_single_server_comes_back_after_a_crash() -> Result<()> {
    let mut zookeeper = ZooKeeper::start()?;
    assert_eq!(zookeeper.mode(0).as_deref(), Some("standalone"));
    assert_eq!(zookeeper.leader(), None, "only an ensemble has a leader");
    zookeeper.server(0)?.kill9()?;
    assert_eq!(zookeeper.mode(0), None);
    zookeeper.server(0)?.restart()?;
    zookeeper.wait_for_mode(0, "standalone")
}

#[test]
fn an_ensemble_elects_another_leader_when_one_crashes_or_hangs() -> Result<()> {
    let mut zookeeper = ZooKeeper::builder().ensemble().start()?;
    assert_eq!(zookeeper.quorum().split(',').count(), 3);
    let first = zookeeper.wait_for_leader(&[])?;
    zookeeper.server(first)?.kill9()?;
    let second = zookeeper.wait_for_leader(&[first])?;
    zookeeper.server(first)?.restart()?;
    zookeeper.wait_for_mode(first, "follower")?;

    let group = zookeeper.server(second)?.group().context("it runs")?;
    group.pause();
    let third = zookeeper.wait_for_leader(&[second])?;
    group.resume();
    zookeeper.wait_for_mode(second, "follower")?;
    assert_eq!(zookeeper.leader(), Some(third));

    // Without a majority there is no leader.
    zookeeper.server(first)?.stop()?;
    zookeeper.server(second)?.stop()?;
    zookeeper.wait_for_no_leader()
}
