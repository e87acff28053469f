//! The sink that writes exactly once, read by a consumer that only sees what is committed.

use millstream_kafka::{DeliveryGuarantee, KafkaSink, KafkaSinkOptions, KafkaSource, Message, MissingMarker};
use millstream_record::ErrorKind;
use millstream_record::key_group::owned_groups;
use millstream_sim::{DrivenWriter, Harness};
use millstream_stage::snapshot::StageSnapshot;
use millstream_testkit::{Kafka, unique_name};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::groups::GroupInfo;
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::common::{
    PATIENCE, assert_names, await_transactions, brokers, config, delete_topic, options, read_all, send, text,
    texts, topic, values, world,
};

type Writer = DrivenWriter<String>;

const GROUPS: u16 = 128;

// A job with one topic of one partition, and its sink.
pub(crate) struct Job {
    pub(crate) options: KafkaSinkOptions,
}

fn to_first_partition(value: &String, _: i64, message: &mut Message) {
    message.to_partition(0);
    message.value().extend_from_slice(value.as_bytes());
}

impl Job {
    pub(crate) fn on(brokers: &str, topic: String) -> Self {
        let options = KafkaSinkOptions {
            brokers: brokers.to_owned(),
            transactional_id_prefix: format!("of-{topic}"),
            topic,
            delivery_guarantee: DeliveryGuarantee::ExactlyOnce,
            ..KafkaSinkOptions::default()
        };
        Self { options }
    }

    fn new(name: &str) -> Self {
        Self::on(brokers(), topic(name, 1))
    }

    pub(crate) fn with(&self, change: impl FnOnce(&mut KafkaSinkOptions)) -> Self {
        let mut options = self.options.clone();
        change(&mut options);
        Self { options }
    }

    fn transactional_id(&self, subtask: u16) -> String {
        format!("{}-test-sink-{subtask}", self.options.transactional_id_prefix)
    }

    fn start(&self, epoch: u64, parallelism: u16, from: &StageSnapshot) -> Vec<Writer> {
        let sink = KafkaSink::new(self.options.clone(), to_first_partition);
        let open = |subtask| {
            let owned = owned_groups(subtask, GROUPS, parallelism);
            let harness = Harness::new(world()).epoch(epoch).subtask(subtask, parallelism).key_groups(GROUPS);
            let harness = harness.restored(from.share(subtask, parallelism, &owned));
            DrivenWriter::open(&sink, harness).unwrap()
        };
        (0..parallelism).map(open).collect()
    }

    pub(crate) fn one(&self, epoch: u64, from: &StageSnapshot) -> Writer {
        self.start(epoch, 1, from).remove(0)
    }

    pub(crate) fn visible(&self) -> Vec<String> {
        let (brokers, topic) = (&self.options.brokers, &self.options.topic);
        await_transactions(brokers, topic, 1);
        values(&read_all(&KafkaSource::new(options(brokers, topic))), &format!("{topic}-0"))
    }

    // Where the topic ends, open transactions included.
    pub(crate) fn end(&self) -> i64 {
        let client: BaseConsumer =
            config(&self.options.brokers).set("isolation.level", "read_uncommitted").create().unwrap();
        client.fetch_watermarks(&self.options.topic, 0, PATIENCE).unwrap().1
    }

    // What a process leaves behind that is killed, or stopped, in mid-transaction.
    fn zombie(&self, subtask: u16) -> BaseProducer {
        let id = self.transactional_id(subtask);
        let zombie: BaseProducer =
            config(&self.options.brokers).set("transactional.id", id).create().unwrap();
        zombie.init_transactions(PATIENCE).unwrap();
        zombie.begin_transaction().unwrap();
        send(&zombie, &self.options.topic, 0, b"never to be seen");
        zombie.flush(PATIENCE).unwrap();
        zombie
    }
}

pub(crate) fn freeze(writers: &mut [Writer], id: u64) -> StageSnapshot {
    let mut snapshot = StageSnapshot::default();
    writers.iter_mut().for_each(|writer| snapshot.add(writer.checkpoint(id).unwrap()).unwrap());
    snapshot
}

fn commit(writer: &mut Writer, id: u64) {
    writer.completed(id).unwrap();
    writer.flush().unwrap();
}

pub(crate) fn nothing() -> StageSnapshot {
    StageSnapshot::default()
}

fn write_and_freeze(job: &Job, to: usize) -> (Writer, StageSnapshot) {
    let mut writer = job.one(1, &nothing());
    writer.write(texts(0, 0, to)).unwrap();
    let snapshot = freeze(std::slice::from_mut(&mut writer), 1);
    (writer, snapshot)
}

