//! The sink on good and bad days.

use std::collections::BTreeSet;
use std::time::Duration;

use millstream_kafka::{Compression, KafkaSink, KafkaSinkOptions, KafkaSource, Message};
use millstream_record::ErrorKind;
use millstream_sim::{DrivenWriter, Harness, Reading};
use millstream_stage::raw::RawBatch;
use millstream_stage::time::MIN_TIME;
use millstream_testkit::{Kafka, unique_name, wait};

use crate::common::{
    PATIENCE, assert_names, assert_says, brokers, logged, options, read_all, reader, splits, text, texts,
    topic, values, world,
};

type Writer = DrivenWriter<String>;

fn sink_options(brokers: &str, topic: &str) -> KafkaSinkOptions {
    KafkaSinkOptions { brokers: brokers.to_owned(), topic: topic.to_owned(), ..KafkaSinkOptions::default() }
}

fn to_first_partition(value: &String, _: i64, message: &mut Message) {
    message.to_partition(0);
    message.value().extend_from_slice(value.as_bytes());
}

fn open(options: KafkaSinkOptions, mapping: fn(&String, i64, &mut Message)) -> Writer {
    DrivenWriter::open(&KafkaSink::new(options, mapping), Harness::new(world())).unwrap()
}

fn written(brokers: &str, topic: &str, partition: i32) -> Vec<String> {
    values(&read_all(&KafkaSource::new(options(brokers, topic))), &format!("{topic}-{partition}"))
}

// All time stamps in a topic.
fn times(brokers: &str, topic: &str) -> BTreeSet<i64> {
    let source = KafkaSource::new(options(brokers, topic));
    let mut reader = reader(&source, splits(&source));
    let mut times = BTreeSet::new();
    loop {
        match reader.next(100).unwrap() {
            Reading::Rows(_, rows) => {
                times.extend(rows.rec.iter().flat_map(RawBatch::iter).map(|message| message.time));
            }
            Reading::Finished(_) => return times,
            Reading::Pending => {}
        }
    }
}

// What a job sees whose sink cannot start.
fn start_error(options: KafkaSinkOptions) -> millstream_record::Error {
    let mut writer = open(options, to_first_partition);
    let error = writer.write(vec![text(0, 0)]).and_then(|()| writer.flush()).expect_err("this cannot start");
    writer.close();
    error
}

#[test]
fn an_unknown_topic_is_named() {
    let name = unique_name("nowhere");
    let error = start_error(sink_options(brokers(), &name));
    assert_names(&error, ErrorKind::Configuration, &[&name, brokers()]);
}

// Also for longer than a message may take.
#[test]
fn brokers_that_come_later_are_waited_for() {
    let mut kafka = Kafka::start().unwrap();
    let (name, address) = (unique_name("later"), kafka.bootstrap().to_owned());
    kafka.create_topics(&[(&name, 1)]).unwrap();
    kafka.stop().unwrap();
    let second = Duration::from_secs(1);
    let options = KafkaSinkOptions {
        connect_timeout: second,
        // Long enough for a broker that starts on a busy machine to choose its leaders.
        delivery_timeout: 5 * second,
        ..sink_options(&address, &name)
    };
    let mut writer = open(options, to_first_partition);
    writer.write(vec![text(0, 0)]).unwrap();
    let mut log = String::new();
    let mut reported = || {
        log += &logged(|| writer.resume().unwrap());
        log.contains("it is tried again")
    };
    assert!(wait::until(PATIENCE, &mut reported), "it does not say what it waits for");
    // The time of its message is up again and again.
    assert!(!wait::until(12 * second, || writer.resume().is_err()), "it does not go on waiting");
    assert_says(&log, &["Kafka at ", &address, "within 1 s", "Connection refused"]);
    kafka.restart().unwrap();
    writer.write(vec![text(0, 1)]).unwrap();
    writer.flush().unwrap();
    writer.close();
    assert_eq!(written(&address, &name, 0), texts(0, 0, 2));
}

