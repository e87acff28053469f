//! Checkpoint storage that is not there, at the start and later: what cannot pass by waiting is refused at
//! once with its exit code, what may pass is waited for with few log lines, while page and metrics are served
//! and signals are heard.

mod common;

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::program::clickstream;
use millstream_testkit::port::Port;
use millstream_testkit::server::Server;
use millstream_testkit::wait::until;
use millstream_testkit::{Hdfs, MinIo, http, unique_name};

/// Less than the repetitions of the storage take by themselves.
const PATIENCE: Duration = Duration::from_secs(120);

// Without what the machine's environment may say of Amazon or Hadoop.
fn program(dir: &Path) -> Command {
    let mut command = clickstream(dir);
    for (name, _) in std::env::vars() {
        if name.starts_with("AWS_") || name.starts_with("HADOOP_") {
            command.env_remove(name);
        }
    }
    command
}

fn config(url: &str, storage: &str) -> String {
    format!(
        "pipeline.name: away\nrest.port: 0\njobs: [user-clicks]\n\
         source: {{type: generator, rate: 2000, users: 100}}\nsinks: [{{type: csv, dir: out}}]\n\
         execution.checkpointing.interval: 300ms\nexecution.checkpointing.tolerable-failed-checkpoints: 1000\n\
         state.checkpoints.dir: {url}\n{storage}"
    )
}

fn keys(endpoint: &str, minio: &MinIo) -> String {
    format!(
        "s3.endpoint: {endpoint}\ns3.access-key: {}\ns3.secret-key: {}\n",
        minio.access_key(),
        minio.secret_key()
    )
}

/// A job with its log in a file, and its page where the log says; killed when dropped.
struct Job {
    process: Child,
    dir: tempfile::TempDir,
}

impl Job {
    fn start(config: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("job.yaml"), config)?;
        let log = File::create(dir.path().join("log"))?;
        let mut command = program(dir.path());
        command.args(["run", "--config", "job.yaml"]).stdout(Stdio::null()).stderr(log);
        Ok(Self { process: command.spawn()?, dir })
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn until_said(&self, text: &str) -> Result<()> {
        ensure!(until(PATIENCE, || self.said().contains(text)), "it does not say {text:?}:\n{}", self.said());
        Ok(())
    }

    // How many lines tell the storage's troubles, by what they have in them.
    fn lines(&self, text: &str) -> usize {
        self.said().lines().filter(|line| line.contains("the storage at ") && line.contains(text)).count()
    }

    fn metric(&self, name: &str) -> Option<f64> {
        let said = self.said();
        let url = said.lines().find_map(|line| line.split("live page: http://127.0.0.1:").nth(1))?;
        let port = url.trim_end_matches('/').parse().ok()?;
        let text = http::get(port, "/metrics", None).ok()?.body;
        let value = text.lines().find(|line| line.contains(name) && !line.starts_with('#'))?;
        value.rsplit(' ').next()?.parse().ok()
    }

    fn until_metric(&self, name: &str, holds: impl Fn(f64) -> bool) -> Result<()> {
        let reached = until(PATIENCE, || self.metric(name).is_some_and(&holds));
        ensure!(reached, "{name} is {:?}:\n{}", self.metric(name), self.said());
        Ok(())
    }

    fn until_checkpoints_go_on(&self) -> Result<()> {
        const COMPLETE: &str = "numberOfCompletedCheckpoints";
        let before = self.metric(COMPLETE).unwrap_or_default();
        self.until_metric(COMPLETE, |now| now > before + 1.0)
    }

    fn terminate(mut self) -> Result<(ExitStatus, String)> {
        let sent = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status()?;
        ensure!(sent.success(), "the process is gone already:\n{}", self.said());
        let mut status = None;
        let ended = until(PATIENCE, || {
            status = self.process.try_wait().ok().flatten();
            status.is_some()
        });
        ensure!(ended, "it does not end:\n{}", self.said());
        Ok((status.context("it has ended")?, self.said()))
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

// Refused at once, with the exit code of a wrong configuration and without a log line.
fn refused(config: &str, because: &str) -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("job.yaml"), config)?;
    let output = program(dir.path()).args(["run", "--config", "job.yaml"]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(2), "{because}: it ended with {}:\n{said}", output.status);
    ensure!(said.contains(because) && !said.contains("it is tried again"), "{because}:\n{said}");
    Ok(())
}

