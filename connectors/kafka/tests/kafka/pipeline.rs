//! A whole job from Kafka to Kafka on the thread driver, which is dropped again and again, at other
//! parallelisms.

use std::path::Path;
use std::time::Duration;

use millstream_api::Environment;
use millstream_kafka::{DeliveryGuarantee, KafkaSink, KafkaSinkOptions, KafkaSource, KafkaSourceOptions};
use millstream_protocol::checkpoint_options::CheckpointOptions;
use millstream_runtime::{RuntimeOptions, start};
use millstream_stage::plan::Plan;
use millstream_testkit::{unique_name, wait};

use crate::common::{Text, await_transactions, brokers, fill, options, read_all, texts, topic, values};

fn plan(from: &KafkaSourceOptions, to: &KafkaSinkOptions, parallelism: u16) -> Plan {
    let env = Environment::new("through").with_parallelism(parallelism);
    let sink = KafkaSink::new(to.clone(), |text: &String, _, message| {
        message.key().extend_from_slice(text.as_bytes());
        message.value().extend_from_slice(text.as_bytes());
    });
    env.source("from", KafkaSource::new(from.clone())).decode("text", Text).rebalance().sink_to("to", sink);
    env.plan().unwrap()
}

fn runtime(dir: &Path) -> RuntimeOptions {
    let interval = Some(Duration::from_millis(50));
    RuntimeOptions {
        checkpoints_dir: Some(format!("file://{}", dir.display())),
        checkpointing: CheckpointOptions { interval, ..CheckpointOptions::default() },
        ..RuntimeOptions::default()
    }
}

fn visible(topic: &str) -> Vec<String> {
    await_transactions(brokers(), topic, 2);
    let read = read_all(&KafkaSource::new(options(brokers(), topic)));
    let mut all: Vec<_> =
        [0, 1].iter().flat_map(|partition| values(&read, &format!("{topic}-{partition}"))).collect();
    all.sort_unstable();
    all
}

#[test]
fn a_job_that_is_dropped_again_and_again_at_other_parallelisms_writes_each_message_once() {
    let (from, to, dir) = (topic("from", 2), topic("to", 2), tempfile::tempdir().unwrap());
    let source = KafkaSourceOptions {
        bounded: None,
        group_id: Some(unique_name("through")),
        ..options(brokers(), &from)
    };
    let sink = KafkaSinkOptions {
        brokers: brokers().to_owned(),
        topic: to.clone(),
        delivery_guarantee: DeliveryGuarantee::ExactlyOnce,
        transactional_id_prefix: unique_name("through"),
        ..KafkaSinkOptions::default()
    };
    for (round, parallelism) in [2, 3, 1, 2].into_iter().enumerate() {
        let job = start(plan(&source, &sink, parallelism), runtime(dir.path())).unwrap();
        let control = job.control();
        fill(brokers(), &from, 2, round * 500, (round + 1) * 500);
        // Dropped somewhere among snapshots, transactions and their ends.
        let enough = 3 + round as u64;
        let checkpointed = || control.checkpoint_stats().counts.completed >= enough;
        assert!(wait::until(Duration::from_secs(60), checkpointed), "no checkpoints complete");
        drop(job);
    }
    let mut expected = [texts(0, 0, 2_000), texts(1, 0, 2_000)].concat();
    expected.sort_unstable();
    let job = start(plan(&source, &sink, 2), runtime(dir.path())).unwrap();
    let all = || visible(&to).len() >= expected.len();
    assert!(
        wait::until(Duration::from_secs(90), all),
        "{} of {} are there",
        visible(&to).len(),
        expected.len()
    );
    job.stop();
    job.wait().unwrap();
    assert!(visible(&to) == expected);
}

// No checkpoints on the way: what it writes, it writes at its end.
#[test]
fn a_bounded_job_has_written_everything_when_it_has_finished() {
    let (from, to, dir) = (topic("bounded_from", 2), topic("bounded_to", 2), tempfile::tempdir().unwrap());
    fill(brokers(), &from, 2, 0, 300);
    let sink = KafkaSinkOptions {
        brokers: brokers().to_owned(),
        topic: to.clone(),
        delivery_guarantee: DeliveryGuarantee::ExactlyOnce,
        transactional_id_prefix: unique_name("bounded"),
        ..KafkaSinkOptions::default()
    };
    let settings = RuntimeOptions { checkpointing: CheckpointOptions::default(), ..runtime(dir.path()) };
    start(plan(&options(brokers(), &from), &sink, 2), settings).unwrap().wait().unwrap();
    assert_eq!(visible(&to).len(), 600);
}
