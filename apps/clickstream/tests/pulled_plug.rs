//! The plug is pulled again and again: the process is killed (SIGKILL) in mid-run and started with the same
//! command, and every count is exact in the end. State and recovery as a user sets them up, with a real Kafka
//! and a database.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::program::{clickstream, run};
use common::stores::{compare, in_sqlite};
use common::{brute_force, recording};
use millstream_testkit::Kafka;
use millstream_testkit::wait::pause;

const KILLS: usize = 6;

#[test]
fn every_count_is_exact_after_kills_in_mid_run() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (file, events) = recording::recording(dir.path())?;
    let kafka = Kafka::start()?;
    kafka.create_topics(&[("clicks", 4)])?;
    let (file, brokers) = (file.to_string_lossy(), kafka.bootstrap());
    run(dir.path(), &["replay", &file, "--format", "taobao-csv", "--topic", "clicks", "--brokers", brokers])?;
    let checkpoints = dir.path().join("checkpoints");
    // Small slices, so that there is a middle to be killed in.
    let config = format!(
        "pipeline.name: plug\nparallelism.default: 2\nruntime: {{records-per-call: 64, channel-bytes: 16kb}}\n\
         execution.checkpointing.interval: 20ms\nstate.checkpoints.dir: file://{}\n\
         source: {{type: kafka, brokers: \"{brokers}\", topic: clicks, bounded: latest}}\n\
         sinks:\n  - {{type: sqlite, path: clicks.db}}\n",
        checkpoints.display()
    );
    std::fs::write(dir.path().join("job.yaml"), config)?;

    let mut killed = 0;
    for epoch in 1..=KILLS {
        let mut job = start(dir.path())?;
        if completed_or_over(&checkpoints, epoch, &mut job)? {
            break;
        }
        job.kill()?;
        job.wait()?;
        killed += 1;
    }
    ensure!(killed >= 2, "the job was over after {killed} kills: there was no mid-run");
    let output = start(dir.path())?.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the job ended with {}:\n{said}", output.status);

    let wanted =
        (brute_force::user_clicks(&events), brute_force::hot_items(&events, 3), brute_force::pv_uv(&events));
    compare("SQLite", &in_sqlite(&dir.path().join("clicks.db"))?, &wanted);
    Ok(())
}

fn start(dir: &Path) -> Result<Child> {
    let mut command = clickstream(dir);
    command.args(["run", "--config", "job.yaml"]).stderr(Stdio::piped());
    command.spawn().context("the program cannot be started")
}

// Waits until this attempt has completed a second checkpoint; whether the job was over before.
fn completed_or_over(checkpoints: &Path, epoch: usize, job: &mut Child) -> Result<bool> {
    loop {
        if job.try_wait()?.is_some() {
            return Ok(true);
        }
        if second_of(checkpoints, epoch) {
            return Ok(false);
        }
        pause(Duration::from_millis(5));
    }
}

// By the folders of checkpoints, `chk-<number>-<epoch>`: a second one is written when the first is complete.
fn second_of(checkpoints: &Path, epoch: usize) -> bool {
    let of_epoch = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("chk-") && name.ends_with(&format!("-{epoch}"))
    };
    let folders = |dir: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
    };
    folders(checkpoints).iter().flat_map(|job| folders(job)).filter(of_epoch).count() > 1
}
