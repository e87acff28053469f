//! The JSON schema says of a configuration what the program says of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail as the test does")]

mod common;

use std::path::Path;

use clickstream::app::Shop;
use clickstream::options::Options;
use common::schema::{mistakes, mistakes_in};
use millstream::cli::reference::reference;
use millstream::cli::{config_schema, parse};
use millstream::options::{parse_duration, parse_size};
use serde_json::{Value, json};

const MINIMAL: &str = "source: {type: generator}\nsinks: [{type: csv, dir: out}]\n";

fn read(config: &str) -> Result<(), String> {
    parse::<Options>(config, &[]).map(drop).map_err(|error| error.chain())
}

#[track_caller]
fn both_accept(more: &str) {
    let config = format!("{MINIMAL}{more}");
    assert_eq!(read(&config), Ok(()), "{more}");
    assert_eq!(mistakes(&config), [] as [String; 0], "{more}");
}

#[track_caller]
fn both_refuse(more: &str) {
    let config = format!("{MINIMAL}{more}");
    assert!(read(&config).is_err(), "the program accepts {more}");
    assert!(!mistakes(&config).is_empty(), "the schema accepts {more}");
}

#[test]
fn every_example_in_the_documentation_fits() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages = vec![root.join("README.md")];
    add_pages(&root.join("docs"), &mut pages);
    let mut examples = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for example in text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next()) {
            let mut config: Value = serde_saphyr::from_str(MINIMAL).unwrap();
            let part: Value = serde_saphyr::from_str(example).unwrap();
            let Some(part) = part.as_object().filter(|part| is_ours(part.keys())) else { continue };
            config.as_object_mut().unwrap().extend(part.clone());
            assert_eq!(mistakes_in(&config), [] as [String; 0], "{}: {example}", page.display());
            examples += 1;
        }
    }
    assert!(examples >= 2, "the README has examples of configurations");
}

// Pages show files of other programs, too, such as Prometheus' rules.
fn is_ours<'a>(mut keys: impl Iterator<Item = &'a String>) -> bool {
    let known = config_schema(&Shop::default());
    keys.any(|key| known["properties"].get(key).is_some())
}

fn add_pages(dir: &Path, pages: &mut Vec<std::path::PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            add_pages(&entry, pages);
        } else if entry.extension().is_some_and(|extension| extension == "md") {
            pages.push(entry);
        }
    }
}

#[test]
fn keys_of_all_kinds_are_known() {
    for more in [
        "",
        "pipeline.name: a\nparallelism.default: 4\nrest.port: 8081\nrest.password: \"x\"",
        "parallelism.default: \"4\"\nrest.port: ${CARGO_PKG_VERSION_MAJOR}",
        "runtime: {stop-timeout: 30s, channel-bytes: 8mb}",
        "runtime.stop-flush-timeout: 60s",
        "execution.checkpointing.interval: 30s\nexecution.checkpointing.timeout: 5 min",
        "execution.checkpointing.mode: AT_LEAST_ONCE\nstate.backend.type: hashmap",
        "execution.checkpointing.incremental: \"true\"",
        "state.backend: rocksdb\nstate.backend.incremental: true",
        "state.backend.type: jobmanager\nexecution.checkpointing.unaligned: false",
        "restart-strategy.type: failurerate\nrestart-strategy.failure-rate.delay: 5s",
        "restart.strategy.type: fixed-delay\nrestart.strategy.fixed-delay.attempts: 5",
        "restart-strategy: fixed-delay\nrestart-strategy.attempts: 3",
        "s3.endpoint: http://127.0.0.1:9000\ns3.path.style.access: true",
        "s3.path-style-access: true\nhdfs.config: {dfs.replication: \"2\"}",
        "storage: {timeout: 5s, retry.delay: 10ms, s3.region: us-east-1}",
        "behaviors: all\njobs: [hot-items]\ntime-zone: +05:30\npv-uv: {granularities: [1min, 1d]}",
        "event: {preset: snake, fields: {userId: uid}, time-unit: iso-8601, placeholder-users: [guest]}",
        "watermark: {max-out-of-orderness: 5s, idleness: 0s, tolerance: 250, max-ahead: 1.5 h}",
        "dead-letter: {type: kafka, brokers: \"h:9092\", topic: dead}",
        "hot-items: {top: 10}",
        "job.dir:",
    ] {
        both_accept(more);
    }
}

