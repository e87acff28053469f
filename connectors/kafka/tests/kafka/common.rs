//! What these tests share: topics, a plain producer, and reading a source as a driver does.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millstream_kafka::{Bounded, KafkaSource, KafkaSourceOptions};
use millstream_record::{ErrorKind, Result};
use millstream_sim::{DrivenReader, Harness, Reading, TokioWorld, World};
use millstream_stage::Rows;
use millstream_stage::decode::{Decoder, Refused};
use millstream_stage::raw::RawBatch;
use millstream_stage::source::{Assignment, EnumeratorContext, EnumeratorEvent, Source as _, Split};
use millstream_stage::time::{MIN_TIME, Time};
use millstream_testkit::{Kafka, unique_name, wait};
use parking_lot::Mutex;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// How long a broker may take for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// By split, the offset and value of each message.
pub(crate) type Read = BTreeMap<String, Vec<(i64, Vec<u8>)>>;

/// The broker that most tests share.
pub(crate) fn brokers() -> &'static str {
    Kafka::shared().unwrap().bootstrap()
}

/// A new topic on the shared broker.
pub(crate) fn topic(prefix: &str, partitions: i32) -> String {
    let name = unique_name(prefix);
    Kafka::shared().unwrap().create_topics(&[(&name, partitions)]).unwrap();
    name
}

/// Real time, real threads. More patient than the clients are: whatever takes too long on a busy machine is
/// told by them.
pub(crate) fn world() -> Arc<dyn World> {
    static WORLD: OnceLock<Arc<TokioWorld>> = OnceLock::new();
    let world = WORLD.get_or_init(|| Arc::new(TokioWorld::new().unwrap().patience(Duration::from_secs(180))));
    Arc::<TokioWorld>::clone(world)
}

pub(crate) fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

pub(crate) fn producer(brokers: &str) -> BaseProducer {
    let mut config = config(brokers);
    config.set("enable.idempotence", "true").set("linger.ms", "1").set("message.max.bytes", "20000000");
    config.create().unwrap()
}

/// Sends a message and lets the client work.
pub(crate) fn send(producer: &BaseProducer, topic: &str, partition: i32, value: &[u8]) {
    let record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(value);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.poll(Duration::ZERO);
}

