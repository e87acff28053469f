#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
//! The metrics reference of the book against a scrape of a real job: nothing is missing there, and nothing is
//! made up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream_api::Environment;
use millstream_generator::{GeneratorOptions, GeneratorSource};
use millstream_operators::collection::Collected;
use millstream_runtime::{JobHandle, RuntimeOptions};
use millstream_server::{Live, Server, ServerOptions};
use millstream_testkit::wait;

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The cells of the rows of the reference's tables.
fn rows() -> Vec<Vec<String>> {
    let page = fs::read_to_string(checkout().join("docs/src/reference/metrics.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.split('|').map(|cell| cell.trim().replace('`', "")).skip(1).collect()).collect()
}

fn start(dir: &Path) -> JobHandle {
    let env = Environment::new("clicks");
    let options = GeneratorOptions { rate: Some(2000.0), ..GeneratorOptions::default() };
    let written: Collected<u64> = Collected::default();
    env.source("traffic", GeneratorSource::new(options))
        .map("sizes", |batch| batch.iter().count() as u64)
        .sink_to("sizes-written", written);
    let mut options = RuntimeOptions {
        checkpoints_dir: Some(format!("file://{}", dir.display())),
        ..RuntimeOptions::default()
    };
    options.checkpointing.interval = Some(Duration::from_millis(100));
    millstream_runtime::start(env.plan().unwrap(), options).unwrap()
}

fn await_checkpoint(job: &JobHandle) {
    let there = || job.checkpoint_stats().counts.completed > 0;
    assert!(wait::until(Duration::from_secs(30), there), "no checkpoint is complete");
}

fn scrape(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: test\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Name and type of each metric in a scrape.
fn families(scrape: &str) -> BTreeMap<String, String> {
    let types = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split_once(' ')).map(|(name, kind)| (name.into(), kind.into())).collect()
}

#[test]
fn the_reference_has_every_metric_with_its_type() {
    let dir = tempfile::tempdir().unwrap();
    let first = start(dir.path());
    await_checkpoint(&first);
    first.stop();
    first.wait().unwrap();
    // Some metrics are there only when the job has gone on from a checkpoint.
    let job = start(dir.path());
    await_checkpoint(&job);
    let listen = ServerOptions { bind_address: "127.0.0.1".to_owned(), port: 0, password: None };
    let server = Server::for_job(&listen, &job.control(), &[], Live::default()).unwrap();
    let served = families(&scrape(server.address()));
    job.stop();
    job.wait().unwrap();
    let metric = |row: Vec<String>| (row[0].clone(), row[1].clone());
    let documented: BTreeMap<_, _> =
        rows().into_iter().map(metric).filter(|(name, _)| name.starts_with("flink_")).collect();
    assert_eq!(documented, served, "docs/src/reference/metrics.md (left) and /metrics (right) differ");
}

/// The Rust sources of the product, with their paths.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = ["crates", "connectors", "apps"].map(|name| checkout().join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && path.components().any(|part| part.as_os_str() == "src")
            {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

#[test]
fn the_reference_has_every_counter_of_single_operators() {
    let names = rows().into_iter().map(|row| row[0].clone()).filter(|name| !name.starts_with("flink_"));
    let documented: BTreeSet<String> =
        names.flat_map(|cell| cell.split(", ").map(str::to_owned).collect::<Vec<_>>()).collect();
    assert!(documented.contains("deadLetters"), "{documented:?}");
    let sources = sources();
    for (path, text) in &sources {
        for rest in text.split("counter(\"").skip(1) {
            let (name, _) = rest.split_once('"').unwrap();
            assert!(documented.contains(name), "{}: the counter {name} is not documented", path.display());
        }
    }
    for name in documented {
        let literal = format!("\"{name}\"");
        assert!(sources.iter().any(|(_, text)| text.contains(&literal)), "no source has a counter {name}");
    }
}
