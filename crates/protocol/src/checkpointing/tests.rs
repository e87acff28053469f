//! The rules one by one.

use std::time::Duration;

use millstream_record::ErrorKind;
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::stage::End;

use super::CoordinatorDecision::*;
use super::*;
use crate::checkpoint_options::CheckpointOptions;
use crate::checkpoint_stats::CheckpointKind;

const SECOND: u64 = 1_000_000_000;

fn options() -> CheckpointOptions {
    CheckpointOptions {
        interval: Some(Duration::from_secs(10)),
        min_pause: Duration::from_secs(5),
        timeout: Duration::from_secs(60),
        tolerable_failed: 1,
        ..CheckpointOptions::default()
    }
}

/// A job of two subtasks; time in seconds.
struct Job(CheckpointCoordinator);

impl Job {
    fn started(options: CheckpointOptions) -> Self {
        let mut job = Self(CheckpointCoordinator::new(options, 2, 1));
        assert_eq!(job.on(CoordinatorEvent::Started, 0), []);
        job
    }

    /// One whose snapshots outlive the process.
    fn impatient(options: CheckpointOptions) -> Self {
        let (flush, commit) = (Duration::from_secs(4), Duration::from_secs(2));
        let Self(coordinator) = Self::started(options);
        Self(coordinator.leaving_unwritten(StopOptions { flush, commit }))
    }

    fn on(&mut self, event: CoordinatorEvent, at: u64) -> Vec<CoordinatorDecision> {
        self.0.on(event, at * SECOND)
    }

    fn ask(&mut self, wanted: Wanted, at: u64) -> Vec<CoordinatorDecision> {
        self.on(CoordinatorEvent::Requested(Request { token: 77, wanted }), at)
    }

    fn freeze(&mut self, id: CheckpointId, at: u64) {
        assert_eq!(self.on(CoordinatorEvent::Frozen { id, subtask: 1 }, at), []);
        assert_eq!(self.on(CoordinatorEvent::Frozen { id, subtask: 0 }, at), [Write(id)]);
    }

    fn store(&mut self, id: CheckpointId, at: u64) -> Vec<CoordinatorDecision> {
        self.freeze(id, at);
        assert_eq!(self.on(CoordinatorEvent::Written { id, result: Ok(()) }, at), [Log(id)]);
        self.log(id, Logged::Stands, at)
    }

    fn log(&mut self, id: CheckpointId, logged: Logged, at: u64) -> Vec<CoordinatorDecision> {
        self.on(CoordinatorEvent::Logged { id, logged }, at)
    }

    fn end(&mut self, end: End, at: u64) -> Vec<CoordinatorDecision> {
        assert_eq!(self.on(CoordinatorEvent::Ended { subtask: 0, end }, at), []);
        self.on(CoordinatorEvent::Ended { subtask: 1, end }, at)
    }

    fn settle(&mut self, at: u64) -> Vec<CoordinatorDecision> {
        assert_eq!(self.on(CoordinatorEvent::Settled { subtask: 0 }, at), []);
        self.on(CoordinatorEvent::Settled { subtask: 1 }, at)
    }

    fn wake_at(&self) -> Option<u64> {
        self.0.wake_at().map(|at| at / SECOND)
    }
}

fn trigger(id: CheckpointId, kind: CheckpointKind) -> CoordinatorDecision {
    Trigger { id, kind, hold: false, request: None }
}

fn complete(id: CheckpointId) -> CoordinatorDecision {
    Complete { id, commits: true, last: false, request: None }
}

fn failed(why: &str) -> Result<(), String> {
    Err(why.to_owned())
}