#[test]
fn what_s3_will_never_take_is_refused_with_advice() -> Result<()> {
    let minio = MinIo::start()?;
    let bucket = unique_name("away");
    minio.create_bucket(&bucket)?;
    let (url, endpoint) = (format!("s3://{bucket}/checkpoints"), minio.endpoint());
    let right = keys(endpoint, &minio);
    refused(&config(&url, &format!("s3.endpoint: {endpoint}\n")), "no credentials for s3://")?;
    let wrong = right.replace(minio.secret_key(), "wrong-secret");
    refused(&config(&url, &wrong), "the credentials are refused")?;
    let foreign = format!("{right}s3.session-token: of-somebody-else\n");
    refused(&config(&url, &foreign), "credentials")?;
    refused(&config("s3://no-such-bucket/checkpoints", &right), "the bucket does not exist: create it")
}

// Waits for what is not there, visibly; and ends when it is told to.
fn waits(config: &str, because: &str) -> Result<()> {
    let job = Job::start(config)?;
    job.until_said(because)?;
    job.until_metric("troubleSeconds", |seconds| seconds > 1.0)?;
    assert_eq!(job.lines("it is tried again"), 1, "{}", job.said());
    let (status, said) = job.terminate()?;
    ensure!(status.success(), "it ended with {status}:\n{said}");
    Ok(())
}

#[test]
fn storage_that_is_away_is_waited_for_visibly() -> Result<()> {
    let minio = MinIo::start()?;
    let bucket = unique_name("away");
    minio.create_bucket(&bucket)?;
    let url = format!("s3://{bucket}/checkpoints");
    waits(&config(&url, &keys("http://store.invalid:9000", &minio)), "does not resolve")?;
    let group = minio.server().and_then(Server::group).context("it runs")?;
    group.pause();
    let silent = waits(&config(&url, &keys(minio.endpoint(), &minio)), "no answer within 5s yet");
    group.resume();
    silent?;
    let port = Port::reserve()?;
    let nobody = format!("http://127.0.0.1:{}", port.number());
    waits(&config(&url, &keys(&nobody, &minio)), "nothing listens")?;
    waits(&config(&format!("hdfs://127.0.0.1:{}/job", port.number()), ""), "nothing listens")?;
    waits(&config("hdfs://namenode.invalid:8020/job", ""), "does not resolve")?;
    // The port of something else.
    let other = minio.endpoint().trim_start_matches("http://");
    waits(&config(&format!("hdfs://{other}/job"), ""), "is tried again")
}

#[test]
fn s3_comes_goes_and_comes_back() -> Result<()> {
    let mut minio = MinIo::start()?;
    let bucket = unique_name("away");
    minio.create_bucket(&bucket)?;
    minio.kill9()?;
    let job = Job::start(&config(&format!("s3://{bucket}/checkpoints"), &keys(minio.endpoint(), &minio)))?;
    job.until_said("nothing listens")?;
    minio.restart()?;
    job.until_checkpoints_go_on()?;
    assert_eq!((job.lines("it is tried again"), job.lines("back again")), (1, 1), "{}", job.said());
    minio.kill9()?;
    let away = until(PATIENCE, || job.lines("it is tried again") == 2);
    minio.restart()?;
    ensure!(away, "it does not say that the storage is away:\n{}", job.said());
    job.until_checkpoints_go_on()?;
    let said = job.said();
    assert_eq!((job.lines("it is tried again"), job.lines("back again")), (2, 2), "{said}");
    let (status, said) = job.terminate()?;
    ensure!(status.success(), "it ended with {status}:\n{said}");
    Ok(())
}

#[test]
fn hdfs_comes_goes_and_comes_back() -> Result<()> {
    let mut hdfs = Hdfs::start()?;
    hdfs.namenode()?.kill9()?;
    let job = Job::start(&config(&format!("{}/job", hdfs.url()), "hdfs.user: millstream\n"))?;
    job.until_said("nothing listens")?;
    hdfs.namenode()?.restart()?;
    job.until_checkpoints_go_on()?;
    // One DataNode of two is enough.
    hdfs.datanode(1)?.kill9()?;
    job.until_checkpoints_go_on()?;
    let failed = job.metric("numberOfFailedCheckpoints");
    ensure!(failed == Some(0.0), "{failed:?} checkpoints failed:\n{}", job.said());
    let (status, said) = job.terminate()?;
    ensure!(status.success(), "it ended with {status}:\n{said}");
    Ok(())
}