#[test]
fn two_checkpoints_completed_at_once_are_one_transaction_in_order() {
    let job = Job::new("in_order");
    let mut writer = job.one(1, &nothing());
    for id in 1..=3_usize {
        writer.write(texts(0, id * 1_000, (id + 1) * 1_000)).unwrap();
        freeze(std::slice::from_mut(&mut writer), id as u64);
        if id == 2 {
            // Ordered, and the third is frozen while it is being written.
            writer.completed(2).unwrap();
        }
    }
    writer.flush().unwrap();
    assert!(job.visible() == texts(0, 1_000, 3_000));
    assert_eq!(writer.harness().metrics().operator("sink").counter("transactions").get(), 1);
    commit(&mut writer, 3);
    writer.close();
    assert!(job.visible() == texts(0, 1_000, 4_000));
    // One marker per transaction takes up an offset; the one of the start wrote nothing here.
    let client: BaseConsumer = config(brokers()).create().unwrap();
    assert_eq!(client.fetch_watermarks(&job.options.topic, 0, PATIENCE).unwrap(), (0, 3_002));
}

#[test]
fn the_marker_says_which_checkpoint_was_written() {
    let job = Job::new("marker");
    let (mut writer, snapshot) = write_and_freeze(&job, 10);
    commit(&mut writer, 1);
    writer.close();
    let list = &snapshot.lists[0].items[0];
    assert!(String::from_utf8_lossy(list).contains(&job.options.topic), "the origin is in the snapshot");
    let (offset, metadata) = marker(&job);
    assert_eq!(offset, Offset::Offset(1));
    assert_eq!(metadata, "millstream 1 attempt 1 epoch 1 checkpoint 1");
    job.one(8, &snapshot).flush().unwrap();
    assert_eq!(marker(&job).1, "millstream 1 attempt 8 epoch 1 checkpoint 1");
}

// Of the only group whose name begins as the transactional id does.
pub(crate) fn marker(job: &Job) -> (Offset, String) {
    let client: BaseConsumer = config(&job.options.brokers).create().unwrap();
    let groups = client.fetch_group_list(None, PATIENCE).unwrap();
    let id = job.transactional_id(0);
    let group = groups.groups().iter().map(GroupInfo::name).find(|name| name.starts_with(&id)).unwrap();
    let client: BaseConsumer = config(&job.options.brokers).set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(&job.options.topic, 0);
    let committed = client.committed_offsets(list, PATIENCE).unwrap();
    let element = &committed.elements()[0];
    (element.offset(), element.metadata().to_owned())
}

#[test]
fn what_a_killed_process_left_open_is_aborted_also_of_subtasks_that_are_no_more() {
    let job = Job::new("left_open");
    let mut writers = job.start(1, 3, &nothing());
    for (number, writer) in writers.iter_mut().enumerate() {
        writer.write(vec![text(0, number)]).unwrap();
    }
    let snapshot = freeze(&mut writers, 1);
    let zombies: Vec<_> = (0..3).map(|subtask| job.zombie(subtask)).collect();
    let mut writer = job.one(2, &snapshot);
    writer.flush().unwrap();
    let mut seen = job.visible();
    seen.sort_unstable();
    assert_eq!(seen, texts(0, 0, 3));
    for zombie in zombies {
        let error = zombie.commit_transaction(PATIENCE).unwrap_err();
        assert!(matches!(&error, KafkaError::Transaction(error) if error.is_fatal()), "{error}");
    }
    for mut old in writers {
        let error = old.completed(1).and_then(|()| old.flush()).unwrap_err();
        assert_names(&error, ErrorKind::Fenced, &["attempt 2", &job.options.transactional_id_prefix]);
        old.close();
    }
    writer.close();
    assert_eq!(job.visible().len(), 3);
}

// It had not begun when it was stopped, and comes to life when another attempt is at work.
#[test]
fn an_older_attempt_that_starts_later_stops_and_the_newer_one_starts_again() {
    let job = Job::new("late");
    let (mut writer, snapshot) = write_and_freeze(&job, 10);
    commit(&mut writer, 1);
    writer.close();
    let mut newer = job.one(3, &snapshot);
    newer.write(texts(0, 10, 20)).unwrap();
    let next = freeze(std::slice::from_mut(&mut newer), 2);
    let mut older = job.one(2, &snapshot);
    assert_names(&older.flush().unwrap_err(), ErrorKind::Fenced, &["attempt 3", "attempt, 2"]);
    older.close();
    let error = newer.completed(2).and_then(|()| newer.flush()).unwrap_err();
    assert_names(&error, ErrorKind::Restart, &["transactional-id-prefix"]);
    newer.close();
    let mut again = job.one(4, &next);
    again.flush().unwrap();
    again.close();
    assert_eq!(job.visible(), texts(0, 0, 20));
}

#[test]
fn too_much_output_holds_the_input_back_until_a_checkpoint_completes_and_takes_all_the_same() {
    let job = Job::new("bounded").with(|options| options.max_interval_bytes = 20_000);
    let mut writer = job.one(1, &nothing());
    writer.write(texts(0, 0, 2_000)).unwrap();
    writer.resume().unwrap();
    assert!(!writer.pace().takes_data());
    // As a driver does while a barrier is under way.
    freeze(std::slice::from_mut(&mut writer), 1);
    assert!(!writer.pace().takes_data(), "what is in the snapshot is not written yet");
    writer.completed(1).unwrap();
    writer.settle().unwrap();
    writer.write(texts(0, 2_000, 2_010)).unwrap();
    freeze(std::slice::from_mut(&mut writer), 2);
    commit(&mut writer, 2);
    writer.close();
    assert!(job.visible() == texts(0, 0, 2_010));
}