#[test]
fn checkpoints_come_at_a_fixed_rate_and_after_the_pause() {
    let mut job = Job::started(options());
    assert_eq!(job.wake_at(), Some(10));
    assert_eq!(job.on(CoordinatorEvent::Tick, 9), []);
    assert_eq!(job.on(CoordinatorEvent::Tick, 10), [trigger(1, CheckpointKind::Checkpoint)]);
    assert_eq!(job.on(CoordinatorEvent::Tick, 20), [], "one at a time");
    assert_eq!(job.store(1, 27), [complete(1)]);
    assert_eq!(job.wake_at(), Some(32), "20 has passed, and 5 seconds of rest");
    assert_eq!(job.on(CoordinatorEvent::Tick, 32), [trigger(2, CheckpointKind::Checkpoint)]);
    assert_eq!(job.store(2, 33), [complete(2)]);
    assert_eq!(job.wake_at(), Some(42), "the interval counts from the trigger");
}

#[test]
fn a_checkpoint_that_takes_too_long_is_given_up_and_one_too_many_fails_the_job() {
    let mut job = Job::started(options());
    job.on(CoordinatorEvent::Tick, 10);
    assert_eq!(job.wake_at(), Some(70));
    let expired = |id| Abort { id, reason: AbortReason::Expired(Duration::from_secs(60)), request: None };
    assert_eq!(job.on(CoordinatorEvent::Tick, 70), [expired(1)]);
    assert_eq!(job.on(CoordinatorEvent::Frozen { id: 1, subtask: 0 }, 71), [], "too late");
    assert_eq!(job.on(CoordinatorEvent::Tick, 75), [trigger(2, CheckpointKind::Checkpoint)]);
    let declined = job.on(CoordinatorEvent::Declined { id: 2, why: "disk full".into() }, 76);
    let [Abort { id: 2, .. }, FailJob { kind: ErrorKind::Restart, message }] = &declined[..] else {
        panic!("{declined:?}")
    };
    assert!(message.contains("2 checkpoints in a row") && message.contains("disk full"), "{message}");
    assert_eq!(job.on(CoordinatorEvent::Tick, 1000), []);
    assert_eq!(job.wake_at(), None);
}

#[test]
fn a_complete_one_sets_the_count_back_and_savepoints_do_not_count() {
    let mut job = Job::started(options());
    for round in 0..5 {
        let (id, at) = (round * 3 + 1, round * 30);
        job.on(CoordinatorEvent::Tick, at + 10);
        let failure = CoordinatorEvent::Written { id, result: failed("503") };
        job.freeze(id, at + 10);
        assert!(matches!(job.on(failure, at + 11)[..], [Abort { .. }]), "one is tolerated");
        assert!(matches!(job.ask(Wanted::Savepoint, at + 12)[..], [Trigger { .. }]));
        let lost = CoordinatorEvent::Declined { id: id + 1, why: "no".into() };
        assert!(matches!(job.on(lost, at + 13)[..], [Abort { request: Some(77), .. }]));
        job.on(CoordinatorEvent::Tick, at + 20);
        assert_eq!(job.store(id + 2, at + 20), [complete(id + 2)]);
    }
}

#[test]
fn an_entry_in_doubt_is_tried_again_and_never_given_up() {
    let mut job = Job::started(options());
    job.on(CoordinatorEvent::Tick, 10);
    job.freeze(1, 10);
    job.on(CoordinatorEvent::Written { id: 1, result: Ok(()) }, 10);
    assert_eq!(job.log(1, Logged::Unknown("no answer".into()), 11), []);
    assert_eq!(job.wake_at(), Some(12));
    assert_eq!(job.on(CoordinatorEvent::Tick, 12), [Log(1)]);
    assert_eq!(job.on(CoordinatorEvent::Tick, 65), [], "no timeout any more");
    assert_eq!(job.log(1, Logged::Unknown("no answer".into()), 66), [], "the same failure still");
    assert_eq!(job.on(CoordinatorEvent::Tick, 70), [Log(1)]);
    assert_eq!(job.log(1, Logged::Stands, 70), [complete(1)]);
    job.on(CoordinatorEvent::Tick, 80);
    job.freeze(2, 80);
    job.on(CoordinatorEvent::Written { id: 2, result: Ok(()) }, 80);
    assert_eq!(
        job.on(CoordinatorEvent::Failed, 81),
        [],
        "whether it stands is not known: nothing is given up"
    );
    let mut job = Job::started(CheckpointOptions { tolerable_failed: 0, ..options() });
    job.on(CoordinatorEvent::Tick, 10);
    job.freeze(1, 10);
    job.on(CoordinatorEvent::Written { id: 1, result: Ok(()) }, 10);
    let doubt = job.log(1, Logged::Unknown("no answer".into()), 11);
    assert!(matches!(doubt[..], [FailJob { kind: ErrorKind::Restart, .. }]), "{doubt:?}");
}

