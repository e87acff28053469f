//! Bad days: a Redis that dies, forgets, is full, refuses.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use millstream_record::{Error, ErrorKind};
use millstream_redis::{RedisOptions, RedisWrite};
use millstream_sim::DrivenWriter;
use millstream_stage::Rows;
use millstream_stage::sink::Sink;
use millstream_stage::snapshot::{Frozen, StageSnapshot};
use millstream_testkit::Redis;
use millstream_testkit::port::Port;
use millstream_testkit::tls::{Certificate, CertificateFault};

mod common;
use common::{Client, Writer, counter, harness, options, sink, write, writer};

fn clicks(from: u32, to: u32) -> Vec<RedisWrite> {
    (from..to).map(|number| RedisWrite::hash(format!("clicks:{number}")).field("count", number)).collect()
}

fn expect_clicks(url: &str, to: u32) -> Result<()> {
    let keys: Vec<String> = (0..to).map(|number| format!("clicks:{number}")).collect();
    let seen = Client::of(url)?.fields(&keys, "count")?;
    for (number, seen) in (0..to).zip(seen) {
        ensure!(seen.as_deref() == Some(&*number.to_string()), "clicks:{number} holds {seen:?}");
    }
    Ok(())
}

// Resumes until something had to be sent again.
fn until_retried(writer: &mut Writer) -> Result<()> {
    while counter(writer, "retries") == 0 {
        assert!(!writer.try_flush()?.is_complete(), "flushed, but not written");
        writer.turn()?;
    }
    Ok(())
}

#[test]
fn a_forgotten_script_is_sent_again() -> Result<()> {
    let redis = Redis::start()?;
    let mut client = Client::of(redis.url())?;
    let mut writer = writer(options(redis.url()), 1)?;
    for batch in 0..20 {
        write(&mut writer, clicks(batch * 50, batch * 50 + 50))?;
        client.do_it(&["SCRIPT", "FLUSH"])?;
        writer.flush()?;
    }
    assert_eq!(counter(&writer, "retries"), 0, "it is no failure");
    expect_clicks(redis.url(), 1_000)
}

#[test]
fn a_crash_in_mid_run_loses_nothing_that_the_log_keeps() -> Result<()> {
    let mut redis = Redis::builder().option("appendfsync", "always").start()?;
    let small = RedisOptions { batch_records: 40, ..options(redis.url()) };
    let mut writer = writer(small, 1)?;
    for batch in 0..300 {
        match batch {
            30 => writer.flush()?,
            60 => redis.kill9()?,
            110 => {
                until_retried(&mut writer)?;
                redis.restart()?;
            }
            200 => redis.restart()?,
            _ => {}
        }
        write(&mut writer, clicks(batch * 30, batch * 30 + 30))?;
    }
    writer.flush()?;
    assert!(writer.dead_letters().is_empty());
    expect_clicks(redis.url(), 9_000)
}

#[test]
fn what_was_not_acknowledged_is_in_the_snapshot_and_never_overwrites() -> Result<()> {
    let mut redis = Redis::builder().option("appendfsync", "always").start()?;
    let mut before = writer(options(redis.url()), 1)?;
    write(&mut before, clicks(0, 5))?;
    before.flush()?;
    before.close();

    redis.kill9()?;
    let snapshot = snapshot_while_down(redis.url())?;
    redis.restart()?;

    // The keys' new owner is quicker than whoever got the old writes to send again.
    let mut owner = writer(options(redis.url()), 2)?;
    write(&mut owner, [RedisWrite::hash("clicks:7").field("count", "newer")])?;
    owner.flush()?;
    let groups = 0..128;
    let harness = harness(2)?.subtask(0, 1).restored(snapshot.share(0, 1, &groups));
    let mut heir = DrivenWriter::open(&sink(options(redis.url())), harness)?;
    heir.flush()?;
    assert_eq!(counter(&heir, "stale"), 1);
    let mut client = Client::of(redis.url())?;
    assert_eq!(client.ask::<String>(&["HGET", "clicks:7", "count"])?, "newer");
    client.do_it(&["HSET", "clicks:7", "count", "7"])?;
    expect_clicks(redis.url(), 20)
}

