//! How the program stops: while a store hangs, by signals, by `stop`, and what it says and leaves behind.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::program::{clickstream, finish};
use millstream_testkit::wait::until;
use millstream_testkit::{Redis, http};

const PATIENCE: Duration = Duration::from_secs(120);

// Traffic into Redis and SQLite, which must agree in the end.
fn config(redis: &Redis, more: &str) -> String {
    format!(
        "pipeline.name: stopping\njobs: [user-clicks]\nsource: {{type: generator, rate: 5000, event-rate: 500, \
         start: 1764000000000, users: 3000}}\nsinks:\n  - {{type: sqlite, path: out.db}}\n  - {{type: redis, url: \"{}\"}}\n{more}",
        redis.url()
    )
}

fn start(dir: &Path, arguments: &[&str]) -> Result<Child> {
    clickstream(dir)
        .args(["run", "--config", "job.yaml"])
        .args(arguments)
        .stderr(Stdio::piped())
        .spawn()
        .context("the program cannot be started")
}

fn signal(process: &Child, signal: &str) -> Result<()> {
    let sent = Command::new("kill").args([signal, &process.id().to_string()]).status()?;
    ensure!(sent.success(), "the process is gone already");
    Ok(())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn rows_in_sqlite(dir: &Path) -> u64 {
    let count = || -> rusqlite::Result<u64> {
        let database = rusqlite::Connection::open(dir.join("out.db"))?;
        database
            .query_row("select count(*) from user_clicks", [], |row| row.get::<_, i64>(0))
            .map(|n| n as u64)
    };
    count().unwrap_or(0)
}

fn rows_in_redis(redis: &Redis) -> Result<u64> {
    let mut connection = redis::Client::open(redis.url())?.get_connection()?;
    let keys: Vec<String> = redis::cmd("KEYS").arg("user_clicks:*").query(&mut connection)?;
    Ok(keys.iter().filter(|key| !key.ends_with(":version")).count() as u64)
}

// Runs the job until it has written something, freezes Redis until more was written elsewhere, and stops the
// job.
fn stop_while_redis_is_frozen(dir: &Path, redis: &Redis) -> Result<Output> {
    let job = start(dir, &[])?;
    let frozen = redis.server().and_then(millstream_testkit::server::Server::group).context("Redis runs")?;
    ensure!(until(PATIENCE, || rows_in_sqlite(dir) > 0), "no window was written");
    frozen.pause();
    let before = rows_in_sqlite(dir);
    let went_on = until(PATIENCE, || rows_in_sqlite(dir) > before);
    signal(&job, "-TERM")?;
    let output = job.wait_with_output();
    frozen.resume();
    ensure!(went_on, "no more windows were written");
    Ok(output?)
}

#[test]
fn with_checkpoints_a_store_that_hangs_holds_no_stop_up_and_loses_nothing() -> Result<()> {
    let (dir, redis) = (tempfile::tempdir()?, Redis::start()?);
    let checkpoints = format!(
        "state.checkpoints.dir: file://{}/checkpoints\nexecution.checkpointing.interval: 1s\n",
        dir.path().display()
    );
    std::fs::write(dir.path().join("job.yaml"), config(&redis, &checkpoints))?;
    let output = stop_while_redis_is_frozen(dir.path(), &redis)?;
    let first = said(&output);
    assert!(output.status.success(), "{}: {first}", output.status);
    assert!(
        first.contains("without waiting for a sink any longer (user-clicks-to-redis has not written"),
        "{first}"
    );

    let job = start(dir.path(), &[])?;
    let before = rows_in_sqlite(dir.path());
    ensure!(until(PATIENCE, || rows_in_sqlite(dir.path()) > before), "it does not go on");
    signal(&job, "-TERM")?;
    let output = job.wait_with_output()?;
    let second = said(&output);
    assert!(output.status.success(), "{}: {second}", output.status);
    assert!(second.contains("what was read was processed and flushed"), "{second}");
    assert_eq!(rows_in_redis(&redis)?, rows_in_sqlite(dir.path()), "{first}\n{second}");
    Ok(())
}

#[test]
fn without_checkpoints_a_stop_says_what_a_store_that_hangs_did_not_get() -> Result<()> {
    let (dir, redis) = (tempfile::tempdir()?, Redis::start()?);
    std::fs::write(dir.path().join("job.yaml"), config(&redis, "runtime: {stop-timeout: 3s}\n"))?;
    let output = stop_while_redis_is_frozen(dir.path(), &redis)?;
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("error: the job did not stop within 3s"), "{text}");
    assert!(text.contains("user-clicks-to-redis has not written"), "{text}");
    Ok(())
}