#[test]
fn the_fenced_stop() {
    let mut job = Job::started(options());
    job.on(CoordinatorEvent::Tick, 10);
    job.freeze(1, 10);
    job.on(CoordinatorEvent::Written { id: 1, result: Ok(()) }, 10);
    let decisions = job.log(1, Logged::Fenced("epoch 2 runs".into()), 10);
    assert_eq!(decisions, [FailJob { kind: ErrorKind::Fenced, message: "epoch 2 runs".into() }]);
}

#[test]
fn savepoints_wait_for_their_turn_and_commit_nothing() {
    let mut job = Job::started(CheckpointOptions { interval: None, ..options() });
    let savepoint = Trigger { id: 1, kind: CheckpointKind::Savepoint, hold: false, request: Some(77) };
    assert_eq!(job.ask(Wanted::Savepoint, 1), [savepoint]);
    assert_eq!(job.ask(Wanted::Checkpoint, 2), []);
    let decisions = job.store(1, 3);
    let done = Complete { id: 1, commits: false, last: false, request: Some(77) };
    let next = Trigger { id: 2, kind: CheckpointKind::Checkpoint, hold: false, request: Some(77) };
    assert_eq!(decisions, [done, next]);
    job.on(CoordinatorEvent::Frozen { id: 2, subtask: 0 }, 4);
    let abort = Abort { id: 2, reason: AbortReason::JobFailed, request: Some(77) };
    assert_eq!(job.on(CoordinatorEvent::Failed, 5), [abort]);
    assert!(matches!(job.ask(Wanted::Savepoint, 6)[..], [Refuse { token: 77, .. }]));
}

#[test]
fn savepoints_by_interval() {
    let savepoint_interval = Some(Duration::from_secs(100));
    let mut job = Job::started(CheckpointOptions { interval: None, savepoint_interval, ..options() });
    assert_eq!(job.wake_at(), Some(100));
    assert_eq!(job.on(CoordinatorEvent::Tick, 100), [trigger(1, CheckpointKind::Savepoint)]);
    job.store(1, 101);
    assert_eq!(job.wake_at(), Some(200));
}

#[test]
fn the_final_checkpoint_commits_the_rest_and_a_finished_job_says_so() {
    let mut job = Job::started(CheckpointOptions { interval: None, ..options() });
    assert_eq!(job.end(End::Finished, 3), [trigger(1, CheckpointKind::Final)]);
    assert_eq!(job.store(1, 4), [Complete { id: 1, commits: true, last: true, request: None }]);
    assert_eq!(job.settle(5), [LogFinish]);
    assert_eq!(job.on(CoordinatorEvent::FinishLogged(Logged::Unknown("503".into())), 6), []);
    assert_eq!(job.on(CoordinatorEvent::Tick, job.wake_at().unwrap()), [LogFinish]);
    assert_eq!(job.on(CoordinatorEvent::FinishLogged(Logged::Stands), 8), [Release]);
}

#[test]
fn a_sink_that_never_commits_fails_the_job() {
    let mut job = Job::started(options());
    job.end(End::Finished, 3);
    job.store(1, 4);
    assert_eq!(job.on(CoordinatorEvent::Settled { subtask: 1 }, 5), []);
    assert_eq!(job.wake_at(), Some(64));
    let decisions = job.on(CoordinatorEvent::Tick, 64);
    assert!(matches!(decisions[..], [FailJob { kind: ErrorKind::Restart, .. }]), "{decisions:?}");
}

