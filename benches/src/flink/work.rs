//! What is to be computed, as each side wants to be told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use millstream_testkit::{FlinkVersion, Submission};

/// All metrics of the shop.
pub(super) const ALL: &str = "user-clicks,hot-items,pv-uv";

/// The programs that are compared.
pub(super) struct Programs {
    java: PathBuf,
    ours: PathBuf,
    process: PathBuf,
}

/// Who computes it in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InFlink {
    Java,
    Ours,
}

/// A job.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) brokers: String,
    pub(super) topic: String,
    /// The metrics, separated by commas.
    pub(super) metrics: &'static str,
    pub(super) parallelism: u32,
    /// The topic that results go to; none keeps no results.
    pub(super) results: Option<String>,
    /// Whether the job ends with what the topic has when it starts.
    pub(super) bounded: bool,
    pub(super) rocksdb: bool,
    /// Between two checkpoints.
    pub(super) interval: Duration,
}

impl Programs {
    /// Takes what is built beside this program, and makes the jars.
    pub(super) fn make(dir: &Path) -> Result<Self> {
        let beside = |name: &str| Ok::<_, anyhow::Error>(std::env::current_exe()?.with_file_name(name));
        let (process, library) = (beside("clickstream")?, beside("libclickstream_flink.so")?);
        ensure!(
            process.exists() && library.exists(),
            "clickstream is not built: run cargo build --release --package clickstream --package clickstream-flink first"
        );
        let (flink, ours) = (FlinkVersion::default(), dir.join("clickstream-flink.jar"));
        flink.pipeline_jar(&library, &ours)?;
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("flink-java");
        Ok(Self { java: flink.maven_jar(&project, "clickstream-java")?, ours, process })
    }
}

impl Work {
    /// The job for a cluster. Files go to `dir`.
    pub(super) fn submission(&self, who: InFlink, programs: &Programs, dir: &Path) -> Result<Submission> {
        match who {
            InFlink::Java => Ok(self.in_java(programs, dir)),
            InFlink::Ours => {
                let file = self.configuration(dir)?;
                Ok(Submission::jar(&programs.ours).argument("--config").argument(file.display().to_string()))
            }
        }
    }

    /// The job as a process of its own.
    pub(super) fn process(&self, programs: &Programs, dir: &Path) -> Result<Command> {
        let mut command = Command::new(&programs.process);
        command.arg("run").arg("--config").arg(self.configuration(dir)?).current_dir(dir);
        Ok(command)
    }

    fn in_java(&self, programs: &Programs, dir: &Path) -> Submission {
        let mut job = Submission::jar(&programs.java).parallelism(self.parallelism);
        let values = [("--brokers", Some(&self.brokers)), ("--topic", Some(&self.topic))];
        for (name, value) in values.into_iter().chain([("--results", self.results.as_ref())]) {
            if let Some(value) = value {
                job = job.argument(name).argument(value);
            }
        }
        job = job.argument("--jobs").argument(self.metrics);
        if self.bounded {
            job = job.argument("--bounded").argument("true");
        }
        job.setting("execution.checkpointing.interval", format!("{} ms", self.interval.as_millis()))
            .setting("execution.checkpointing.dir", checkpoints(dir))
            .setting("execution.checkpointing.incremental", self.rocksdb.to_string())
            .setting("state.backend.type", self.backend())
    }

    fn configuration(&self, dir: &Path) -> Result<PathBuf> {
        let Self { brokers, topic, metrics, parallelism, .. } = self;
        let bounded = if self.bounded { ", bounded: latest" } else { "" };
        let sink = match &self.results {
            Some(results) => format!("{{type: kafka, brokers: \"{brokers}\", topic: {results}}}"),
            None => "{type: blackhole}".to_owned(),
        };
        let text = format!(
            "pipeline.name: clicks\nparallelism.default: {parallelism}\n\
             source: {{type: kafka, brokers: \"{brokers}\", topic: {topic}, group-id: clicks{bounded}}}\n\
             jobs: [{metrics}]\nsinks: [{sink}]\n\
             dead-letter: {{type: files, path: {}/dead-letter.jsonl}}\n\
             execution.checkpointing.interval: {}ms\nexecution.checkpointing.incremental: {}\n\
             state.checkpoints.dir: {}\nstate.backend.type: {}\n",
            dir.display(),
            self.interval.as_millis(),
            self.rocksdb,
            checkpoints(dir),
            self.backend()
        );
        let file = dir.join("clicks.yaml");
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    fn backend(&self) -> &'static str {
        if self.rocksdb { "rocksdb" } else { "hashmap" }
    }
}

fn checkpoints(dir: &Path) -> String {
    format!("file://{}/checkpoints", dir.display())
}
