//! A golden pipeline on YARN, as an application and in a session.

use std::path::Path;

use crate::common::{self, Case, Place, url};
use anyhow::{Context, Result};
use flink_golden::Pipeline;
use millstream_testkit::{FlinkHome, Yarn, ZooKeeper};

/// Sizes of the session's processes; those of an application are in its script.
const SIZES: [&str; 6] = [
    "-Djobmanager.memory.process.size=1g",
    "-Dtaskmanager.numberOfTaskSlots=2",
    "-Dtaskmanager.memory.process.size=2g",
    "-Dtaskmanager.memory.task.off-heap.size=256m",
    "-Dtaskmanager.memory.managed.size=0b",
    "-Dtaskmanager.memory.network.max=64m",
];

#[test]
fn an_application_and_a_session_on_yarn_give_what_one_process_gives() -> Result<()> {
    let (place, zookeeper, yarn) = (Place::new()?, ZooKeeper::start()?, Yarn::start()?);
    let (case, flink) = (Case::bounded(Pipeline::Sessions, 60_000), FlinkHome::on_yarn(&yarn)?);
    let application = run_application(&place, &case, &flink, &zookeeper.quorum())?;
    run_in_session(&place, &case, &flink)?;
    yarn.wait_for_success(&application)?;
    let expected = case.run_in_process(&place)?;
    for name in ["application", "session"] {
        common::must_be_equal(name, &expected, &place.results(&case, name)?)?;
    }
    Ok(())
}

/// Submits it by the script, and leaves it running.
fn run_application(place: &Place, case: &Case, flink: &FlinkHome, quorum: &str) -> Result<String> {
    let (jar, config) = (
        place.jar().display().to_string(),
        place.config(case, "application", &url(&place.fresh("checkpoints")))?,
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/flink/yarn-application.sh");
    let storage = format!("file://{}", place.fresh("high-availability").display());
    let environment = [("ZOOKEEPER", quorum), ("HA_STORAGE", &storage)];
    application(&flink.run(&script, &[&jar, &config.display().to_string()], &environment)?)
}

/// Starts a session, and waits for the job's end in it.
fn run_in_session(place: &Place, case: &Case, flink: &FlinkHome) -> Result<()> {
    let (jar, config) = (
        place.jar().display().to_string(),
        place.config(case, "session", &url(&place.fresh("checkpoints")))?,
    );
    let properties = format!("-Dyarn.properties-file.location={}", place.fresh("properties").display());
    let words = [&["-d", "-nm", "session", &properties][..], &SIZES].concat();
    let session = application(&flink.run(&flink.path().join("bin/yarn-session.sh"), &words, &[])?)?;
    let session = format!("-Dyarn.application.id={session}");
    let words = ["run", "-t", "yarn-session", &session, &jar, "--config", &config.display().to_string()];
    flink.run(&flink.path().join("bin/flink"), &words, &[]).map(drop)
}

/// The id of the application that a command of Flink's names.
fn application(output: &str) -> Result<String> {
    let id = output.split_whitespace().find(|word| word.starts_with("application_"));
    Ok(id.with_context(|| format!("no application was started: {output}"))?.to_owned())
}
