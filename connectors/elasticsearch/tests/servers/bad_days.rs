//! A cluster that goes away, and one that is not there at all.

use std::time::Duration;

use millstream_elasticsearch::ElasticsearchOptions;
use millstream_record::ErrorKind;
use millstream_testkit::Elasticsearch;
use millstream_testkit::port::Port;

use crate::cluster::{Cluster, Row, counted, index, options, rows, values, writer};

// Killed without a chance to say goodbye, in the middle of many small requests, and away while data goes on
// coming.
#[test]
fn an_outage_in_mid_run_loses_nothing_and_doubles_nothing() {
    let mut server = Elasticsearch::start().unwrap();
    let index = index();
    let options = ElasticsearchOptions {
        max_actions: 20,
        request_timeout: Duration::from_secs(5),
        backoff_max_delay: Duration::from_secs(1),
        ..options(server.url())
    };
    let mut writer = writer(options, &index);
    let write = |writer: &mut millstream_sim::DrivenWriter<Row>, keys: std::ops::Range<u64>| {
        rows(keys).chunks(50).for_each(|part| {
            writer.write(part.to_vec()).unwrap();
            writer.resume().unwrap();
        });
    };
    write(&mut writer, 0..2000);
    while writer.harness().metrics().operator("sink").bytes_out.get() == 0 {
        writer.turn().unwrap();
    }
    server.kill9().unwrap();
    write(&mut writer, 2000..4000);
    // Long enough for several attempts while nobody listens.
    while counted(&writer, "retries") < 200 {
        writer.turn().unwrap();
    }
    server.restart().unwrap();
    write(&mut writer, 4000..6000);
    writer.flush().unwrap();
    assert_eq!(Cluster::of(&server).visible(&index), values(0..6000));
    assert_eq!((counted(&writer, "deadLetters"), writer.dead_letters().len()), (0, 0));
}

#[test]
fn a_dead_host_among_several_is_passed_over() {
    let server = Elasticsearch::shared().unwrap();
    let port = Port::reserve().unwrap();
    let nobody = format!("http://127.0.0.1:{}", port.number());
    let hosts = vec![nobody.clone(), server.url().to_owned(), nobody];
    let index = index();
    let mut writer = writer(ElasticsearchOptions { hosts, max_actions: 10, ..options("") }, &index);
    for part in rows(0..500).chunks(25) {
        writer.write(part.to_vec()).unwrap();
    }
    writer.flush().unwrap();
    assert_eq!(Cluster::of(server).visible(&index), values(0..500));
    assert_eq!(counted(&writer, "retries"), 0);
}

#[test]
fn a_cluster_that_is_not_there_is_a_clear_error_in_bounded_time() {
    let port = Port::reserve().unwrap();
    let nobody = format!("http://127.0.0.1:{}", port.number());
    let options = ElasticsearchOptions { start_timeout: Duration::from_secs(1), ..options(&nobody) };
    let mut writer = writer(options, &index());
    writer.write(rows(0..3)).unwrap();
    let error = writer.flush().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Restart);
    for part in ["start.timeout", nobody.as_str(), "onnection refused"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn something_else_at_the_address_is_waited_for_and_then_a_clear_error() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    std::thread::Builder::new().spawn(move || server.incoming().flatten().for_each(greet)).unwrap();
    let options = ElasticsearchOptions { start_timeout: Duration::from_secs(1), ..options(&url) };
    let mut writer = writer(options, &index());
    writer.write(rows(0..3)).unwrap();
    let error = writer.flush().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Restart);
    assert!(error.to_string().contains("no Elasticsearch") && error.to_string().contains("hello"), "{error}");
}

// A page of something that is no Elasticsearch. A client that has gone away is none of its business.
fn greet(mut client: std::net::TcpStream) {
    let page = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
    let read = std::io::Read::read(&mut client, &mut [0; 4096]);
    let _ = read.and_then(|_| std::io::Write::write_all(&mut client, page.as_bytes()));
}

#[test]
fn what_is_repeated_for_too_long_restarts_the_job_if_so_configured() {
    let server = Elasticsearch::shared().unwrap();
    let (cluster, index) = (Cluster::of(server), index());
    let options =
        ElasticsearchOptions { backoff_max_time: Some(Duration::from_millis(500)), ..options(server.url()) };
    let mut writer = writer(options, &index);
    writer.write(rows(0..1)).unwrap();
    writer.flush().unwrap();
    cluster.set(&index, &serde_json::json!({ "index.blocks.write": true }));
    writer.write(rows(1..2)).unwrap();
    let error = writer.flush().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Restart);
    assert!(error.to_string().contains("backoff.max-time") && error.to_string().contains("\"1\""), "{error}");
}
