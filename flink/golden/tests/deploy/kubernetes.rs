//! What is in `deploy/flink/kubernetes`, on a real API server.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flink_golden::Pipeline;
use millstream_testkit::{Flink, FlinkHome, JobState, Kubernetes};
use serde_json::Value;

use crate::common::{self, Case, Place};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/flink")
}

/// Whether the server would take the objects of a file, down to the last field.
fn try_out(kubernetes: &Kubernetes, manifest: &Path) -> Result<String> {
    let file = manifest.display().to_string();
    kubernetes.kubectl(&["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", &file])
}

#[test]
fn manifests_are_accepted_and_misspelt_ones_are_not() -> Result<()> {
    let (kubernetes, dir) = (Kubernetes::start()?, tempfile::tempdir()?);
    kubernetes.add_flink_operator_types()?;
    for name in ["rbac.yaml", "session.yaml", "application.yaml"] {
        let manifest = deploy().join("kubernetes").join(name);
        try_out(&kubernetes, &manifest)?;
        let text = fs::read_to_string(&manifest)?.replacen("metadata:\n", "metadata:\n  lables: {}\n", 1);
        let wrong = dir.path().join(name);
        fs::write(&wrong, text)?;
        let error = try_out(&kubernetes, &wrong).err().context("a field that does not exist is accepted")?;
        ensure!(error.to_string().contains("lables"), "{name}: {error}");
    }
    Ok(())
}

#[test]
fn job_managers_of_a_session_need_no_more_rights_than_its_account_has() -> Result<()> {
    let (kubernetes, place) = (Kubernetes::start()?, Place::new()?);
    kubernetes.kubectl(&["apply", "-f", &deploy().join("kubernetes/rbac.yaml").display().to_string()])?;
    let account = kubernetes.account("flink-session")?;
    let builder = Flink::builder().kubernetes_high_availability(&account, 2).slots(2).task_off_heap(256);
    let mut flink = builder.start()?;
    let case = Case::bounded(Pipeline::Windows, 60_000).at_rate(6_000.0);
    let job = flink.run(&place.submission(&case, "elected")?)?;
    job.wait_for_checkpoints(2)?;
    let first = flink.wait_for_leader(&[])?;
    flink.job_manager(first)?.kill9()?;
    flink.wait_for_leader(&[first])?;
    job.wait_for(JobState::Finished)?;
    common::must_be_equal("elected", &case.run_in_process(&place)?, &place.results(&case, "elected")?)
}

#[test]
fn the_native_application_makes_what_its_script_asks_for() -> Result<()> {
    let (kubernetes, flink) = (Kubernetes::start()?, FlinkHome::new()?);
    let client = format!("-Dkubernetes.config.file={}", kubernetes.administrator().display());
    let script = deploy().join("kubernetes/native-application.sh");
    flink.run(&script, &["clickstream", "clickstream-flink:0.1.0", &client], &[])?;
    let deployment = kubernetes.kubectl(&["get", "deployment", "clickstream", "-o", "json"])?;
    let spec = &serde_json::from_str::<Value>(&deployment)?["spec"];
    let pod = &spec["template"]["spec"];
    let container = &pod["containers"][0];
    let has = |list: &Value, key: &str, value: &str| {
        let items = list.as_array().context("no list")?;
        ensure!(items.iter().any(|item| item[key] == value), "no {key} {value} in {list}");
        Ok(())
    };
    ensure!(spec["replicas"] == 3 && pod["serviceAccountName"] == "flink", "{spec}");
    ensure!(container["image"] == "clickstream-flink:0.1.0", "{container}");
    ensure!(container["envFrom"][0]["secretRef"]["name"] == "clickstream-secrets", "{container}");
    has(&container["volumeMounts"], "mountPath", "/opt/millstream")?;
    has(&container["volumeMounts"], "mountPath", "/tmp")?;
    has(&container["ports"], "name", "metrics")?;
    has(&pod["volumes"], "name", "tmp")
}
