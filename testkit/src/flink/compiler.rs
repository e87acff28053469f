//! Makes a jar of a job's Java sources, without a build tool.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::FlinkVersion;
use crate::{fetch, java};

impl FlinkVersion {
    /// Compiles Java sources against this Flink and packs them into `job.jar` in `target`, whose path is
    /// returned. The classes are for Java 11, which all these versions run on.
    ///
    /// # Errors
    /// If there is no compiler, or it refuses the sources.
    pub fn compile(self, sources: &[&Path], target: &Path) -> Result<PathBuf> {
        let (classes, jar) = (target.join("classes"), target.join("job.jar"));
        fs::create_dir_all(&classes).with_context(|| format!("cannot create {}", classes.display()))?;
        let mut javac = Command::new(java::tool("javac")?);
        javac.args(["--release", "11", "-cp"]).arg(self.dist_jar()?).arg("-d").arg(&classes).args(sources);
        fetch::run(&mut javac, "javac")?;
        let mut pack = Command::new(java::tool("jar")?);
        pack.arg("--create").arg("--file").arg(&jar).arg("-C").arg(&classes).arg(".");
        fetch::run(&mut pack, "jar")?;
        Ok(jar)
    }
}
