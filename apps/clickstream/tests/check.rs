//! `clickstream check`: each system has a line, nothing is started, and nothing is written.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail as the test does")]

mod common;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::program::finish;
use millstream_testkit::wait::until;
use millstream_testkit::{Elasticsearch, Kafka, Redis, TopicRight, http, unique_name};

const PATIENCE: Duration = Duration::from_secs(60);

/// The exit code, and what was printed.
fn check(dir: &Path, config: &str) -> Result<(i32, String)> {
    std::fs::write(dir.join("job.yaml"), config)?;
    let output = finish(dir, &["check", "--config", "job.yaml"])?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok((output.status.code().context("it was killed")?, format!("{out}{err}")))
}

#[track_caller]
fn line<'a>(printed: &'a str, part: &str) -> &'a str {
    let mut lines = printed.lines();
    lines
        .find(|line| line.split_whitespace().nth(1) == Some(part))
        .unwrap_or_else(|| panic!("{part}: {printed}"))
}

fn files_in(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[test]
fn everything_is_there_and_stays_as_it_is() -> Result<()> {
    let (dir, kafka, redis) = (tempfile::tempdir()?, Kafka::shared()?, Redis::start()?);
    let (topic, prefix) = (unique_name("check"), unique_name("check-").to_lowercase());
    kafka.create_topics(&[(&topic, 3)])?;
    let elasticsearch = Elasticsearch::shared()?.url();
    let config = format!(
        "pipeline.name: checked\nsource: {{type: kafka, brokers: \"{}\", topic: {topic}}}\nsinks:\n  \
         - {{type: elasticsearch, hosts: [\"{elasticsearch}\"], index-prefix: \"{prefix}\"}}\n  \
         - {{type: redis, url: \"{}\"}}\n  - {{type: sqlite, path: out.db}}\n  - {{type: csv, dir: csv}}\n  \
         - {{type: kafka, brokers: \"{0}\", topic: {topic}-results}}\n\
         execution.checkpointing.interval: 5s\nstate.savepoints.dir: file://{}/savepoints\n",
        kafka.bootstrap(),
        redis.url(),
        dir.path().display()
    );
    kafka.create_topics(&[(&format!("{topic}-results"), 1)])?;
    let (code, printed) = check(dir.path(), &config)?;
    ensure!(code == 0, "{printed}");
    ensure!(printed.lines().all(|line| line.starts_with("ok ")), "{printed}");
    ensure!(line(&printed, "source").contains("3 partition(s)"), "{printed}");
    ensure!(line(&printed, "sinks.0").contains(&format!("at {elasticsearch}")), "{printed}");
    ensure!(line(&printed, "sinks.1").contains(redis.url()), "{printed}");
    for part in ["configuration", "pipeline", "sinks.2", "sinks.3", "sinks.4", "dead-letter", "checkpoints"] {
        line(&printed, part);
    }
    ensure!(line(&printed, "savepoints").contains("savepoints"), "{printed}");

    ensure!(files_in(dir.path())? == ["job.yaml"], "{:?}", files_in(dir.path())?);
    let mut connection = redis::Client::open(redis.url())?.get_connection()?;
    let keys: u64 = redis::cmd("DBSIZE").query(&mut connection)?;
    ensure!(keys == 0, "{keys} keys were written");
    let port = elasticsearch.rsplit(':').next().context("a port")?.parse()?;
    for place in [format!("/{prefix}*"), format!("/_index_template/{prefix}*")] {
        let there = http::request(port, "GET", &place, None, "")?;
        ensure!(!there.body.contains(&prefix), "{place}: {}", there.body);
    }
    Ok(())
}

#[test]
fn what_is_away_is_named_with_what_to_do() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = "\
pipeline.name: away
source: {type: kafka, brokers: \"127.0.0.1:1\", topic: clicks, connect-timeout: 2s}
sinks:
  - {type: elasticsearch, hosts: [\"http://127.0.0.1:1\"]}
  - {type: redis, url: \"redis://127.0.0.1:1\"}
  - {type: sqlite, path: nowhere/out.db}
  - {type: csv, dir: job.yaml}
state.checkpoints.dir: file:///proc/clicks
";
    let (code, printed) = check(dir.path(), config)?;
    ensure!(code == 2, "{code}: {printed}");
    for (part, advice) in [
        ("source", "check `brokers`"),
        ("sinks.0", "check `hosts`"),
        ("sinks.1", "check `url`"),
        ("sinks.2", "must be there"),
        ("sinks.3", "is no directory"),
        ("checkpoints", "/proc"),
    ] {
        let line = line(&printed, part);
        ensure!(line.starts_with("FAILED") && line.contains(advice), "{part}: {printed}");
    }
    ensure!(line(&printed, "dead-letter").starts_with("ok"), "{printed}");
    ensure!(printed.contains("source, sinks.0, sinks.1, sinks.2, sinks.3, checkpoints"), "{printed}");
    ensure!(files_in(dir.path())? == ["job.yaml"], "{:?}", files_in(dir.path())?);
    Ok(())
}

#[test]
fn what_a_start_would_refuse_is_refused() -> Result<()> {
    let (dir, redis, prefix) =
        (tempfile::tempdir()?, Redis::builder().password("geheim").start()?, unique_name("check-"));
    let prefix = prefix.to_lowercase();
    let elasticsearch = Elasticsearch::shared()?.url();
    let port = elasticsearch.rsplit(':').next().context("a port")?.parse()?;
    let body = "{\"mappings\": {\"properties\": {\"user_id\": {\"type\": \"long\"}}}}";
    // On a busy machine an index takes longer than one request waits.
    let made = || http::request(port, "PUT", &format!("/{prefix}user_clicks"), None, body).is_ok();
    ensure!(until(PATIENCE, made), "the index cannot be made");
    let url = redis.url().rsplit('@').next().context("a host")?.trim_start_matches("redis://");
    let config = format!(
        "source: {{type: files, path: nothing-here.jsonl}}\nsinks:\n  \
         - {{type: elasticsearch, hosts: [\"{elasticsearch}\"], index-prefix: \"{prefix}\"}}\n  \
         - {{type: redis, url: \"redis://{url}\", password: falsch}}\n"
    );
    let (code, printed) = check(dir.path(), &config)?;
    ensure!(code == 2, "{code}: {printed}");
    ensure!(line(&printed, "source").contains("nothing-here.jsonl"), "{printed}");
    ensure!(
        line(&printed, "sinks.0").contains("user_id") && line(&printed, "sinks.0").contains("long"),
        "{printed}"
    );
    ensure!(line(&printed, "sinks.1").contains("login") && !printed.contains("falsch"), "{printed}");

    let (code, printed) = check(dir.path(), "source: {type: generator}\nsinks: []\njbos: []\n")?;
    ensure!(code == 2 && printed.contains("did you mean \"jobs\"?"), "{code}: {printed}");
    Ok(())
}

/// A topic of dead letters may get its first message months after the start.
#[test]
fn topics_and_keys_that_may_be_seen_and_not_written_are_refused() -> Result<()> {
    let (dir, redis) = (tempfile::tempdir()?, Redis::start()?);
    let kafka = Kafka::builder().sasl("alice", "geheim").rights().start()?;
    kafka.create_topics(&[("clicks", 1), ("results", 1), ("dead", 1)])?;
    kafka.grant("alice", TopicRight::Read, "clicks")?;
    kafka.grant("alice", TopicRight::Describe, "results")?;
    kafka.grant("alice", TopicRight::Describe, "dead")?;
    let mut connection = redis::Client::open(redis.url())?.get_connection()?;
    let user = ["SETUSER", "looker", "on", ">geheim", "~*", "+@all", "-hset"];
    redis::cmd("ACL").arg(&user).exec(&mut connection)?;
    let login = format!(
        "brokers: \"{}\", client: {{security.protocol: sasl_plaintext, sasl.mechanism: PLAIN, sasl.username: alice, sasl.password: geheim}}",
        kafka.sasl_bootstrap().context("there are logins")?
    );
    let config = format!(
        "source: {{type: kafka, topic: clicks, {login}}}\nsinks:\n  - {{type: kafka, topic: results, {login}}}\n  \
         - {{type: redis, url: \"{}\", username: looker, password: geheim}}\ndead-letter: {{type: kafka, topic: dead, {login}}}\n",
        redis.url()
    );
    let mut printed = String::new();
    // What was granted holds a moment later.
    let granted = || {
        let checked = check(dir.path(), &config);
        printed =
            checked.map_or_else(|error| error.to_string(), |(code, printed)| format!("{code}: {printed}"));
        line(&printed, "source").starts_with("ok") && !printed.contains("see topic")
    };
    ensure!(until(PATIENCE, granted), "{printed}");
    for (part, told) in [
        ("sinks.0", "write to topic results"),
        ("sinks.1", "allow HSET"),
        ("dead-letter", "write to topic dead"),
    ] {
        let line = line(&printed, part);
        ensure!(line.starts_with("FAILED") && line.contains(told), "{part}: {printed}");
    }
    ensure!(printed.starts_with("2: ") && !printed.contains("geheim"), "{printed}");
    Ok(())
}
