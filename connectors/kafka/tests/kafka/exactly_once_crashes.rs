//! The exactly-once sink while brokers die.

use std::time::Duration;

use millstream_record::ErrorKind;
use millstream_stage::snapshot::StageSnapshot;
use millstream_testkit::{Kafka, unique_name};

use crate::common::{assert_names, texts};
use crate::exactly_once::{Job, freeze, marker, nothing};

/// Some 60 MB, of which a part is on the broker when it dies.
const MESSAGES: usize = 60_000;

fn large(from: usize, to: usize) -> Vec<String> {
    texts(0, from, to).into_iter().map(|text| format!("{text:1000}")).collect()
}

// A broker of its own, and a job on it.
fn own_broker() -> (Kafka, Job) {
    let kafka = Kafka::start().unwrap();
    let name = unique_name("crash");
    kafka.create_topics(&[(&name, 1)]).unwrap();
    let job = Job::on(kafka.bootstrap(), name);
    // Bytes on the wire, and a client that sends them in many requests.
    let client = [("batch.size", "100000")].into_iter().collect();
    (
        kafka,
        job.with(|options| {
            (options.compression, options.client) = (millstream_kafka::Compression::None, client);
            // A broker takes a while to come back on a busy machine.
            options.connect_timeout = Duration::from_secs(120);
        }),
    )
}

// Until a part of the transaction is there.
fn await_some(job: &Job) {
    let some = || job.end() > 1_000;
    assert!(millstream_testkit::wait::until(Duration::from_secs(60), some), "nothing is being written");
}

#[test]
fn a_broker_that_dies_in_mid_transaction_loses_and_doubles_nothing() {
    let (mut kafka, job) = own_broker();
    let mut writer = job.one(1, &nothing());
    writer.write(large(0, MESSAGES)).unwrap();
    let snapshot = freeze(std::slice::from_mut(&mut writer), 1);
    writer.completed(1).unwrap();
    await_some(&job);
    kafka.kill9().unwrap();
    // It goes on taking rows, and barriers pass.
    writer.write(large(MESSAGES, MESSAGES + 10)).unwrap();
    freeze(std::slice::from_mut(&mut writer), 2);
    kafka.restart().unwrap();
    writer.flush().unwrap();
    assert!(job.visible() == large(0, MESSAGES));
    writer.completed(2).unwrap();
    writer.flush().unwrap();
    writer.close();
    assert!(job.visible() == large(0, MESSAGES + 10));
    // And what was written stays written for an attempt that does not know.
    let mut again = job.one(2, &snapshot);
    again.flush().unwrap();
    again.close();
    assert!(job.visible() == large(0, MESSAGES + 10));
}

#[test]
fn broker_and_job_that_die_in_mid_transaction_lose_and_double_nothing() {
    let (mut kafka, job) = own_broker();
    let mut writer = job.one(1, &nothing());
    writer.write(large(0, MESSAGES)).unwrap();
    let snapshot = freeze(std::slice::from_mut(&mut writer), 1);
    writer.completed(1).unwrap();
    await_some(&job);
    kafka.kill9().unwrap();
    let mut again = job.one(2, &snapshot);
    kafka.restart().unwrap();
    again.flush().unwrap();
    again.close();
    // The first attempt's writer is still at it.
    let error = writer.flush().unwrap_err();
    assert_names(&error, ErrorKind::Fenced, &["attempt 2"]);
    writer.close();
    assert!(job.visible() == large(0, MESSAGES));
}

#[test]
fn a_broker_that_stays_away_sends_the_job_back_and_a_restart_writes_once() {
    let (mut kafka, job) = own_broker();
    let impatient = job.with(|options| options.delivery_timeout = Duration::from_secs(3));
    let mut writer = impatient.one(1, &nothing());
    writer.write(texts(0, 0, 10)).unwrap();
    let snapshot: StageSnapshot = freeze(std::slice::from_mut(&mut writer), 1);
    // Its own transaction must be settled: Kafka 4.3 may for ever leave one unsettled that a crash has cut
    // off.
    assert_eq!(marker(&job).1, "millstream 1 attempt 1");
    kafka.kill9().unwrap();
    let error = writer.completed(1).and_then(|()| writer.flush()).unwrap_err();
    assert_names(&error, ErrorKind::Restart, &["delivery-timeout", &job.options.topic]);
    writer.close();
    kafka.restart().unwrap();
    let mut again = job.one(2, &snapshot);
    if let Err(error) = again.flush() {
        panic!("{}\n{}", error.chain(), kafka.server().unwrap().log_tail());
    }
    again.close();
    assert_eq!(job.visible(), texts(0, 0, 10));
}
