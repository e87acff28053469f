//! What the commands say of a job that runs: its checkpoints, and what it has trouble with.

mod common;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::program::finish;
use common::window::Demo;
use millstream_testkit::Redis;
use millstream_testkit::wait::until;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// A job that writes to Redis, with checkpoints.
fn job(dir: &Path, redis: &Redis) -> Result<Demo> {
    let config = format!(
        "pipeline.name: shop\nrest.port: 0\nsource: {{type: generator, rate: 500, event-rate: 25}}\n\
         sinks: [{{type: redis, url: \"{}\"}}]\njobs: [user-clicks]\nexecution.checkpointing.interval: 200ms\n\
         state.savepoints.dir: file://{}/savepoints\n",
        redis.url(),
        dir.display()
    );
    std::fs::write(dir.join("job.yaml"), config)?;
    Demo::run(dir, &["run", "--config", "job.yaml"])
}

/// What a command prints about the job.
fn asked(dir: &Path, job: &Demo, command: &[&str]) -> Result<String> {
    let output = finish(dir, &[command, &["-m", &job.url]].concat())?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{command:?}: {err}");
    Ok(out.into_owned())
}

#[test]
fn a_job_that_runs_without_its_store_says_so() -> Result<()> {
    let (dir, mut redis) = (tempfile::tempdir()?, Redis::start()?);
    let job = job(dir.path(), &redis)?;
    let well = || asked(dir.path(), &job, &["list"]).is_ok_and(|said| said.ends_with(": shop (RUNNING)\n"));
    ensure!(until(PATIENCE, well), "{}", asked(dir.path(), &job, &["list"])?);
    redis.kill9()?;
    let subject = format!("Redis at {}: ", redis.url());
    let in_trouble = || {
        let said = asked(dir.path(), &job, &["list"]).unwrap_or_default();
        let lines: Vec<_> = said.lines().collect();
        let [first, second] = lines[..] else { return false };
        first.ends_with("(RUNNING)") && second.starts_with("  in trouble for ") && second.contains(&subject)
    };
    ensure!(until(PATIENCE, in_trouble), "{}", asked(dir.path(), &job, &["list"])?);
    redis.restart()?;
    ensure!(until(PATIENCE, well), "{}", asked(dir.path(), &job, &["list"])?);
    Ok(())
}

#[test]
fn checkpoints_are_listed_for_programs() -> Result<()> {
    let (dir, redis) = (tempfile::tempdir()?, Redis::start()?);
    let job = job(dir.path(), &redis)?;
    let listed = || -> Result<Vec<Value>> {
        Ok(serde_json::from_str(&asked(dir.path(), &job, &["checkpoints", "--json"])?)?)
    };
    let several =
        || listed().is_ok_and(|list| list.iter().filter(|one| one["status"] == "completed").count() > 2);
    ensure!(until(PATIENCE, several), "{:?}", listed()?);
    let url = asked(dir.path(), &job, &["savepoint"])?;
    let list = listed()?;
    let savepoint = list.iter().find(|one| one["kind"] == "savepoint").context("the savepoint is listed")?;
    assert_eq!(savepoint["path"], url.trim_end());
    for one in &list {
        let text = |key: &str| one[key].as_str().unwrap_or_default();
        assert!(["checkpoint", "savepoint"].contains(&text("kind")), "{one}");
        assert!(text("time").ends_with('Z') && text("time").contains('T'), "{one}");
        assert!(one["id"].is_u64() && one["age_seconds"].as_u64().is_some_and(|age| age < 120), "{one}");
    }
    // The newest one that is complete and was not deleted yet.
    let stands = |one: &&Value| one["status"] == "completed" && one["discarded"] == false;
    let newest = list.iter().find(stands).context("one is complete")?;
    assert!(newest["size_bytes"].as_u64() > Some(0), "{newest}");
    let ids: Vec<_> = list.iter().filter_map(|one| one["id"].as_u64()).collect();
    assert!(ids.is_sorted_by(|newer, older| newer > older), "{ids:?}");
    let path = savepoint["path"].as_str().context("it has a path")?;
    assert!(Path::new(path.trim_start_matches("file://")).exists(), "{path}");
    Ok(())
}