#[test]
fn what_is_too_large_for_the_topic_is_written_shorter() {
    let name = topic("shorter", 1);
    // Compression does not help against it.
    let noise = |length: u32| -> String {
        (0..length).map(|n| char::from(33 + (n.wrapping_mul(2_654_435_761) >> 25) as u8 % 90)).collect()
    };
    let sink = KafkaSink::new(
        KafkaSinkOptions { compression: Compression::None, ..sink_options(brokers(), &name) },
        to_first_partition,
    );
    let half =
        |value: &[u8]| value.get(..value.len() / 2).filter(|_| value.len() > 1_000).map(<[u8]>::to_vec);
    let mut writer = DrivenWriter::open(&sink.with_shorter(half), Harness::new(world())).unwrap();
    let (large, huge) = (noise(1_500_000), noise(70_000_000));
    writer.write(vec!["before".to_owned(), large.clone(), "after".to_owned()]).unwrap();
    writer.write(vec![huge.clone()]).unwrap();
    writer.flush().unwrap();
    assert!(writer.dead_letters().is_empty());
    writer.close();
    let mut written = written(brokers(), &name, 0);
    written.sort_by_key(String::len);
    let expected = [
        "after".to_owned(),
        "before".to_owned(),
        huge[..70_000_000 / 128].to_owned(),
        large[..750_000].to_owned(),
    ];
    assert!(written == expected, "{:?}", written.iter().map(String::len).collect::<Vec<_>>());
}

#[test]
fn a_wrong_password_is_said_at_once() {
    let kafka = Kafka::builder().sasl("alice", "right-password").start().unwrap();
    let client = [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "alice"),
        ("sasl.password", "wrong-password"),
    ];
    let client = client.into_iter().collect();
    let address = kafka.sasl_bootstrap().unwrap();
    let timeout = Duration::from_secs(50);
    let error =
        start_error(KafkaSinkOptions { client, connect_timeout: timeout, ..sink_options(address, "counts") });
    assert_names(&error, ErrorKind::Configuration, &[address, "sasl.password"]);
    assert!(!error.chain().contains("wrong-password"), "{}", error.chain());
}

#[test]
fn a_broker_that_restarts_loses_and_doubles_nothing_and_the_buffer_is_bounded() {
    let mut kafka = Kafka::start().unwrap();
    let (name, address) = (unique_name("restart"), kafka.bootstrap().to_owned());
    kafka.create_topics(&[(&name, 1)]).unwrap();
    let options = KafkaSinkOptions { buffer_size: 100_000, ..sink_options(&address, &name) };
    let mut writer = open(options, to_first_partition);
    writer.write(texts(0, 0, 1_000)).unwrap();
    writer.flush().unwrap();
    writer.write(texts(0, 1_000, 1_100)).unwrap();
    kafka.kill9().unwrap();
    let mut next = 1_100;
    while writer.pace().takes_data() {
        assert!(next < 3_000, "it takes more and more although nothing leaves it");
        writer.write(texts(0, next, next + 100)).unwrap();
        next += 100;
    }
    kafka.restart().unwrap();
    writer.write(texts(0, next, next + 100)).unwrap();
    writer.flush().unwrap();
    assert_eq!(writer.dead_letters(), []);
    writer.close();
    assert!(written(&address, &name, 0) == texts(0, 0, next + 100));
}

#[test]
fn a_message_that_no_broker_acknowledges_in_time_sends_the_job_back() {
    let mut kafka = Kafka::start().unwrap();
    let (name, address) = (unique_name("away"), kafka.bootstrap().to_owned());
    kafka.create_topics(&[(&name, 1)]).unwrap();
    let options =
        KafkaSinkOptions { delivery_timeout: Duration::from_secs(3), ..sink_options(&address, &name) };
    let mut writer = open(options, to_first_partition);
    writer.write(texts(0, 0, 10)).unwrap();
    writer.flush().unwrap();
    kafka.kill9().unwrap();
    let error = writer.write(texts(0, 10, 20)).and_then(|()| writer.flush()).unwrap_err();
    assert_names(&error, ErrorKind::Restart, &[&name, "delivery-timeout"]);
    writer.close();
}