fn snapshot_while_down(url: &str) -> Result<StageSnapshot> {
    let harness = harness(1)?;
    let mut writer = sink(options(url)).writer("sink", &mut harness.open_context())?;
    let (mut rows, mut dead) = (Rows::from(clicks(5, 20)), Rows::default());
    harness.call(|cx| writer.write(cx, &mut rows, &mut dead))?;
    let mut frozen = Frozen::default();
    writer.snapshot(1, &mut frozen)?;
    drop(writer);
    let mut snapshot = StageSnapshot::default();
    snapshot.add(frozen)?;
    Ok(snapshot)
}

#[test]
fn a_full_memory_is_waited_for_and_leaves_old_values_whole() -> Result<()> {
    let redis = Redis::builder().maxmemory("3mb").start()?;
    let mut client = Client::of(redis.url())?;
    let mut writer = writer(options(redis.url()), 1)?;
    let values = |value: u32| {
        [
            RedisWrite::hash("h").field("a", value).field("b", value),
            RedisWrite::string("s", value.to_string()),
            RedisWrite::ranking("r").member("a", f64::from(value)).member("b", f64::from(value)),
        ]
    };
    write(&mut writer, values(1))?;
    writer.flush()?;
    client.do_it(&["SETRANGE", "filler", "4000000", "x"])?;
    write(&mut writer, values(2))?;
    until_retried(&mut writer)?;
    for (field, value) in [("a", "1"), ("b", "1")] {
        assert_eq!(client.ask::<String>(&["HGET", "h", field])?, value);
        assert_eq!(client.ask::<String>(&["ZSCORE", "r", field])?, value);
    }
    assert_eq!(client.ask::<String>(&["GET", "s"])?, "1");
    client.do_it(&["DEL", "filler"])?;
    writer.flush()?;
    assert_eq!(client.ask::<String>(&["HGET", "h", "b"])?, "2");
    assert_eq!(client.ask::<String>(&["GET", "s"])?, "2");
    assert_eq!(client.ask::<String>(&["ZSCORE", "r", "b"])?, "2");
    assert!(writer.dead_letters().is_empty());
    Ok(())
}

#[test]
fn a_replica_is_waited_for_until_it_is_the_primary() -> Result<()> {
    let redis = Redis::start()?;
    let mut client = Client::of(redis.url())?;
    let mut writer = writer(options(redis.url()), 1)?;
    write(&mut writer, clicks(0, 3))?;
    writer.flush()?;
    client.do_it(&["REPLICAOF", "127.0.0.1", "1"])?;
    write(&mut writer, clicks(3, 6))?;
    until_retried(&mut writer)?;
    client.do_it(&["REPLICAOF", "NO", "ONE"])?;
    writer.flush()?;
    expect_clicks(redis.url(), 6)
}

#[test]
fn failures_that_do_not_pass_end_in_a_restart() -> Result<()> {
    let mut redis = Redis::start()?;
    let patience = Duration::from_millis(300);
    let mut writer = writer(RedisOptions { retry_for: patience, ..options(redis.url()) }, 1)?;
    write(&mut writer, clicks(0, 3))?;
    writer.flush()?;
    redis.kill9()?;
    write(&mut writer, clicks(3, 6))?;
    let error = writer.flush().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Restart);
    assert!(error.chain().contains("refused"), "{}", error.chain());
    Ok(())
}

// The error with which the first flush ends.
fn refusal(options: RedisOptions) -> Result<Error> {
    let mut writer = writer(options, 1)?;
    write(&mut writer, clicks(0, 1)).and_then(|()| writer.flush()).err().context("it was not refused")
}

#[test]
fn a_wrong_login_is_refused_at_once_and_a_right_one_works() -> Result<()> {
    let redis = Redis::builder().password("s3cret").start()?;
    let address = redis.url().replace(":s3cret@", "");
    let wrong = refusal(RedisOptions { password: Some("wr0ng".into()), ..options(&address) })?;
    let none = refusal(options(&address))?;
    for error in [wrong, none] {
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.chain().contains(&address) && !error.chain().contains("wr0ng"), "{}", error.chain());
    }
    let right = RedisOptions { password: Some("s3cret".into()), ..options(&address) };
    let mut writer = writer(right, 1)?;
    write(&mut writer, clicks(0, 3))?;
    writer.flush()?;
    expect_clicks(redis.url(), 3)
}

