#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
//! Flink's REST interface on a running job: by hand, and by the real `flink` command.

use std::sync::Arc;
use std::time::Duration;

use millstream_api::Environment;
use millstream_generator::{GeneratorOptions, GeneratorSource};
use millstream_operators::collection::Collected;
use millstream_runtime::{JobHandle, RuntimeOptions};
use millstream_server::{Live, Server, ServerOptions};
use millstream_testkit::{FlinkClient, http, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A job without an end, its server, and the directory of its checkpoints.
struct Running {
    job: JobHandle,
    server: Arc<Server>,
    dir: TempDir,
}

fn start() -> Running {
    let dir = tempfile::tempdir().unwrap();
    let env = Environment::new("clicks");
    let options = GeneratorOptions { rate: Some(2000.0), ..GeneratorOptions::default() };
    let written: Collected<u64> = Collected::default();
    env.source("traffic", GeneratorSource::new(options))
        .map("sizes", |batch| batch.iter().count() as u64)
        .sink_to("sizes-written", written);
    let mut options = RuntimeOptions {
        checkpoints_dir: Some(format!("file://{}/checkpoints", dir.path().display())),
        savepoints_dir: Some(format!("file://{}/savepoints", dir.path().display())),
        ..RuntimeOptions::default()
    };
    options.checkpointing.interval = Some(Duration::from_millis(200));
    let job = millstream_runtime::start(env.plan().unwrap(), options).unwrap();
    let listen = ServerOptions { bind_address: "127.0.0.1".to_owned(), port: 0, password: None };
    let server = Arc::new(Server::for_job(&listen, &job.control(), &[], Live::default()).unwrap());
    Running { job, server, dir }
}

impl Running {
    fn request(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = http::request(self.server.address().port(), method, path, None, &body).unwrap();
        (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
    }

    fn get(&self, path: &str) -> Value {
        let (status, body) = self.request("GET", path, &Value::Null);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    fn job_path(&self) -> String {
        format!("/v1/jobs/{}", self.job.job_id())
    }

    fn checkpoints(&self) -> Value {
        self.get(&format!("{}/checkpoints", self.job_path()))
    }

    fn await_checkpoints(&self, count: u64) {
        let there = || self.checkpoints()["counts"]["completed"].as_u64() >= Some(count);
        assert!(wait::until(Duration::from_secs(30), there), "{}", self.checkpoints());
    }

    fn flink(&self, client: &FlinkClient, arguments: &[&str]) -> String {
        let address = self.server.address().to_string();
        let (verb, rest) = arguments.split_first().unwrap();
        let all = [&[*verb, "-m", address.as_str()], rest].concat();
        let output = client.run(&all).unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let cause = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "flink {arguments:?}:\n{said}\n{cause}");
        said
    }
}

#[test]
fn troubles_are_told_and_there_are_none() {
    let running = start();
    let path = format!("{}/troubles", running.job_path());
    assert_eq!(running.get(&path), json!({ "troubles": [] }));
    let (status, _) = running.request("GET", "/jobs/00000000000000000000000000000000/troubles", &Value::Null);
    assert_eq!(status, 404);
}

#[test]
fn the_job_and_its_checkpoints_are_told_in_flinks_words() {
    let running = start();
    running.await_checkpoints(2);
    let id = running.job.job_id().to_string();
    assert_eq!(running.get("/jobs"), json!({ "jobs": [{ "id": id, "status": "RUNNING" }] }));
    let overview = running.get("/jobs/overview");
    assert_eq!(
        (&overview["jobs"][0]["name"], &overview["jobs"][0]["state"]),
        (&json!("clicks"), &json!("RUNNING"))
    );
    assert_eq!(running.get("/overview")["jobs-running"], 1);
    assert_eq!(running.get("/config")["features"]["web-cancel"], true);
    let details = running.get(&running.job_path());
    assert_eq!(details["vertices"].as_array().unwrap().len(), running.job.plan().stages.len());
    let latest = &running.checkpoints()["latest"]["completed"];
    assert!(latest["external_path"].as_str().unwrap().starts_with("file://"), "{latest}");
    assert!(latest["end_to_end_duration"].is_u64() && latest["tasks"].is_object(), "{latest}");
    let exceptions = running.get(&format!("{}/exceptions", running.job_path()));
    assert_eq!(exceptions["exceptionHistory"]["entries"], json!([]));
    for (method, path, status) in [
        ("GET", format!("/jobs/{}", "0".repeat(32)), 404),
        ("GET", "/jobs/none".to_owned(), 400),
        ("PATCH", format!("{}?mode=explode", running.job_path()), 400),
        ("GET", format!("{}/savepoints/none", running.job_path()), 404),
    ] {
        let (answered, body) = running.request(method, &path, &Value::Null);
        assert_eq!(answered, status, "{method} {path}: {body}");
        assert!(body["errors"][0].is_string(), "{body}");
    }
}

#[test]
fn prometheus_hears_of_checkpoints_and_restarts() {
    let running = start();
    running.await_checkpoints(1);
    let answer = http::request(running.server.address().port(), "GET", "/metrics", None, "").unwrap();
    let labels = format!("{{job_id=\"{}\",job_name=\"clicks\"}}", running.job.job_id());
    let metric = |name: &str| -> f64 {
        let start = format!("flink_jobmanager_job_{name}{labels} ");
        let line = answer.body.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("{name} is not in {}", answer.body)).parse().unwrap()
    };
    assert!(metric("numberOfCompletedCheckpoints") >= 1.0);
    assert!(metric("lastCheckpointSize") > 0.0 && metric("lastCheckpointDuration") >= 0.0);
    assert_eq!((metric("numberOfFailedCheckpoints"), metric("numRestarts")), (0.0, 0.0));
    assert!(answer.body.contains("flink_taskmanager_job_task_checkpointAlignmentTimeMs{"), "{}", answer.body);
}

#[test]
fn a_savepoint_that_fails_says_why() {
    let running = start();
    let savepoints = format!("{}/savepoints", running.job_path());
    let body = json!({ "target-directory": "file:///proc/no-such-place", "cancel-job": false });
    let (status, accepted) = running.request("POST", &savepoints, &body);
    assert_eq!(status, 202);
    let path = format!("{savepoints}/{}", accepted["request-id"].as_str().unwrap());
    let over = || running.request("GET", &path, &Value::Null).0 != 200;
    assert!(wait::until(Duration::from_secs(60), over));
    let (status, answer) = running.request("GET", &path, &Value::Null);
    assert_eq!(status, 500);
    assert!(answer["errors"][0].as_str().unwrap().contains("/proc/no-such-place"), "{answer}");
    assert_eq!(running.get("/jobs")["jobs"][0]["status"], "RUNNING", "the job goes on");
}

#[test]
fn flinks_command_lists_saves_and_stops() {
    let (running, client) = (start(), FlinkClient::new().unwrap());
    let id = running.job.job_id().to_string();
    let listed = running.flink(&client, &["list"]);
    assert!(listed.contains(&id) && listed.contains("clicks (RUNNING)"), "{listed}");
    let dir = format!("file://{}/mine", running.dir.path().display());
    let said = running.flink(&client, &["savepoint", &id, &dir]);
    assert!(said.contains(&format!("{dir}/savepoint-{}", &id[..6])), "{said}");
    let Running { job, server, dir: _dir } = running;
    // As a program does: the server goes when the job has ended, but not before the answer was fetched.
    let served = Arc::clone(&server);
    let ends = std::thread::Builder::new().spawn(move || (job.wait(), drop(server)).0).unwrap();
    let address = served.address().to_string();
    drop(served);
    let output = client.run(&["stop", "-m", &address, &id]).unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("Savepoint completed. Path: file://"), "{said}");
    ends.join().unwrap().unwrap();
}

#[test]
fn flinks_command_cancels() {
    let (running, client) = (start(), FlinkClient::new().unwrap());
    let id = running.job.job_id().to_string();
    let said = running.flink(&client, &["cancel", &id]);
    assert!(said.contains(&format!("Cancelled job {id}")), "{said}");
    assert!(wait::until(Duration::from_secs(30), || running.job.is_over()));
    assert_eq!(running.get("/jobs")["jobs"][0]["status"], "CANCELED");
}
