//! The job of the tests of Flink clusters.

use std::path::{Path, PathBuf};

use anyhow::Result;
use millstream_testkit::{FlinkVersion, Submission};
use tempfile::TempDir;

/// The jar, compiled for `version`; the directory is to be kept as long as it is used.
pub(crate) fn jar(version: FlinkVersion) -> Result<(TempDir, PathBuf)> {
    let dir = tempfile::tempdir()?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flink/SequenceJob.java");
    let jar = version.compile(&[&source], dir.path())?;
    Ok((dir, jar))
}

/// A job that counts until it is stopped.
pub(crate) fn endless(jar: &Path) -> Submission {
    counting(jar, i64::MAX, -1)
}

/// A job that counts to `last` and fails at `broken`.
pub(crate) fn counting(jar: &Path, last: i64, broken: i64) -> Submission {
    let job = Submission::jar(jar).class("SequenceJob").parallelism(2);
    job.argument(last.to_string()).argument(broken.to_string())
}