/// Sends the same number of different texts to each partition, and waits until they are written.
pub(crate) fn fill(brokers: &str, topic: &str, partitions: i32, from: usize, to: usize) {
    let producer = producer(brokers);
    for number in from..to {
        for partition in 0..partitions {
            send(&producer, topic, partition, text(partition, number).as_bytes());
        }
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

/// What [`fill`] sends.
pub(crate) fn text(partition: i32, number: usize) -> String {
    format!("message {number} of partition {partition}")
}

/// What [`fill`] sends to one partition.
pub(crate) fn texts(partition: i32, from: usize, to: usize) -> Vec<String> {
    (from..to).map(|number| text(partition, number)).collect()
}

/// Options for a bounded read of everything that is in a topic.
pub(crate) fn options(brokers: &str, topic: &str) -> KafkaSourceOptions {
    KafkaSourceOptions {
        brokers: brokers.to_owned(),
        topic: topic.into(),
        bounded: Some(Bounded::Latest),
        ..KafkaSourceOptions::default()
    }
}

pub(crate) fn enumerator_context(parallelism: u16) -> EnumeratorContext {
    EnumeratorContext {
        job: "test".to_owned(),
        parallelism,
        clock: world().clock(),
        troubles: Arc::default(),
    }
}

/// What the enumerator says at a first start.
pub(crate) fn start(source: &KafkaSource, parallelism: u16) -> Result<Vec<Assignment>> {
    source.enumerator().on(&enumerator_context(parallelism), EnumeratorEvent::Start { restored: None })
}

/// All splits.
pub(crate) fn splits(source: &KafkaSource) -> Vec<Split> {
    start(source, 1).unwrap().into_iter().flat_map(|assignment| assignment.splits).collect()
}

/// A reader with these splits.
pub(crate) fn reader(source: &KafkaSource, splits: Vec<Split>) -> DrivenReader<RawBatch> {
    let mut reader = DrivenReader::open(source, Harness::new(world())).unwrap();
    reader.add_splits(splits).unwrap();
    reader
}

/// Adds what one poll gave; whether a split has ended.
pub(crate) fn note(read: &mut Read, reading: Reading<RawBatch>) -> bool {
    match reading {
        Reading::Rows(split, rows) => {
            let messages = read.entry(split.to_string()).or_default();
            for batch in &rows.rec {
                messages.extend(batch.iter().map(|message| (message.position, message.bytes.to_vec())));
            }
            false
        }
        Reading::Finished(_) => true,
        Reading::Pending => false,
    }
}

/// Reads all splits to their end.
pub(crate) fn read_all(source: &KafkaSource) -> Read {
    let splits = splits(source);
    read_splits(source, splits)
}

/// Reads these splits to their end.
pub(crate) fn read_splits(source: &KafkaSource, splits: Vec<Split>) -> Read {
    let mut open = splits.len();
    let mut reader = reader(source, splits);
    let mut read = Read::new();
    while open > 0 {
        let reading = reader.next(4096).unwrap();
        open -= usize::from(note(&mut read, reading));
    }
    reader.close();
    read
}

/// The values alone, as text.
pub(crate) fn values(read: &Read, split: &str) -> Vec<String> {
    let messages = read.get(split).map(Vec::as_slice).unwrap_or_default();
    messages.iter().map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
}

/// An error of this kind whose message names these things.
pub(crate) fn assert_names(error: &millstream_record::Error, kind: ErrorKind, names: &[&str]) {
    assert_eq!(error.kind(), kind, "{}", error.chain());
    for name in names {
        assert!(error.chain().contains(name), "{name:?} is not in: {}", error.chain());
    }
}

/// Lets an administrator do something on the shared broker.
pub(crate) fn administer(task: impl AsyncFnOnce(AdminClient<DefaultClientContext>)) {
    let admin = config(brokers()).create().unwrap();
    TokioWorld::new().unwrap().handle().block_on(task(admin));
}

/// Deletes a topic of the shared broker.
pub(crate) fn delete_topic(topic: &str) {
    administer(async |admin| {
        admin.delete_topics(&[topic], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    });
}

/// Waits until no transaction is open in a topic: a commit is acknowledged a moment before readers see it.
pub(crate) fn await_transactions(brokers: &str, topic: &str, partitions: i32) {
    let ends = |isolation| {
        let client: BaseConsumer = config(brokers).set("isolation.level", isolation).create().unwrap();
        // A new partition may have no leader yet.
        let end =
            |number| client.fetch_watermarks(topic, number, Duration::from_secs(10)).ok().map(|ends| ends.1);
        (0..partitions).map(end).collect::<Option<Vec<_>>>()
    };
    let closed = || ends("read_uncommitted").is_some_and(|all| Some(all) == ends("read_committed"));
    assert!(wait::until(Duration::from_secs(30), closed), "a transaction stays open in {topic}");
}

/// Gives a topic more partitions.
pub(crate) fn grow(topic: &str, partitions: usize) {
    administer(async |admin| {
        let more = [NewPartitions::new(topic, partitions)];
        admin.create_partitions(&more, &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    });
}

/// Does what retention does.
pub(crate) fn delete_before(topic: &str, offset: i64) {
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap();
    administer(async |admin| {
        admin.delete_records(&offsets, &AdminOptions::new()).await.unwrap();
    });
}

/// Every message is a text without a time.
pub(crate) struct Text;

impl Decoder<String> for Text {
    fn decode(&mut self, batch: &RawBatch, _: Time, rows: &mut Rows<String>, _: &mut Refused<'_>) {
        batch
            .iter()
            .for_each(|message| rows.push(String::from_utf8_lossy(message.bytes).into_owned(), MIN_TIME));
    }
    fn fresh(&self) -> Box<dyn Decoder<String>> {
        Box::new(Self)
    }
}

/// What is logged on this thread while a task runs.
pub(crate) fn logged(task: impl FnOnce()) -> String {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&lines);
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || Lines(Arc::clone(&writer)))
        .finish();
    tracing::subscriber::with_default(subscriber, task);
    String::from_utf8_lossy(&lines.lock()).into_owned()
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The log has a line with all these texts.
pub(crate) fn assert_says(log: &str, texts: &[&str]) {
    assert!(log.lines().any(|line| texts.iter().all(|text| line.contains(text))), "{texts:?} not in: {log}");
}