#[test]
fn signals_within_a_second_are_one() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = "source: {type: generator, rate: 1000}\nsinks: [{type: csv, dir: out}]\n";
    std::fs::write(dir.path().join("job.yaml"), config)?;
    // `timeout` signals its child and then its process group.
    let mut job = Command::new("timeout");
    job.args(["--preserve-status", "2", env!("CARGO_BIN_EXE_clickstream"), "run", "--config", "job.yaml"]);
    let output = job.current_dir(dir.path()).output()?;
    let text = said(&output);
    assert!(output.status.success(), "{}: {text}", output.status);
    assert!(text.contains("was stopped after") && !text.contains("second signal came"), "{text}");
    Ok(())
}

#[test]
fn a_signal_a_second_after_the_first_aborts() -> Result<()> {
    let (dir, redis) = (tempfile::tempdir()?, Redis::start()?);
    std::fs::write(dir.path().join("job.yaml"), config(&redis, ""))?;
    let job = start(dir.path(), &[])?;
    ensure!(until(PATIENCE, || rows_in_sqlite(dir.path()) > 0), "no window was written");
    let frozen = redis.server().and_then(millstream_testkit::server::Server::group).context("Redis runs")?;
    frozen.pause();
    let before = rows_in_sqlite(dir.path());
    let went_on = until(PATIENCE, || rows_in_sqlite(dir.path()) > before);
    signal(&job, "-TERM")?;
    millstream_testkit::wait::pause(Duration::from_millis(1200));
    signal(&job, "-TERM")?;
    let output = job.wait_with_output();
    frozen.resume();
    ensure!(went_on, "no more windows were written");
    let output = output?;
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("a second signal came (SIGTERM)"), "{text}");
    Ok(())
}

#[test]
fn a_job_that_waits_for_its_brokers_at_the_start_stops_at_once() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config =
        "source: {type: kafka, brokers: \"127.0.0.1:1\", topic: clicks}\nsinks: [{type: csv, dir: out}]\n";
    std::fs::write(dir.path().join("job.yaml"), config)?;
    let job = start(dir.path(), &[])?;
    millstream_testkit::wait::pause(Duration::from_secs(2));
    signal(&job, "-TERM")?;
    let output = job.wait_with_output()?;
    let text = said(&output);
    assert!(output.status.success(), "{}: {text}", output.status);
    assert!(text.contains("was stopped after"), "{text}");
    Ok(())
}

#[test]
fn stop_answers_when_the_job_is_gone_so_that_it_can_run_again_at_once() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let port = free_port()?;
    let config = format!(
        "pipeline.name: again\nrest.port: {port}\nsource: {{type: generator, rate: 1000}}\nsinks: [{{type: csv, dir: out}}]\n\
         state.checkpoints.dir: file://{0}/checkpoints\nstate.savepoints.dir: file://{0}/savepoints\n",
        dir.path().display()
    );
    std::fs::write(dir.path().join("job.yaml"), config)?;
    let url = format!("http://127.0.0.1:{port}");
    for round in 0..3 {
        let job = start(dir.path(), &[])?;
        let runs = until(PATIENCE, || {
            http::get(port, "/jobs/overview", None).is_ok_and(|answer| answer.body.contains("RUNNING"))
        });
        ensure!(runs, "round {round}: {}", said(&job.wait_with_output()?));
        let stopped = finish(dir.path(), &["stop", "-m", &url])?;
        assert!(stopped.status.success(), "round {round}: {}", said(&stopped));
        let savepoint = String::from_utf8_lossy(&stopped.stdout).into_owned();
        assert!(savepoint.starts_with("file://"), "{savepoint}");
        assert!(http::get(port, "/jobs/overview", None).is_err(), "nobody listens there any more");
        assert!(job.wait_with_output()?.status.success());
    }
    Ok(())
}