#[test]
fn a_message_too_large_for_the_topic_is_a_dead_letter_and_the_others_are_written_in_order() {
    let name = unique_name("strict");
    Kafka::shared().unwrap().create_topic_with(&name, 1, &[("max.message.bytes", "1000")]).unwrap();
    let job =
        Job::on(brokers(), name).with(|options| options.compression = millstream_kafka::Compression::None);
    let mut writer = job.one(1, &nothing());
    let mut rows = texts(0, 0, 30);
    rows.insert(7, "x".repeat(3_000));
    writer.write(rows).unwrap();
    freeze(std::slice::from_mut(&mut writer), 1);
    commit(&mut writer, 1);
    let letters: Vec<_> = writer.dead_letters().iter().map(|letter| letter.raw.len()).collect();
    writer.close();
    assert_eq!(letters, [3_000]);
    assert_eq!(job.visible(), texts(0, 0, 30));
}

#[test]
fn a_transaction_timeout_beyond_the_brokers_limit_is_refused_at_the_start() {
    let job = Job::new("timeout")
        .with(|options| options.transaction_timeout = std::time::Duration::from_secs(3_600));
    let error = job.one(1, &nothing()).flush().unwrap_err();
    assert_names(
        &error,
        ErrorKind::Configuration,
        &["transaction-timeout", "3600 s", "transaction.max.timeout.ms"],
    );
}

#[test]
fn an_unknown_topic_is_named() {
    let name = unique_name("nowhere");
    let error = Job::on(brokers(), name.clone()).one(1, &nothing()).flush().unwrap_err();
    assert_names(&error, ErrorKind::Configuration, &[&name, brokers()]);
}

#[test]
fn without_its_marker_restored_output_is_a_question_to_the_user() {
    let job = Job::new("forgotten");
    let (mut writer, snapshot) = write_and_freeze(&job, 5);
    commit(&mut writer, 1);
    writer.close();
    assert_eq!(job.visible(), texts(0, 0, 5));
    // With the topic the brokers forget the offsets that were committed for it.
    delete_topic(&job.options.topic);
    Kafka::shared().unwrap().create_topics(&[(&job.options.topic, 1)]).unwrap();
    let mut refused = job.one(2, &snapshot);
    let names = ["on-missing-marker", &job.options.topic, "checkpoint 1"];
    assert_names(&refused.flush().unwrap_err(), ErrorKind::Configuration, &names);
    refused.close();
    for (epoch, choice, expected) in [(3, MissingMarker::Write, 5), (4, MissingMarker::Fail, 5)] {
        let mut writer = job.with(|options| options.on_missing_marker = choice).one(epoch, &snapshot);
        writer.flush().unwrap();
        writer.close();
        assert_eq!(job.visible(), texts(0, 0, expected));
    }
}

#[test]
fn skipping_output_without_a_marker_writes_none_of_it() {
    let job = Job::new("skipped");
    let (writer, snapshot) = write_and_freeze(&job, 5);
    writer.close();
    delete_topic(&job.options.topic);
    Kafka::shared().unwrap().create_topics(&[(&job.options.topic, 1)]).unwrap();
    let job = job.with(|options| options.on_missing_marker = MissingMarker::Skip);
    // Once said, it holds: also when the attempt dies before its first checkpoint.
    let mut writer = job.one(2, &snapshot);
    writer.flush().unwrap();
    writer.close();
    let mut writer = job.one(3, &snapshot);
    writer.write(texts(0, 5, 7)).unwrap();
    freeze(std::slice::from_mut(&mut writer), 2);
    commit(&mut writer, 2);
    writer.close();
    assert_eq!(job.visible(), texts(0, 5, 7));
}

// A savepoint that another job starts from: what it holds is written once, and the old job goes on.
#[test]
fn a_fork_takes_over_what_was_not_written_and_leaves_the_old_job_alone() {
    let job = Job::new("forked");
    let fork = job.with(|options| options.transactional_id_prefix.push_str("-fork"));
    let elsewhere = fork.with(|options| options.topic = topic("elsewhere", 1));
    let (mut writer, snapshot) = write_and_freeze(&job, 5);
    // Each twice, as one that crashes before its first checkpoint.
    for epoch in [1, 2] {
        let mut writer = elsewhere.one(epoch, &snapshot);
        writer.flush().unwrap();
        writer.close();
        assert_eq!(elsewhere.visible(), texts(0, 0, 5));
    }
    commit(&mut writer, 1);
    for epoch in [1, 2] {
        fork.one(epoch, &snapshot).flush().unwrap();
    }
    assert_eq!(job.visible(), texts(0, 0, 5));
    writer.write(texts(0, 5, 8)).unwrap();
    freeze(std::slice::from_mut(&mut writer), 2);
    commit(&mut writer, 2);
    writer.close();
    assert_eq!(job.visible(), texts(0, 0, 8));
}