#[test]
fn a_message_too_large_for_the_topic_is_a_dead_letter() {
    let name = unique_name("small");
    Kafka::shared().unwrap().create_topic_with(&name, 1, &[("max.message.bytes", "2000000")]).unwrap();
    // Bytes that no compression makes fit.
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b' ' + ((state >> 33) % 90) as u8)
    };
    let large: String = (0..3_000_000).map(|_| noise()).collect();
    let mut writer = open(sink_options(brokers(), &name), to_first_partition);
    writer.write(vec![text(0, 0), large.clone(), text(0, 1)]).unwrap();
    writer.flush().unwrap();
    writer.write(vec![text(0, 2)]).unwrap();
    writer.flush().unwrap();
    let [letter] = writer.dead_letters() else { panic!("{} dead letters", writer.dead_letters().len()) };
    assert!(letter.raw == large.as_bytes());
    assert_eq!(letter.stage, "kafka");
    assert!(letter.reason.contains(&name), "{}", letter.reason);
    writer.close();
    let mut seen = written(brokers(), &name, 0);
    seen.sort_unstable();
    assert_eq!(seen, texts(0, 0, 3));
}

// The broker refuses the whole batch, and names no culprit.
#[test]
fn messages_refused_in_company_are_written_alone() {
    let name = unique_name("tiny");
    Kafka::shared().unwrap().create_topic_with(&name, 1, &[("max.message.bytes", "1000")]).unwrap();
    let client = [("linger.ms", "200")].into_iter().collect();
    let options = KafkaSinkOptions {
        compression: millstream_kafka::Compression::None,
        client,
        ..sink_options(brokers(), &name)
    };
    let mut writer = open(options, to_first_partition);
    let mut values = texts(0, 0, 60);
    values.push("x".repeat(3_000));
    writer.write(values).unwrap();
    writer.flush().unwrap();
    assert_eq!(writer.dead_letters().len(), 1);
    assert_eq!(writer.dead_letters()[0].raw, [b'x'; 3_000]);
    writer.close();
    let mut seen = written(brokers(), &name, 0);
    let mut expected = texts(0, 0, 60);
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

#[test]
fn a_time_stamp_that_the_topic_refuses_is_a_dead_letter_alone() {
    let name = unique_name("times");
    let settings = [("message.timestamp.after.max.ms", "3600000")];
    Kafka::shared().unwrap().create_topic_with(&name, 1, &settings).unwrap();
    let in_2077 = |value: &String, time: i64, message: &mut Message| {
        to_first_partition(value, time, message);
        message.at(if value.contains("message 7 ") { 3_376_684_800_000 } else { 1_511_658_000_000 });
    };
    let mut writer = open(sink_options(brokers(), &name), in_2077);
    for start in [0, 20, 40] {
        writer.write(texts(0, start, start + 20)).unwrap();
        writer.flush().unwrap();
    }
    let letters: Vec<_> = writer.dead_letters().iter().map(|letter| letter.raw.clone()).collect();
    assert_eq!(letters, [text(0, 7).into_bytes()]);
    writer.close();
    assert_eq!(times(brokers(), &name), [1_511_658_000_000].into());
    let mut seen = written(brokers(), &name, 0);
    let mut expected = texts(0, 0, 60);
    expected.remove(7);
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

// Hashes from UtilsTest of Kafka's clients: "foobar" -790332482, "21" -973932308, modulo 4 without the sign
// bit.
#[test]
fn keys_go_where_java_producers_send_them() {
    let name = topic("keys", 4);
    let by_key = |value: &String, _: i64, message: &mut Message| {
        message.key().extend_from_slice(value.as_bytes());
        message.value().extend_from_slice(value.as_bytes());
    };
    let mut writer = open(sink_options(brokers(), &name), by_key);
    writer.write(vec!["foobar".to_owned(), "21".to_owned()]).unwrap();
    writer.flush().unwrap();
    writer.close();
    assert_eq!(written(brokers(), &name, 2), ["foobar"]);
    assert_eq!(written(brokers(), &name, 0), ["21"]);
}

#[test]
fn the_mapping_is_told_the_event_time() {
    let name = topic("event_time", 1);
    let stamped = |value: &String, time: i64, message: &mut Message| {
        message.value().extend_from_slice(format!("{value} {time}").as_bytes());
    };
    let mut writer = open(sink_options(brokers(), &name), stamped);
    writer
        .write(
            [("a".to_owned(), 77), ("b".to_owned(), MIN_TIME)]
                .into_iter()
                .collect::<millstream_stage::Rows<_>>(),
        )
        .unwrap();
    writer.flush().unwrap();
    writer.close();
    assert_eq!(written(brokers(), &name, 0), ["a 77".to_owned(), format!("b {MIN_TIME}")]);
}