#[test]
fn a_second_run_by_mistake_is_refused_at_the_port_and_disturbs_nothing() -> Result<()> {
    let (dir, port) = (tempfile::tempdir()?, free_port()?);
    let config = format!(
        "pipeline.name: twice\nrest.port: {port}\nsource: {{type: generator, rate: 1000}}\nsinks: [{{type: csv, dir: out}}]\n\
         execution.checkpointing.interval: 500ms\n"
    );
    std::fs::write(dir.path().join("job.yaml"), config)?;
    let job = start(dir.path(), &[])?;
    ensure!(until(PATIENCE, || completed(port) > Some(0)), "no checkpoint was completed");
    let second = finish(dir.path(), &["run", "--config", "job.yaml"])?;
    assert_eq!(second.status.code(), Some(2), "{}", said(&second));
    assert!(said(&second).contains("another run of this job"), "{}", said(&second));
    let before = completed(port);
    ensure!(until(PATIENCE, || completed(port) > before), "the first run was fenced");
    signal(&job, "-TERM")?;
    let output = job.wait_with_output()?;
    assert!(output.status.success(), "{}", said(&output));
    Ok(())
}

#[test]
fn a_second_demo_by_mistake_leaves_the_results_of_the_first_alone() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let database = dir.path().join("clickstream-demo/clicks.db");
    let demo = ["demo", "--port", "0"];
    let first = clickstream(dir.path()).args(demo).stderr(Stdio::piped()).spawn()?;
    ensure!(until(PATIENCE, || database.exists()), "the demo writes nothing");
    let second = finish(dir.path(), &demo)?;
    assert_eq!(second.status.code(), Some(2), "{}", said(&second));
    assert!(said(&second).contains("another --dir"), "{}", said(&second));
    assert!(database.exists(), "it is the first one's");
    signal(&first, "-TERM")?;
    assert!(first.wait_with_output()?.status.success());
    let wrong = finish(dir.path(), &["demo", "--rate", "0"])?;
    assert!(said(&wrong).contains("rate is 0: choose 0.001 to"), "{}", said(&wrong));
    assert!(database.exists(), "nothing has replaced it");
    Ok(())
}

// How many checkpoints the job at this port has completed, if one is there.
fn completed(port: u16) -> Option<u64> {
    let ask = |path: &str| {
        let answer = http::get(port, path, None).ok()?;
        serde_json::from_str::<serde_json::Value>(&answer.body).ok()
    };
    let id = ask("/jobs/overview")?["jobs"][0]["jid"].as_str()?.to_owned();
    ask(&format!("/jobs/{id}/checkpoints"))?["counts"]["completed"].as_u64()
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

// As with `clickstream run 2>&1 | head`, or a log collector that ends.
#[test]
fn a_job_survives_whoever_reads_its_log() -> Result<()> {
    let (dir, port) = (tempfile::tempdir()?, free_port()?);
    let config = format!(
        "rest.port: {port}\nsource: {{type: generator, rate: 1000}}\nsinks: [{{type: csv, dir: out}}]\n\
         execution.checkpointing.interval: 200ms\n"
    );
    std::fs::write(dir.path().join("job.yaml"), config)?;
    let mut job = clickstream(dir.path())
        .args(["run", "--config", "job.yaml"])
        .env("RUST_LOG", "warn,millstream_runtime=debug")
        .stderr(Stdio::piped())
        .spawn()?;
    ensure!(until(PATIENCE, || completed(port) > Some(0)), "no checkpoint was completed");
    drop(job.stderr.take());
    let before = completed(port);
    ensure!(until(PATIENCE, || completed(port) > before.map(|count| count + 2)), "the job is gone");
    signal(&job, "-TERM")?;
    assert_eq!(job.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn every_line_is_json_where_that_is_wanted() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let good =
        "source: {type: generator, rate: 1000, count: 500}\nsinks: [{type: csv, dir: out}]\nrest.port: 0\n";
    let bad = "source: {type: generator}\nsinks:\n  - {type: csv, dir: out}\n  - {type: redis, urk: x}\n";
    for (config, code, says) in [(good, 0, "everything was read"), (bad, 2, "did you mean \"url\"?")] {
        std::fs::write(dir.path().join("job.yaml"), config)?;
        let output = finish(dir.path(), &["--log-format", "json", "run", "--config", "job.yaml"])?;
        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        let lines: Vec<serde_json::Value> =
            text.lines().map(serde_json::from_str).collect::<Result<_, _>>().with_context(|| text.clone())?;
        let complete = |line: &serde_json::Value| {
            ["time", "level", "message"].iter().all(|field| line[*field].is_string())
        };
        assert!(!lines.is_empty() && lines.iter().all(complete), "{text}");
        let logged =
            lines.iter().any(|line| line["message"].as_str().is_some_and(|message| message.contains(says)));
        assert!(logged, "{text}");
    }
    Ok(())
}

#[test]
fn a_failed_start_says_the_reason_first_once_and_the_line_of_the_file() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = "# two stores\nsource: {type: generator}\nsinks:\n  - {type: csv, dir: out}\n\n  - type: sqlite\n    \
                  path: no/such/clicks.db\n";
    for (config, code, reason, place) in [
        (config.to_owned(), 2, "error: sqlite: no/such/clicks.db", "at: sinks.1 in job.yaml, line 6"),
        (
            config.replace("path: no", "pahh: no"),
            2,
            "error: unknown key \"pahh\"",
            "at: sinks.1.pahh in job.yaml, line 7",
        ),
        (
            config.replace("{type: generator}", "{type: files, path: none.csv}"),
            2,
            "error: none.csv",
            "at: source in job.yaml, line 2",
        ),
    ] {
        std::fs::write(dir.path().join("job.yaml"), config)?;
        let output = finish(dir.path(), &["run", "--config", "job.yaml"])?;
        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.starts_with(reason), "{text}");
        assert_eq!(text.matches(reason.trim_start_matches("error: ")).count(), 1, "{text}");
        assert!(text.contains(place), "{text}");
    }
    Ok(())
}

