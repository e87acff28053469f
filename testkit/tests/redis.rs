//! Redis comes up as asked for, keeps its data over a crash, and never outlives its owner.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use millstream_testkit::{Redis, wait};

/// Sends one inline command and returns the first line of the reply.
fn ask(redis: &Redis, command: &str) -> Result<String> {
    let address = redis.url().rsplit(['/', '@']).next().context("no address")?;
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

#[test]
fn data_survives_restart_and_crash() -> Result<()> {
    let mut redis = Redis::start()?;
    assert_eq!(ask(&redis, "SET a 1")?, "+OK");
    redis.restart()?;
    assert_eq!(ask(&redis, "APPEND a 2")?, ":2");
    wait::pause(Duration::from_millis(1_500)); // the append-only file is synced every second
    redis.kill9()?;
    assert!(ask(&redis, "PING").is_err());
    redis.restart()?;
    assert_eq!(ask(&redis, "STRLEN a")?, ":2");
    Ok(())
}

#[test]
fn a_password_is_asked_for() -> Result<()> {
    let redis = Redis::builder().password("secret").start()?;
    assert!(redis.url().starts_with("redis://:secret@127.0.0.1:"));
    assert!(ask(&redis, "PING")?.starts_with("-NOAUTH"));
    assert_eq!(ask(&redis, "AUTH secret")?, "+OK");
    Ok(())
}

#[test]
fn memory_can_run_out() -> Result<()> {
    let redis = Redis::builder().maxmemory("1mb").start()?;
    let fill = format!("SETRANGE big 2000000 x\r\nSET a {}", "x".repeat(1_000));
    ask(&redis, &fill)?;
    assert!(ask(&redis, "SET b 1")?.contains("OOM"));
    Ok(())
}

#[test]
fn tls_is_spoken_and_nothing_else() -> Result<()> {
    let redis = Redis::builder().tls().start()?;
    let ca = redis.certificate().context("no certificate")?.ca.clone();
    assert_ne!(ask(&redis, "PING").unwrap_or_default(), "+PONG");
    let address = redis.url().trim_start_matches("rediss://").to_owned();
    let mut command = Command::new("openssl");
    command.args([
        "s_client",
        "-connect",
        &address,
        "-verify_return_error",
        "-verify_ip",
        "127.0.0.1",
        "-quiet",
        "-CAfile",
    ]);
    command.arg(ca).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    child.stdin.take().context("no pipe")?.write_all(b"PING\r\nQUIT\r\n")?;
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with("+PONG"), "{text} {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[test]
fn dropping_it_removes_process_and_data() -> Result<()> {
    let redis = Redis::start()?;
    let server = redis.server().context("not ours")?;
    let (pid, dir) = (server.pid().context("not running")?, server.dir().to_owned());
    drop(redis);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert!(!dir.exists());
    Ok(())
}

const VICTIM: &str = "MILLSTREAM_TESTKIT_VICTIM";

/// Runs twice: the second process starts a server and dies without a chance to clean up.
#[test]
fn an_aborted_owner_leaves_no_server() -> Result<()> {
    if let Ok(report) = std::env::var(VICTIM) {
        return die_with_a_server(Path::new(&report));
    }
    let dir = tempfile::tempdir()?;
    let report = dir.path().join("report");
    let mut victim = Command::new(std::env::current_exe()?);
    victim.args(["--exact", "an_aborted_owner_leaves_no_server"]).env(VICTIM, &report);
    ensure!(
        !victim.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success(),
        "it should have aborted"
    );
    let report = std::fs::read_to_string(report)?;
    let (pid, data) = report.split_once(' ').context("no report")?;
    let gone = || !Path::new(&format!("/proc/{pid}")).exists() && !Path::new(data).exists();
    assert!(wait::until(Duration::from_secs(10), gone), "still there: pid {pid}, {data}");
    Ok(())
}

fn die_with_a_server(report: &Path) -> Result<()> {
    let redis = Redis::start()?;
    let server = redis.server().context("not ours")?;
    std::fs::write(report, format!("{} {}", server.pid().context("not running")?, server.dir().display()))?;
    std::process::abort();
}
