//! Checkpoints under load, and restores at other parallelisms.

mod support;

use std::sync::atomic::Ordering::SeqCst;

use millstream_record::ErrorKind;
use millstream_runtime::{JobSnapshot, start, start_from};
use millstream_stage::plan::{Exchange, Plan};
use millstream_stage::snapshot::Restored;
use millstream_stage::stage::End;
use support::numbers::Numbers;
use support::ops::Watermarks;
use support::plans::*;
use support::sinks::Written;
use support::wait;

const SPLITS: [(i64, i64); 4] = [(0, 60_000), (1000, 61_000), (17, 60_017), (0, 0)];

fn gated(at: i64) -> Numbers {
    Numbers { gate_at: at, ..Numbers::new(&SPLITS) }
}

#[test]
fn any_checkpoint_restores_at_any_parallelism_with_exact_sums() {
    let numbers = gated(30_000);
    let at_gate = numbers.probe.gate();
    let first = Sums::default();
    let job = start(keyed_sum(&numbers, 2, 3, &first), support::options()).unwrap();
    // Some while data flows, one when a reader is at its gate.
    let mut snapshots: Vec<JobSnapshot> = (0..4).map(|_| job.checkpoint().unwrap()).collect();
    at_gate.recv().unwrap();
    snapshots.push(job.checkpoint().unwrap());
    job.abort("crash");
    wait(job).unwrap_err();
    assert!(first.sorted().is_empty(), "nothing was fired before the end");

    assert_eq!(snapshots.iter().map(|snapshot| snapshot.checkpoint).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    for (snapshot, (readers, summers)) in snapshots.into_iter().zip([(1, 1), (2, 3), (3, 2), (4, 1), (1, 5)])
    {
        let id = snapshot.checkpoint;
        let (numbers, written) = (Numbers::new(&SPLITS), Sums::default());
        let plan = keyed_sum(&numbers, readers, summers, &written);
        let job = start_from(plan, support::options(), snapshot).unwrap();
        wait(job).unwrap();
        assert_eq!(written.sorted(), sums_of(&SPLITS), "checkpoint {id} at {readers} and {summers}");
        if id == 5 {
            let left = numbers.probe.read.load(SeqCst);
            assert!(
                (180_000 - 88_983..=180_000 - 29_000).contains(&left),
                "it went on from the middle: {left}"
            );
        }
    }
}

#[test]
fn every_subtask_hears_of_a_complete_checkpoint_and_ids_go_on_after_a_restore() {
    let numbers = gated(10);
    let written = Sums::default();
    let job = start(keyed_sum(&numbers, 2, 3, &written), support::options()).unwrap();
    job.checkpoint().unwrap();
    let snapshot = job.checkpoint().unwrap();
    numbers.probe.open_gate();
    wait(job).unwrap();
    let heard = written.completed.lock().clone();
    // The third is the last one: when all have ended, sinks commit by it.
    let all = vec![1, 2, 3];
    assert_eq!(heard.into_iter().collect::<Vec<_>>(), [(0, all.clone()), (1, all.clone()), (2, all)]);

    let numbers = gated(20);
    let job = start_from(keyed_sum(&numbers, 1, 1, &Sums::default()), support::options(), snapshot).unwrap();
    assert_eq!(job.checkpoint().unwrap().checkpoint, 3);
    numbers.probe.open_gate();
    wait(job).unwrap();
}

#[test]
fn subtasks_that_have_ended_take_part() {
    // The second source has nothing: it ends at once, the third reader of the first one too; the union goes
    // on.
    let numbers = gated(30_000);
    let at_gate = numbers.probe.gate();
    let union = |numbers: &Numbers, written: &Sums| {
        let mut plan = keyed_sum(numbers, 4, 2, written);
        let watermarks = then("watermarks2", Watermarks::default, hashed(1));
        plan.stages.insert(1, source("nothing -> watermarks2", 2, &Numbers::new(&[]), watermarks));
        plan.edges = vec![edge(0, 2, 0, Exchange::Hash), edge(1, 2, 0, Exchange::Hash)];
        plan
    };
    let job = start(union(&numbers, &Sums::default()), support::options()).unwrap();
    at_gate.recv().unwrap();
    let snapshot = job.checkpoint().unwrap();
    job.abort("crash");
    wait(job).unwrap_err();
    let written = Sums::default();
    wait(start_from(union(&Numbers::new(&SPLITS), &written), support::options(), snapshot).unwrap()).unwrap();
    assert_eq!(written.sorted(), sums_of(&SPLITS));
}

#[test]
fn checkpoints_without_a_pause_through_the_end_of_jobs_and_through_stops() {
    let mut snapshots = Vec::new();
    for round in 0..40 {
        let splits = [(0, 1000 * round), (5, 900)];
        let written = Sums::default();
        let job = start(keyed_sum(&Numbers::new(&splits), 3, 2, &written), support::options()).unwrap();
        let control = job.control();
        let mut last = None;
        if round % 4 == 3 {
            last = job.checkpoint().ok().map(|snapshot| (splits, snapshot));
            job.stop();
        }
        let hammer = std::thread::Builder::new().spawn(move || {
            while let Ok(snapshot) = control.checkpoint() {
                last = Some((splits, snapshot));
            }
            last
        });
        let report = wait(job).unwrap();
        if report.end == End::Finished {
            assert_eq!(written.sorted(), sums_of(&splits), "round {round}");
        }
        snapshots.extend(hammer.unwrap().join().unwrap().filter(|_| report.end == End::Stopped));
    }
    // What was stopped goes on from its last checkpoint, taken when some or all subtasks had ended.
    for (splits, snapshot) in snapshots {
        let written = Sums::default();
        let job = start_from(keyed_sum(&Numbers::new(&splits), 2, 1, &written), support::options(), snapshot);
        wait(job.unwrap()).unwrap();
        assert_eq!(written.sorted(), sums_of(&splits));
    }
}

/// Numbers straight into a sink that must flush before a barrier: source and sink in one chain.
fn direct(numbers: &Numbers, written: &Written<i64>) -> Plan {
    let written = written.clone();
    plan(vec![source("numbers -> out", 2, numbers, sink("out", written.buffered(300)))], vec![])
}

#[test]
fn a_sink_behind_a_flowing_source_comes_to_the_end_of_its_flush() {
    let numbers = Numbers::endless(2);
    let written = Written::default();
    let job = start(direct(&numbers, &written), support::options()).unwrap();
    let mut before = 0;
    for _ in 0..3 {
        // Everything up to the barrier is written when the checkpoint is complete: what a restore reads again
        // is not among it.
        let snapshot = job.checkpoint().unwrap();
        let written = written.rows.lock().len();
        let positions = positions(&snapshot);
        assert!(positions >= before && positions <= written as i64, "{positions} read, {written} written");
        before = positions;
    }
    job.stop();
    wait(job).unwrap();
    assert_eq!(written.rows.lock().len() as u64, numbers.probe.read.load(SeqCst));
}

#[test]
fn a_source_reads_on_after_it_went_quiet_for_a_flush() {
    let numbers = Numbers::new(&[(0, 100_000), (100_000, 200_000)]);
    let written = Written::default();
    let job = start(direct(&numbers, &written), support::options()).unwrap();
    for _ in 0..3 {
        job.checkpoint().unwrap();
    }
    wait(job).unwrap();
    assert_eq!(written.sorted(), (0..200_000).collect::<Vec<_>>());
}

// How much was read of all splits, which start at 0.
fn positions(snapshot: &JobSnapshot) -> i64 {
    use millstream_record::record::from_bytes;
    use millstream_stage::source::{Split, split_state};
    let Restored { mut lists, .. } = snapshot.stages[0].state.share(0, 1, &(0..128));
    let splits = lists.remove(&("numbers".to_owned(), "splits".to_owned())).expect("a list of splits");
    let position = |bytes: Vec<u8>| {
        let split: Split = from_bytes(&bytes).expect("a split");
        split_state::<(i64, i64)>(&split).expect("a range").0
    };
    splits.into_iter().map(position).sum()
}

#[test]
fn a_checkpoint_of_a_job_that_is_over_is_refused() {
    let job = start(keyed_sum(&Numbers::new(&[]), 1, 1, &Sums::default()), support::options()).unwrap();
    let control = job.control();
    wait(job).unwrap();
    assert_eq!(control.checkpoint().unwrap_err().kind(), ErrorKind::Restart);
}

#[test]
fn a_plan_without_a_place_for_the_state_is_refused() {
    let numbers = gated(10);
    let job = start(keyed_sum(&numbers, 1, 1, &Sums::default()), support::options()).unwrap();
    let snapshot = job.checkpoint().unwrap();
    drop(job);
    let mut other = keyed_sum(&numbers, 1, 1, &Sums::default());
    other.stages[0].operators[0].name = "metrics".into();
    let error = start_from(other, support::options(), snapshot.clone()).unwrap_err();
    assert!(error.chain().contains("state of an operator named `numbers`"), "{error}");
    let mut other = keyed_sum(&numbers, 1, 1, &Sums::default());
    other.key_groups = 64;
    let error = start_from(other, support::options(), snapshot).unwrap_err();
    assert!(error.chain().contains("128 key groups"), "{error}");
}