#[test]
fn exit_codes_are_the_documented_ones() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let csv = "sinks: [{type: csv, dir: out}]\n";
    let job = |name: &str, text: &str| std::fs::write(dir.path().join(name), text);
    job("good.yaml", &format!("source: {{type: generator, count: 10}}\n{csv}"))?;
    job("no-jobs.yaml", &format!("jobs: []\nsource: {{type: generator}}\n{csv}"))?;
    job("no-yaml.yaml", "a: [")?;
    job("parallel.yaml", &format!("parallelism.default: 500\nsource: {{type: generator}}\n{csv}"))?;
    for (arguments, code, says) in [
        (&["run", "--config", "good.yaml"][..], 0, "everything was read"),
        (&["plan", "--config", "good.yaml"], 0, ""),
        (&["list", "-m", "http://127.0.0.1:1"], 1, "no job answers"),
        (&["run"], 2, "--config"),
        (&["run", "--config", "none.yaml"], 2, "none.yaml cannot be read"),
        (&["run", "--config", "no-yaml.yaml"], 2, "no valid YAML"),
        (&["run", "--config", "no-jobs.yaml"], 2, "jobs: [] computes nothing"),
        (&["plan", "--config", "no-jobs.yaml"], 2, "jobs: [] computes nothing"),
        (&["plan", "--config", "parallel.yaml"], 2, "key groups"),
        (&["plan", "--config", "good.yaml", "--set", "sinks.3.dir=x"], 2, "sinks has 1 element"),
        (&["demo", "--for", "10"], 2, "write 10s for seconds"),
        (
            &["run", "--config", "good.yaml", "-s", "file:///no/such/savepoint"],
            2,
            "error: file:///no/such/savepoint is neither",
        ),
    ] {
        let output = finish(dir.path(), arguments)?;
        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(says), "{arguments:?}: {text}");
    }
    Ok(())
}

#[test]
fn the_older_of_two_processes_ends_with_code_3() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = format!(
        "pipeline.name: twice\nsource: {{type: generator, rate: 100}}\nsinks: [{{type: csv, dir: out}}]\n\
         state.checkpoints.dir: file://{}/checkpoints\nexecution.checkpointing.interval: 200ms\n",
        dir.path().display()
    );
    std::fs::write(dir.path().join("job.yaml"), config)?;
    let older = start(dir.path(), &[])?;
    let stands = |dir: PathBuf| std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    ensure!(until(PATIENCE, || stands(dir.path().join("checkpoints"))), "no checkpoint was taken");
    let newer = start(dir.path(), &[])?;
    let output = older.wait_with_output()?;
    signal(&newer, "-TERM")?;
    assert!(newer.wait_with_output()?.status.success());
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    Ok(())
}

#[test]
fn who_reads_only_the_beginning_of_a_result_is_no_error() -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::write(
        dir.path().join("job.yaml"),
        "source: {type: generator}\nsinks: [{type: csv, dir: out}]\n",
    )?;
    let mut plan = clickstream(dir.path())
        .args(["plan", "--config", "job.yaml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    drop(plan.stdout.take());
    let output = plan.wait_with_output()?;
    assert!(output.status.success(), "{}: {}", output.status, said(&output));
    assert_eq!(said(&output), "");
    Ok(())
}