#[test]
fn a_user_without_rights_is_named_as_the_cause() -> Result<()> {
    let redis = Redis::start()?;
    Client::of(redis.url())?.do_it(&["ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@read"])?;
    let login = RedisOptions {
        username: Some("reader".into()),
        password: Some("secret".into()),
        ..options(redis.url())
    };
    let error = refusal(login)?;
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("SCRIPT"), "{error}");
    Ok(())
}

#[test]
fn nobody_listening_is_an_error_within_the_start_timeout() -> Result<()> {
    let port = Port::reserve()?;
    let nobody = options(&format!("redis://127.0.0.1:{}", port.number()));
    let error = refusal(RedisOptions { start_timeout: Duration::from_millis(500), ..nobody })?;
    assert_eq!(error.kind(), ErrorKind::Restart);
    assert!(error.to_string().contains("is not ready after 500ms (start-timeout)"), "{error}");
    Ok(())
}

#[test]
fn a_server_that_is_away_at_the_start_is_waited_for() -> Result<()> {
    let number = Port::reserve()?.number();
    let url = format!("redis://127.0.0.1:{number}");
    let patient = RedisOptions { start_timeout: Duration::from_secs(60), ..options(&url) };
    let mut writer = writer(patient, 1)?;
    write(&mut writer, clicks(0, 10))?;
    assert!(!writer.try_flush()?.is_complete(), "flushed, but not written");
    let _redis = Redis::builder().port(number).start()?;
    writer.flush()?;
    expect_clicks(&url, 10)
}

#[test]
fn a_server_with_too_many_clients_at_the_start_is_waited_for() -> Result<()> {
    for redis in [Redis::start()?, Redis::builder().password("s3cret").start()?] {
        let mut client = Client::of(redis.url())?;
        client.do_it(&["CONFIG", "SET", "maxclients", "1"])?;
        let mut writer = writer(options(redis.url()), 1)?;
        write(&mut writer, clicks(0, 10))?;
        while writer.harness().metrics().troubles.ongoing(u64::MAX).is_empty() {
            assert!(!writer.try_flush()?.is_complete(), "flushed, but not written");
            writer.turn()?;
        }
        client.do_it(&["CONFIG", "SET", "maxclients", "100"])?;
        writer.flush()?;
        expect_clicks(redis.url(), 10)?;
    }
    Ok(())
}

// By the server's `timeout`, or a firewall.
#[test]
fn a_connection_that_is_closed_while_nothing_is_written_is_no_trouble() -> Result<()> {
    let redis = Redis::start()?;
    let mut client = Client::of(redis.url())?;
    let mut writer = writer(options(redis.url()), 1)?;
    for round in 0..5 {
        write(&mut writer, clicks(round * 10, round * 10 + 10))?;
        writer.flush()?;
        assert_eq!(client.ask::<u32>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])?, 1);
    }
    assert_eq!(counter(&writer, "retries"), 0);
    expect_clicks(redis.url(), 50)
}

#[test]
fn tls_with_the_right_authority_and_not_without() -> Result<()> {
    let redis = Redis::builder().tls().start()?;
    let authority = redis.certificate().map(|certificate| certificate.ca.clone());
    let mut writer = writer(RedisOptions { ca_file: authority, ..options(redis.url()) }, 1)?;
    write(&mut writer, clicks(0, 100))?;
    writer.flush()?;
    assert_eq!(writer.harness().metrics().operator("sink").latency.histogram().len(), 100);
    let error = refusal(options(redis.url()))?;
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("no CA that is trusted here"), "{error}");
    let missing = refusal(RedisOptions { ca_file: Some("/no/such/ca.pem".into()), ..options(redis.url()) })?;
    assert!(missing.to_string().contains("/no/such/ca.pem"), "{missing}");
    Ok(())
}

#[test]
fn each_fault_of_a_certificate_has_its_own_advice() -> Result<()> {
    for (fault, advice) in [
        (CertificateFault::AuthorityAsServer, "CA:FALSE"),
        (CertificateFault::Expired, "is expired: renew it"),
        (CertificateFault::NotYetValid, "is not valid yet"),
        (CertificateFault::OtherHost, "it names shop.example"),
    ] {
        let dir = tempfile::tempdir()?;
        let certificate = Certificate::faulty(dir.path(), fault)?;
        let authority = certificate.ca.clone();
        let redis = Redis::builder().certificate(certificate).start()?;
        let error = refusal(RedisOptions { ca_file: Some(authority), ..options(redis.url()) })?;
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains(advice), "{error}");
    }
    Ok(())
}