#[test]
fn every_kind_of_source_and_sink_is_known() {
    for config in [
        "source: {type: files, path: a.csv, format: taobao-csv}",
        "source: {type: kafka, brokers: \"h:9092\", topic: [a, b], start: {timestamp: 2017-11-26}, bounded: latest}",
        "source: {type: kafka, brokers: \"h:9092\", topic: a, start: group-offsets, group-id: g, discovery-interval: 5s}",
        "source: {type: kafka, brokers: \"h:9092\", topic: a, client: {security.protocol: ssl, check.crcs: true, fetch.min.bytes: 1}}",
        "source: {type: generator, rate: 10000, duration: 60s, fields: [eventId], broken-kinds: [not-utf8], start: 5}",
    ] {
        let config = format!("{config}\nsinks: []\n");
        assert_eq!((read(&config), mistakes(&config)), (Ok(()), vec![]), "{config}");
    }
    for sink in [
        "{type: elasticsearch, hosts: [\"http://h:9200\"], bulk-flush.max-size: 2mb, start.timeout: 500, password: x, username: u}",
        "{type: redis, url: \"redis://h\", expiry: 7d, linger: 5ms, batch-records: 10}",
        "{type: sqlite, path: a.db, synchronous: normal, wal-size: 64mb}",
        "{type: csv, dir: out}",
        "{type: blackhole}",
        "{type: kafka, brokers: \"h:9092\", topic: a, sink.delivery-guarantee: exactly-once, compression: zstd}",
    ] {
        let config = format!("source: {{type: generator}}\nsinks: [{sink}]\n");
        assert_eq!((read(&config), mistakes(&config)), (Ok(()), vec![]), "{config}");
    }
}

#[test]
fn a_misspelt_key_is_refused() {
    for more in [
        "parallelism.defualt: 2",
        "jobz: [hot-items]",
        "jobs: [hot-itmes]",
        "runtime: {stop-timeuot: 5s}",
        "runtime.stop-timeuot: 5s",
        "execution.checkpointing.intervall: 5s",
        "execution.checkpointing.interval: soon",
        "execution.checkpointing.mode: exactly_once",
        "execution.checkpointing.unaligned: true",
        "restart-strategy.type: fixed",
        "watermark: {idlenes: 5s}",
        "watermark: {idleness: 5 parsecs}",
        "event: {preset: kebab}",
        "dead-letter: {type: file, path: a}",
        "dead-letter: {type: files, pth: a}",
        "storage: {timeuot: 5s}",
        "s3.end-point: http://a",
        "behaviors: some",
        "rest.port: many",
        "rest.password: 4711",
    ] {
        both_refuse(more);
    }
    for config in [
        "source: {type: generator}\n",
        "source: {type: generator, rat: 5}\nsinks: []\n",
        "source: {type: generator, seed: \"5\"}\nsinks: []\n",
        "source: {type: kafka, brokers: h, topic: a, strat: earliest}\nsinks: []\n",
        "source: {type: kafka, brokers: h, topic: a, start: newest}\nsinks: []\n",
        "source: {type: generator}\nsinks: [{type: redis, urk: a}]\n",
        "source: {type: generator}\nsinks: [{type: reddis}]\n",
        "source: {type: generator}\nsinks: [{url: a}]\n",
        "source: {type: generator}\nsinks: [{type: csv}]\n",
    ] {
        assert!(read(config).is_err(), "the program accepts {config}");
        assert!(!mistakes(config).is_empty(), "the schema accepts {config}");
    }
}

#[test]
fn durations_and_sizes_are_read_as_the_schema_says() {
    let texts = [
        "5s",
        "100 ms",
        "250",
        "1.5 h",
        "2min",
        "0",
        " 7 d ",
        ".5s",
        "5.s",
        "1 microsecond",
        "4mb",
        "512 kb",
        "0.5 gb",
        "3 kibibytes",
        "1b",
        "",
        "s",
        "-1s",
        "5 parsecs",
        "1..5s",
        "4 miles",
        "mb",
        "1m",
        "5 S",
    ];
    for text in texts {
        let with = |key: &str| {
            mistakes_in(&json!({
                "source": {"type": "generator"}, "sinks": [], "runtime": { key: text },
            }))
        };
        assert_eq!(with("stop-timeout").is_empty(), parse_duration(text).is_ok(), "{text:?} as a duration");
        assert_eq!(with("channel-bytes").is_empty(), parse_size(text).is_ok(), "{text:?} as a size");
    }
}

#[test]
fn every_key_has_a_comment_that_is_a_sentence() {
    fn check(path: &str, schema: &Value) {
        if let Some(text) = schema["description"].as_str() {
            assert!(text.ends_with('.'), "{path}: {text:?} is no sentence");
            assert!(!text.contains("](") && !text.contains("[`"), "{path}: {text:?} links to code");
        }
        for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            assert!(key == "type" || inner["description"].is_string(), "{path} has no comment");
            check(&path, inner);
        }
        for choice in ["oneOf", "anyOf"].iter().filter_map(|choices| schema[choices].as_array()).flatten() {
            // A choice with fields is a kind of source or sink, or holds a single value that its own comment
            // explains.
            if choice["properties"]["type"].is_object() {
                check(path, choice);
            }
        }
        schema.get("items").into_iter().for_each(|items| check(path, items));
    }
    check("", &config_schema(&Shop::default()));
}

#[test]
fn the_reference_in_the_repository_is_that_of_the_code() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/reference/configuration.md");
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    let made = reference(&config_schema(&Shop::default()));
    assert!(
        written.trim_end() == made.trim_end(),
        "docs/src/reference/configuration.md is not what the code says. Write it anew:\n\n    \
         cargo run --release -- config-reference > docs/src/reference/configuration.md\n"
    );
}
