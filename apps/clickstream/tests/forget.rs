//! `clickstream forget`: what a job has written goes, and nothing else.

mod common;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::program::{clickstream, finish, run};
use millstream_testkit::wait::until;
use millstream_testkit::{Elasticsearch, Redis, http, unique_name};

const PATIENCE: Duration = Duration::from_secs(120);

fn config(dir: &Path, source: &str, prefix: &str, redis: &Redis) -> Result<()> {
    let elasticsearch = Elasticsearch::shared()?.url();
    let text = format!(
        "pipeline.name: forgetful\njobs: [user-clicks, hot-items]\nsource: {source}\nsinks:\n  - {{type: elasticsearch, hosts: \
         [\"{elasticsearch}\"], index-prefix: \"{prefix}\"}}\n  - {{type: redis, url: \"{}\"}}\n  - {{type: sqlite, path: out.db}}\n  \
         - {{type: csv, dir: csv}}\n",
        redis.url()
    );
    Ok(std::fs::write(dir.join("job.yaml"), text)?)
}

fn said(dir: &Path, arguments: &[&str]) -> Result<String> {
    let output = finish(dir, arguments)?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{arguments:?} ended with {}: {out}{err}", output.status);
    Ok(out.into_owned())
}

fn refused(dir: &Path, arguments: &[&str]) -> Result<String> {
    let output = finish(dir, arguments)?;
    ensure!(!output.status.success(), "it was not refused");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn keys(redis: &Redis) -> Result<Vec<String>> {
    let mut connection = redis::Client::open(redis.url())?.get_connection()?;
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection)?;
    keys.sort();
    Ok(keys)
}

#[test]
fn the_results_of_a_job_are_counted_then_deleted_and_a_new_job_writes_them_again() -> Result<()> {
    let (dir, redis, prefix) = (tempfile::tempdir()?, Redis::start()?, unique_name("forget-").to_lowercase());
    let source = "{type: generator, count: 3000, start: 1764000000000, event-rate: 20, users: 40}";
    config(dir.path(), source, &prefix, &redis)?;
    run(dir.path(), &["run", "--config", "job.yaml"])?;
    let mut connection = redis::Client::open(redis.url())?.get_connection()?;
    redis::cmd("HSET").arg("user_clicks:mine").arg("a").arg(1).exec(&mut connection)?;
    redis::cmd("SET").arg("another").arg(1).exec(&mut connection)?;
    let before = keys(&redis)?;

    let counted = said(dir.path(), &["forget", "--config", "job.yaml", "--dry-run"])?;
    ensure!(counted.contains("nothing was") && counted.contains("csv: stays"), "{counted}");
    let no_answer = refused(dir.path(), &["forget", "--config", "job.yaml"])?;
    ensure!(no_answer.contains("--dry-run") && no_answer.contains("--yes"), "{no_answer}");
    ensure!(keys(&redis)? == before, "a dry run deletes nothing");

    let deleted = said(dir.path(), &["forget", "--config", "job.yaml", "--yes"])?;
    let rows =
        |text: &str| text.lines().filter(|line| line.contains(": ")).map(str::to_owned).collect::<Vec<_>>();
    ensure!(rows(&counted) == rows(&deleted), "{counted}\n{deleted}");
    ensure!(keys(&redis)? == ["another", "user_clicks:mine"], "{:?}", keys(&redis)?);

    // As after the loss of the job's directory: without `forget` every store would refuse these writes as too
    // old.
    std::fs::remove_dir_all(dir.path().join(".millstream"))?;
    run(dir.path(), &["run", "--config", "job.yaml"])?;
    let again = said(dir.path(), &["forget", "--config", "job.yaml", "--dry-run"])?;
    ensure!(again == counted, "{counted}\n{again}");
    let one = said(dir.path(), &["forget", "--config", "job.yaml", "--sink", "sqlite", "--yes"])?;
    ensure!(one.contains("sqlite: user_clicks") && !one.contains("redis"), "{one}");
    let unknown = refused(dir.path(), &["forget", "--config", "job.yaml", "--sink", "mysql", "--yes"])?;
    ensure!(unknown.contains("elasticsearch, redis, sqlite, csv"), "{unknown}");
    said(dir.path(), &["forget", "--config", "job.yaml", "--yes"])?;
    Ok(())
}

#[test]
fn a_job_that_runs_keeps_its_results() -> Result<()> {
    let (dir, redis, prefix) = (tempfile::tempdir()?, Redis::start()?, unique_name("forget-").to_lowercase());
    config(dir.path(), "{type: generator, rate: 500}", &prefix, &redis)?;
    let mut job =
        clickstream(dir.path()).args(["run", "--config", "job.yaml"]).stderr(Stdio::null()).spawn()?;
    let claimed = dir.path().join(".millstream/forgetful/epochs/0000000001");
    let signed = || std::fs::read_to_string(&claimed).is_ok_and(|claim| claim.contains("pid"));
    ensure!(until(PATIENCE, signed), "the job claims no attempt");
    let refusal = refused(dir.path(), &["forget", "--config", "job.yaml", "--yes"]);
    job.kill()?;
    job.wait()?;
    let refusal = refusal?;
    ensure!(refusal.contains(&format!("process {}", job.id())), "{refusal}");
    said(dir.path(), &["forget", "--config", "job.yaml", "--yes"]).context("it is gone")?;
    let port = Elasticsearch::shared()?.url().rsplit(':').next().context("a port")?.parse()?;
    let gone = http::request(port, "GET", &format!("/{prefix}user_clicks"), None, "")?;
    ensure!(gone.status == 404, "{}", gone.body);
    Ok(())
}