#[test]
fn a_final_checkpoint_that_fails_is_tried_again() {
    let mut job = Job::started(options());
    job.end(End::Stopped, 3);
    let why = CoordinatorEvent::Declined { id: 1, why: "503".into() };
    assert!(matches!(job.on(why, 4)[..], [Abort { .. }]));
    assert_eq!(job.wake_at(), Some(14));
    assert_eq!(job.on(CoordinatorEvent::Tick, 14), [trigger(2, CheckpointKind::Final)]);
    job.store(2, 15);
    assert_eq!(job.settle(16), [Release], "it was stopped, and has not finished");
}

#[test]
fn a_stop_with_savepoint_commits_and_then_the_sources_stop() {
    let mut job = Job::started(options());
    let held = Trigger { id: 1, kind: CheckpointKind::Savepoint, hold: true, request: Some(77) };
    assert_eq!(job.ask(Wanted::Stop { drain: false }, 1), [held]);
    let done = Complete { id: 1, commits: true, last: true, request: Some(77) };
    assert_eq!(job.store(1, 2), [StopSources { drain: false }, done]);
    assert!(matches!(job.ask(Wanted::Savepoint, 3)[..], [Refuse { .. }]));
    assert_eq!(job.end(End::Stopped, 4), [], "no final checkpoint: the savepoint was it");
    assert_eq!(job.settle(5), [Release]);
}

#[test]
fn a_job_goes_on_when_the_savepoint_of_its_stop_fails() {
    let mut job = Job::started(options());
    job.ask(Wanted::Stop { drain: false }, 1);
    job.freeze(1, 1);
    let decisions = job.on(CoordinatorEvent::Written { id: 1, result: failed("no bucket") }, 2);
    assert!(matches!(&decisions[..], [Abort { id: 1, request: Some(77), .. }]), "{decisions:?}");
    assert_eq!(job.on(CoordinatorEvent::Tick, 10), [trigger(2, CheckpointKind::Checkpoint)]);
}

#[test]
fn a_drained_job_ends_first_and_restarts_when_its_savepoint_fails() {
    for ok in [true, false] {
        let mut job = Job::started(options());
        assert_eq!(job.ask(Wanted::Stop { drain: true }, 1), [StopSources { drain: true }]);
        assert_eq!(job.on(CoordinatorEvent::Tick, 100), [], "no checkpoint of a job whose time has ended");
        let savepoint = Trigger { id: 1, kind: CheckpointKind::Savepoint, hold: false, request: Some(77) };
        assert_eq!(job.end(End::Finished, 101), [savepoint]);
        if ok {
            job.store(1, 102);
            assert_eq!(job.settle(103), [LogFinish], "its windows are closed: the next start begins anew");
        } else {
            let decisions = job.on(CoordinatorEvent::Declined { id: 1, why: "503".into() }, 102);
            assert!(
                matches!(&decisions[..], [Abort { .. }, FailJob { kind: ErrorKind::Restart, .. }]),
                "{decisions:?}"
            );
        }
    }
}

#[test]
fn a_plain_stop_ends_with_a_final_checkpoint() {
    let mut job = Job::started(options());
    assert_eq!(job.on(CoordinatorEvent::Stop, 1), [StopSources { drain: false }]);
    job.on(CoordinatorEvent::Tick, 10);
    assert_eq!(job.end(End::Stopped, 11), [], "the one under way is seen through");
    let decisions = job.store(1, 12);
    assert_eq!(decisions, [complete(1), trigger(2, CheckpointKind::Final)]);
}

