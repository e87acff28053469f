//! Where a source starts and ends.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use millstream_kafka::{Bounded, KafkaSource, KafkaSourceOptions, Start, Topics};
use millstream_record::ErrorKind;
use millstream_sim::{DrivenReader, Harness, Reading};
use millstream_stage::source::{EnumeratorEvent, Source as _};
use millstream_testkit::{Kafka, wait};
use rdkafka::producer::{BaseRecord, Producer as _};

use crate::common::{
    Read, assert_names, brokers, delete_before, enumerator_context, fill, grow, note, options, producer,
    read_all, read_splits, reader, send, splits, start, text, texts, topic, values, world,
};

#[test]
fn the_end_stays_where_it_was_while_a_producer_goes_on() {
    let name = topic("flood", 2);
    fill(brokers(), &name, 2, 0, 3_000);
    let source = KafkaSource::new(options(brokers(), &name));
    let splits = splits(&source);
    let done = AtomicBool::new(false);
    let read = std::thread::scope(|scope| {
        scope.spawn(|| {
            let producer = producer(brokers());
            for number in 3_000.. {
                if done.load(Relaxed) {
                    break;
                }
                send(&producer, &name, 0, text(0, number).as_bytes());
                send(&producer, &name, 1, text(1, number).as_bytes());
                producer.poll(Duration::from_millis(1));
            }
        });
        let read = read_splits(&source, splits);
        done.store(true, Relaxed);
        read
    });
    for partition in 0..2 {
        assert_eq!(values(&read, &format!("{name}-{partition}")), texts(partition, 0, 3_000));
    }
}

#[test]
fn a_start_at_latest_gives_only_what_comes_after() {
    let name = topic("latest", 1);
    fill(brokers(), &name, 1, 0, 50);
    let mut settings = options(brokers(), &name);
    (settings.start, settings.bounded) = (Start::Latest, None);
    let source = KafkaSource::new(settings);
    let splits = splits(&source);
    // Written between the enumerator's answer and the first fetch, and still after the start.
    fill(brokers(), &name, 1, 50, 60);
    let mut reader = reader(&source, splits);
    let mut read = Read::new();
    while values(&read, &format!("{name}-0")).len() < 10 {
        note(&mut read, reader.next(100).unwrap());
    }
    reader.close();
    assert_eq!(values(&read, &format!("{name}-0")), texts(0, 50, 60));
}

// One message per second of time, of two partitions the second only has the first five.
fn timed_topic() -> String {
    let name = topic("timed", 2);
    let producer = producer(brokers());
    for (partition, count) in [(0, 10), (1, 5)] {
        for number in 0..count {
            let value = text(partition, number);
            let record = BaseRecord::<(), str>::to(&name).partition(partition).payload(&value);
            producer.send(record.timestamp(1_000 * (number as i64 + 1))).map_err(|(error, _)| error).unwrap();
        }
    }
    producer.flush(Duration::from_secs(30)).unwrap();
    name
}

#[test]
fn times_choose_the_first_message_that_is_not_older() {
    let name = timed_topic();
    let between = |start, bounded| {
        let source = KafkaSource::new(KafkaSourceOptions {
            start,
            bounded: Some(bounded),
            ..options(brokers(), &name)
        });
        let read = read_all(&source);
        [0, 1].map(|partition| values(&read, &format!("{name}-{partition}")))
    };
    // 3,500 is between the third and the fourth.
    assert_eq!(between(Start::Timestamp(3_500), Bounded::Latest), [texts(0, 3, 10), texts(1, 3, 5)]);
    assert_eq!(between(Start::Timestamp(8_000), Bounded::Latest), [texts(0, 7, 10), texts(1, 5, 5)]);
    assert_eq!(between(Start::Earliest, Bounded::Timestamp(8_000)), [texts(0, 0, 7), texts(1, 0, 5)]);
    assert_eq!(between(Start::Timestamp(2_000), Bounded::Timestamp(4_000)), [texts(0, 1, 3), texts(1, 1, 3)]);
    assert_eq!(between(Start::Timestamp(4_000), Bounded::Timestamp(2_000)), [texts(0, 0, 0), texts(1, 0, 0)]);
}

#[test]
fn tombstones_are_passed_over_and_an_empty_message_is_one() {
    let name = topic("compacted", 1);
    let producer = producer(brokers());
    let value = |value: Option<&'static [u8]>| {
        let record = BaseRecord::<str, [u8]>::to(&name).partition(0).key("k");
        let record = value.map_or(record, |value| BaseRecord::to(&name).partition(0).key("k").payload(value));
        producer.send(record).map_err(|(error, _)| error).unwrap();
    };
    [Some(b"one".as_slice()), None, None, Some(b""), None].into_iter().for_each(value);
    producer.flush(Duration::from_secs(30)).unwrap();
    let source = KafkaSource::new(options(brokers(), &name));
    let harness = Harness::new(world());
    let metrics = harness.metrics().operator("source");
    let mut reader = DrivenReader::open(&source, harness).unwrap();
    reader.add_splits(splits(&source)).unwrap();
    let (mut read, mut last) = (Read::new(), Vec::new());
    while !note(&mut read, reader.next(100).unwrap()) {
        last = reader.snapshot(1).unwrap();
    }
    assert_eq!(read[&format!("{name}-0")], [(0, b"one".to_vec()), (3, Vec::new())]);
    assert!(metrics.counters().contains(&("tombstones", 3)));
    // Whoever goes on from there has nothing left to read.
    let mut again = self::reader(&source, last);
    assert!(matches!(again.next(100).unwrap(), Reading::Finished(_)));
    reader.close();
    again.close();
}

