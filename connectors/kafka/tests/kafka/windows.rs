//! Windows close in time, whatever the number of subtasks and partitions, and however long a silent partition
//! is waited for.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use millstream_api::Environment;
use millstream_kafka::{KafkaSource, KafkaSourceOptions};
use millstream_operators::collection::Collected;
use millstream_operators::operators::WatermarkStrategy;
use millstream_operators::window::{Count, Tumbling};
use millstream_protocol::checkpoint_options::CheckpointOptions;
use millstream_runtime::{JobControl, RuntimeOptions, start};
use millstream_stage::plan::Plan;
use millstream_stage::time::Time;
use millstream_testkit::wait;
use rdkafka::producer::Producer as _;

use crate::common::{Text, brokers, grow, options, producer, send, topic};

const SECOND: Time = 1_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// By the start of a window in seconds: how many numbers fell into it.
type Counts = Collected<(Time, u64)>;

// Counts numbers per second of event time; each number is its own time in milliseconds.
fn plan(name: &str, parallelism: u16, counts: &Counts) -> Plan {
    let source = KafkaSourceOptions { bounded: None, ..options(brokers(), name) };
    let env = Environment::new("windows").with_parallelism(parallelism);
    let time = |text: &String| text.parse().unwrap();
    // A silent partition would hold the windows for longer than any test waits.
    let hour = Duration::from_secs(3_600);
    let strategy = WatermarkStrategy::monotonous().with_timestamps(time).with_idleness(hour);
    env.source("from", KafkaSource::new(source))
        .decode("text", Text)
        .assign_timestamps_and_watermarks("times", strategy)
        .key_by(|_: &String| 0_i64)
        .window(Tumbling::of(Duration::from_secs(1)))
        .aggregate("count", Count, |_, window, count| (window.start / SECOND, count))
        .sink_to("counts", counts.clone());
    env.plan().unwrap()
}

// Ten numbers per second of time into each of the first partitions.
fn produce(name: &str, partitions: i32, seconds: std::ops::Range<Time>) {
    let producer = producer(brokers());
    for time in (seconds.start * SECOND..seconds.end * SECOND).step_by(100) {
        (0..partitions).for_each(|partition| send(&producer, name, partition, time.to_string().as_bytes()));
    }
    producer.flush(PATIENCE).unwrap();
}

fn await_windows(counts: &Counts, seconds: std::ops::Range<Time>, each: u64) {
    let mut missing: BTreeSet<_> = seconds.map(|second| (second, each)).collect();
    let arrived = || {
        for count in counts.take() {
            assert!(missing.remove(&count), "{count:?} is not expected; {missing:?} are missing");
        }
        missing.is_empty()
    };
    assert!(wait::until(PATIENCE, arrived), "windows stay open");
}

fn in_memory() -> RuntimeOptions {
    RuntimeOptions::default()
}

#[test]
fn windows_close_at_any_ratio_of_subtasks_to_partitions() {
    // With how many partitions, and how many of them hold anything.
    for (parallelism, partitions, filled) in [(2, 1, 1), (4, 2, 2), (3, 4, 1), (1, 3, 2)] {
        let (name, counts) = (topic("ratio", partitions), Counts::default());
        produce(&name, filled, 0..10);
        let job = start(plan(&name, parallelism, &counts), in_memory()).unwrap();
        await_windows(&counts, 0..9, 10 * filled as u64);
        job.stop();
        job.wait().unwrap();
    }
}

fn with_checkpoints(dir: &Path) -> RuntimeOptions {
    let interval = Some(Duration::from_millis(50));
    RuntimeOptions {
        checkpoints_dir: Some(format!("file://{}", dir.display())),
        checkpointing: CheckpointOptions { interval, ..CheckpointOptions::default() },
        ..RuntimeOptions::default()
    }
}

fn await_checkpoint(control: &JobControl) {
    let completed = || control.checkpoint_stats().counts.completed;
    let seen = completed();
    // The one that is under way may have begun before the windows closed.
    assert!(wait::until(PATIENCE, || completed() >= seen + 2), "no checkpoints complete");
}

#[test]
fn windows_close_after_a_restore_with_more_subtasks_than_partitions_and_when_partitions_come_later() {
    let (name, counts, dir) = (topic("rescaled", 2), Counts::default(), tempfile::tempdir().unwrap());
    produce(&name, 2, 0..5);
    let job = start(plan(&name, 2, &counts), with_checkpoints(dir.path())).unwrap();
    await_windows(&counts, 0..4, 20);
    await_checkpoint(&job.control());
    job.stop();
    job.wait().unwrap();
    grow(&name, 3);
    produce(&name, 2, 5..10);
    let job = start(plan(&name, 4, &counts), with_checkpoints(dir.path())).unwrap();
    await_windows(&counts, 4..9, 20);
    job.stop();
    job.wait().unwrap();
}