#[test]
fn a_stop_takes_along_what_a_sink_does_not_write() {
    let mut job = Job::impatient(CheckpointOptions { interval: None, ..options() });
    assert_eq!(job.on(CoordinatorEvent::Stop, 1), [StopSources { drain: false }]);
    assert_eq!(job.on(CoordinatorEvent::Ended { subtask: 0, end: End::Stopped }, 1), []);
    assert_eq!(job.wake_at(), Some(5));
    assert_eq!(job.on(CoordinatorEvent::Tick, 5), [trigger(1, CheckpointKind::Checkpoint)]);
    let done = Complete { id: 1, commits: true, last: true, request: None };
    assert_eq!(job.store(1, 6), [StopSources { drain: false }, done]);
    assert_eq!(job.on(CoordinatorEvent::Settled { subtask: 0 }, 6), []);
    assert_eq!(job.wake_at(), Some(8), "others may commit until then");
    assert_eq!(job.on(CoordinatorEvent::Tick, 8), [Release]);
}

#[test]
fn a_stop_whose_sinks_write_in_time_ends_with_a_final_checkpoint() {
    let mut job = Job::impatient(options());
    job.on(CoordinatorEvent::Stop, 1);
    assert_eq!(job.end(End::Stopped, 4), [trigger(1, CheckpointKind::Final)]);
    job.store(1, 5);
    assert_eq!(job.settle(6), [Release]);
}

#[test]
fn a_stop_leaves_to_a_restart_what_a_sink_does_not_commit() {
    let mut job = Job::impatient(options());
    job.on(CoordinatorEvent::Stop, 1);
    job.end(End::Stopped, 2);
    job.store(1, 3);
    assert_eq!(job.on(CoordinatorEvent::Tick, 4), []);
    assert_eq!(job.on(CoordinatorEvent::Tick, 5), [Release]);
    // The input was read to its end, its commits hang, and then it is to stop.
    let mut job = Job::impatient(options());
    job.end(End::Finished, 2);
    job.store(1, 3);
    assert_eq!(job.on(CoordinatorEvent::Tick, 30), []);
    assert_eq!(job.on(CoordinatorEvent::Stop, 31), []);
    assert_eq!(job.on(CoordinatorEvent::Tick, 33), [Release]);
}

#[test]
fn a_checkpoint_that_cannot_be_stored_while_a_job_stops_is_tried_again_soon() {
    let mut job = Job::impatient(options());
    job.on(CoordinatorEvent::Stop, 1);
    job.on(CoordinatorEvent::Tick, 5);
    job.freeze(1, 5);
    let decisions = job.on(CoordinatorEvent::Written { id: 1, result: failed("503") }, 6);
    assert!(matches!(&decisions[..], [Abort { id: 1, .. }]), "{decisions:?}");
    assert_eq!(job.wake_at(), Some(7));
    assert_eq!(job.on(CoordinatorEvent::Tick, 7), [trigger(2, CheckpointKind::Checkpoint)]);
}

#[test]
fn a_stop_with_savepoint_does_not_wait_for_a_sink_that_hangs() {
    let mut job = Job::impatient(options());
    job.ask(Wanted::Stop { drain: false }, 1);
    job.store(1, 2);
    assert_eq!(job.on(CoordinatorEvent::Ended { subtask: 0, end: End::Stopped }, 3), []);
    assert_eq!(job.wake_at(), Some(8));
    assert_eq!(job.on(CoordinatorEvent::Tick, 8), [Release]);
}

#[test]
fn a_sink_that_must_flush_before_a_barrier_does_not_hold_up_a_stop_for_good() {
    let mut job = Job::impatient(CheckpointOptions { interval: None, ..options() });
    job.on(CoordinatorEvent::Stop, 1);
    assert_eq!(job.on(CoordinatorEvent::Tick, 5), [trigger(1, CheckpointKind::Checkpoint)]);
    job.on(CoordinatorEvent::Frozen { id: 1, subtask: 0 }, 5);
    assert_eq!(job.wake_at(), Some(7));
    let decisions = job.on(CoordinatorEvent::Tick, 7);
    assert!(
        matches!(decisions[..], [FailJob { kind: ErrorKind::Restart, .. }, Abort { .. }]),
        "{decisions:?}"
    );
}