#[test]
fn plain_text_to_a_tls_port_and_the_reverse_are_told() -> Result<()> {
    let (plain, tls) = (Redis::start()?, Redis::builder().tls().start()?);
    let to_tls = refusal(options(&tls.url().replace("rediss", "redis")))?;
    // A server that waits for the end of what it takes for a command says nothing: the client's own time-out
    // ends that.
    let patience = Duration::from_secs(1);
    let to_plain =
        RedisOptions { connect_timeout: patience, ..options(&plain.url().replace("redis", "rediss")) };
    for (error, advice) in
        [(to_tls, "the port speaks TLS"), (refusal(to_plain)?, "the port does not speak TLS")]
    {
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains(advice), "{error}");
    }
    Ok(())
}

/// What a user is allowed, and what of it `check` finds missing, with each of the kinds of writes.
fn checked(url: &str, allowed: &[&str]) -> Result<Result<String, Error>> {
    let user = ["ACL", "SETUSER", "writer", "reset", "on", ">writes-1"];
    Client::of(url)?.do_it(&[&user, allowed].concat())?;
    let login =
        RedisOptions { username: Some("writer".into()), password: Some("writes-1".into()), ..options(url) };
    let samples = [
        RedisWrite::hash("clicks:0").field("count", 0),
        RedisWrite::string("clicks:total", "0"),
        RedisWrite::ranking("clicks:hot"),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(millstream_redis::check(&login, samples)))
}

const NEEDED: [&str; 15] = [
    "~clicks:*",
    "~{clicks:*",
    "+evalsha",
    "+script|load",
    "+hget",
    "+hset",
    "+hlen",
    "+del",
    "+expire",
    "+type",
    "+get",
    "+set",
    "+zadd",
    "+multi",
    "+discard",
];

#[test]
fn a_check_finds_each_right_that_is_missing_and_writes_no_key() -> Result<()> {
    let redis = Redis::start()?;
    checked(redis.url(), &NEEDED)??;
    for missing in &NEEDED[..13] {
        let allowed: Vec<_> = NEEDED.into_iter().filter(|right| right != missing).collect();
        let error =
            checked(redis.url(), &allowed)?.err().with_context(|| format!("{missing} is not missed"))?;
        let told = error.chain();
        ensure!(told.contains("the user may not do what the sink needs"), "{missing}: {told}");
        ensure!(!told.contains("writes-1"), "{told}");
        if let Some(command) = missing.strip_prefix('+').filter(|command| !command.contains('|')) {
            ensure!(told.contains(&command.to_uppercase()), "{missing}: {told}");
        }
    }
    ensure!(Client::of(redis.url())?.ask::<u64>(&["DBSIZE"])? == 0, "keys were written");

    // What is enough for the check is enough for the sink.
    checked(redis.url(), &NEEDED[..13])??;
    let (username, password) = (Some("writer".into()), Some("writes-1".into()));
    let mut writer = writer(RedisOptions { username, password, ..options(redis.url()) }, 1)?;
    let ranking = RedisWrite::ranking("clicks:hot").member("a", 1.0);
    write(
        &mut writer,
        [RedisWrite::hash("clicks:0").field("count", 7), RedisWrite::string("clicks:total", "7"), ranking],
    )?;
    writer.flush()?;
    assert!(writer.dead_letters().is_empty());
    Ok(())
}

#[test]
fn a_check_finds_a_server_that_takes_no_writes() -> Result<()> {
    let full = Redis::start()?;
    Client::of(full.url())?.do_it(&["CONFIG", "SET", "maxmemory", "1"])?;
    let samples = || [RedisWrite::hash("clicks:0").field("count", 0)];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let check = |url: &str| runtime.block_on(millstream_redis::check(&options(url), samples()));
    let error = check(full.url()).err().context("a full memory is not noticed")?;
    ensure!(error.kind() == ErrorKind::Retry && error.chain().contains("OOM"), "{}", error.chain());
    let few = Redis::builder().option("min-replicas-to-write", "1").start()?;
    let error = check(few.url()).err().context("missing replicas are not noticed")?;
    ensure!(error.kind() == ErrorKind::Retry && error.chain().contains("NOREPLICAS"), "{}", error.chain());
    Ok(())
}
