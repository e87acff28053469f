//! A cluster that pushes back: as a whole, document by document, and because something is too large.

use std::sync::OnceLock;
use std::time::Duration;

use millstream_elasticsearch::ElasticsearchOptions;
use millstream_testkit::Elasticsearch;
use serde_json::json;

use crate::cluster::{Cluster, Row, counted, index, options, rows, values, writer};

// Refuses requests above 3 MB with 413, and with 429 what it would have to hold above 1 MB.
fn small() -> &'static Elasticsearch {
    static SERVER: OnceLock<Elasticsearch> = OnceLock::new();
    SERVER.get_or_init(|| {
        let builder = Elasticsearch::builder().setting("indexing_pressure.memory.limit: 1mb");
        builder.setting("http.max_content_length: 3mb").start().unwrap()
    })
}

fn quick(server: &Elasticsearch) -> ElasticsearchOptions {
    ElasticsearchOptions { backoff_max_delay: Duration::from_secs(1), ..options(server.url()) }
}

#[test]
fn requests_that_are_refused_as_a_whole_are_repeated_smaller() {
    let index = index();
    let mut writer = writer(quick(small()), &index);
    let all: Vec<_> = (0..60).map(|key| Row::of_size(key, key * 10, 40_000)).collect();
    writer.write(all).unwrap();
    writer.flush().unwrap();
    assert_eq!(Cluster::of(small()).visible(&index), values(0..60));
    assert!(counted(&writer, "rejected429") > 0, "it was never refused");
    assert_eq!(counted(&writer, "deadLetters"), 0);
}

#[test]
fn a_request_that_is_too_large_is_halved_and_a_document_that_is_goes_to_the_dead_letter() {
    let index = index();
    let options = ElasticsearchOptions { max_bytes: 16 << 20, ..quick(small()) };
    let mut writer = writer(options, &index);
    let mut all: Vec<_> = (0..100).map(|key| Row::of_size(key, key * 10, 60_000)).collect();
    all.insert(50, Row::of_size(1_000, 0, 4_000_000));
    writer.write(all).unwrap();
    writer.flush().unwrap();
    assert_eq!(Cluster::of(small()).visible(&index), values(0..100));
    let [letter] = writer.dead_letters() else { panic!("{} dead letters", writer.dead_letters().len()) };
    assert!(letter.reason.contains("\"1000\"") && letter.reason.contains("413"), "{}", letter.reason);
    assert!(letter.raw.len() > 4_000_000);
}

#[test]
fn documents_that_are_refused_one_by_one_wait_while_others_go_on() {
    let server = Elasticsearch::shared().unwrap();
    let cluster = Cluster::of(server);
    for (setting, busy) in [("index.blocks.read_only_allow_delete", true), ("index.blocks.write", false)] {
        let index = index();
        let mut writer = writer(quick(server), &index);
        writer.write(rows(0..10)).unwrap();
        writer.flush().unwrap();
        cluster.set(&index, &json!({ setting: true }));
        writer.write(rows(10..20)).unwrap();
        while counted(&writer, "retries") < 30 {
            assert!(!writer.try_flush().unwrap().is_complete(), "a flush that waits");
            writer.turn().unwrap();
        }
        assert_eq!(counted(&writer, "rejected429") > 0, busy, "{setting}");
        assert_eq!(cluster.visible(&index), values(0..10));
        // A newer one takes the place of what waits.
        writer.write(vec![Row::new(15, 7)]).unwrap();
        cluster.set(&index, &json!({ setting: null }));
        writer.flush().unwrap();
        let mut expected = values(0..20);
        expected[15].1 = 7;
        assert_eq!(cluster.visible(&index), expected, "{setting}");
        assert_eq!((counted(&writer, "deadLetters"), counted(&writer, "conflicts")), (0, 0));
    }
}

#[test]
fn a_document_against_the_mapping_goes_to_the_dead_letter_and_the_rest_is_written() {
    let server = Elasticsearch::shared().unwrap();
    let index = index();
    let mut writer = writer(options(server.url()), &index);
    let mut all = rows(0..100);
    all.insert(40, Row::refused());
    writer.write(all).unwrap();
    writer.flush().unwrap();
    assert_eq!(Cluster::of(server).visible(&index), values(0..100));
    let [letter] = writer.dead_letters() else { panic!("{} dead letters", writer.dead_letters().len()) };
    for part in ["\"4000000000\"", index.as_str(), "400", "failed to parse field [value]", "no number"] {
        assert!(letter.reason.contains(part), "{}", letter.reason);
    }
    assert_eq!(letter.raw, br#"{"key":4000000000,"value":"no number"}"#);
    assert_eq!((letter.stage.as_str(), letter.source.as_str()), ("elasticsearch", "sink"));
}