#[test]
fn the_time_of_a_message_comes_with_it() {
    let name = timed_topic();
    let source = KafkaSource::new(options(brokers(), &name));
    let mut reader = reader(&source, splits(&source));
    let Reading::Rows(_, rows) = reader.next(4096).unwrap() else { panic!("rows come first") };
    let batch = &rows.rec[0];
    let times: Vec<_> = batch.iter().map(|message| message.time).collect();
    let expected: Vec<_> = batch.iter().map(|message| 1_000 * (message.position + 1)).collect();
    assert_eq!(times, expected);
    reader.close();
}

#[test]
fn several_topics_are_one_source() {
    let names = [topic("first", 2), topic("second", 1)];
    fill(brokers(), &names[0], 2, 0, 20);
    fill(brokers(), &names[1], 1, 0, 20);
    let source =
        KafkaSource::new(KafkaSourceOptions { topic: Topics(names.to_vec()), ..options(brokers(), "") });
    let read = read_all(&source);
    for (split, partition) in
        [(format!("{}-0", names[0]), 0), (format!("{}-1", names[0]), 1), (format!("{}-0", names[1]), 0)]
    {
        assert_eq!(values(&read, &split), texts(partition, 0, 20));
    }
}

#[test]
fn a_position_that_is_not_there_is_an_error_that_says_so() {
    let name = topic("short", 1);
    fill(brokers(), &name, 1, 0, 20);
    let source = KafkaSource::new(options(brokers(), &name));
    let mut first = reader(&source, splits(&source));
    while first.snapshot(1).unwrap() == splits(&source) {
        first.next(7).unwrap();
    }
    let left = first.snapshot(1).unwrap();
    first.close();
    // What retention does while the job is down.
    delete_before(&name, 15);
    let mut second = reader(&source, left);
    let error = second.next(10).unwrap_err();
    second.close();
    assert_names(&error, ErrorKind::Data, &[&format!("{name}-0"), "offset 7", "15 up to 20", "retention"]);
    // Without the state it goes on from what is there.
    assert_eq!(values(&read_all(&source), &format!("{name}-0")), texts(0, 15, 20));
}

#[test]
fn a_message_of_five_megabytes_is_read_whole() {
    let name = millstream_testkit::unique_name("large");
    Kafka::shared().unwrap().create_topic_with(&name, 1, &[("max.message.bytes", "10000000")]).unwrap();
    let large: Vec<u8> =
        (0..5_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let producer = producer(brokers());
    for value in [b"before", large.as_slice(), b"after", &large, &large] {
        send(&producer, &name, 0, value);
    }
    producer.flush(Duration::from_secs(30)).unwrap();
    let read = read_all(&KafkaSource::new(options(brokers(), &name)));
    let values: Vec<_> = read[&format!("{name}-0")].iter().map(|(_, value)| value.as_slice()).collect();
    assert!(values == [b"before".as_slice(), &large, b"after", &large, &large]);
}

#[test]
fn new_partitions_of_an_unbounded_source_are_found_once_and_read_from_their_beginning() {
    let name = topic("growing", 1);
    let mut settings = options(brokers(), &name);
    (settings.start, settings.bounded) = (Start::Latest, None);
    let source = KafkaSource::new(settings);
    let mut enumerator = source.enumerator();
    let context = enumerator_context(2);
    let first = enumerator.on(&context, EnumeratorEvent::Start { restored: None }).unwrap();
    assert!(first.iter().all(|assignment| !assignment.last));
    assert_eq!(enumerator.on(&context, EnumeratorEvent::Tick).unwrap(), []);
    grow(&name, 3);
    fill(brokers(), &name, 3, 0, 5);
    // What is asked at one tick is answered at another.
    let mut found = Vec::new();
    let mut look = || {
        found = enumerator.on(&context, EnumeratorEvent::Tick).unwrap();
        !found.is_empty()
    };
    assert!(wait::until(Duration::from_secs(30), &mut look), "new partitions are not found");
    assert_eq!(found.len(), 2, "every reader hears of it");
    let found: Vec<_> = found.into_iter().flat_map(|assignment| assignment.splits).collect();
    assert!(!wait::until(Duration::from_secs(3), || {
        !enumerator.on(&context, EnumeratorEvent::Tick).unwrap().is_empty()
    }));
    let mut reader = reader(&source, found);
    let mut read = Read::new();
    while read.values().map(Vec::len).sum::<usize>() < 10 {
        note(&mut read, reader.next(100).unwrap());
    }
    reader.close();
    assert_eq!(read.keys().collect::<Vec<_>>(), [&format!("{name}-1"), &format!("{name}-2")]);
    assert_eq!(values(&read, &format!("{name}-2")), texts(2, 0, 5));
}

#[test]
fn a_bounded_source_says_that_nothing_follows() {
    let name = topic("bounded", 1);
    let assignments = start(&KafkaSource::new(options(brokers(), &name)), 3).unwrap();
    assert_eq!(assignments.len(), 3);
    assert!(assignments.iter().all(|assignment| assignment.last));
}
