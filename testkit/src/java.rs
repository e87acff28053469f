//! The Java that runs Kafka, Elasticsearch, ZooKeeper, HDFS and Flink.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::fetch;

/// `$JAVA_HOME`, else the home of the `java` on the path, which is installed if missing.
pub(crate) fn home() -> Result<PathBuf> {
    if let Some(home) = env::var_os("JAVA_HOME").filter(|home| !home.is_empty()) {
        return Ok(PathBuf::from(home));
    }
    let java = fetch::apt("java", "openjdk-17-jdk-headless")?;
    let real = fs::canonicalize(&java).with_context(|| format!("cannot resolve {}", java.display()))?;
    let home = real.parent().and_then(|bin| bin.parent());
    Ok(home.with_context(|| format!("{} is not in a Java home", real.display()))?.to_owned())
}

/// The `java` program.
pub(crate) fn program() -> Result<PathBuf> {
    tool("java")
}

/// A program of the JDK, such as `javac`.
pub(crate) fn tool(name: &str) -> Result<PathBuf> {
    let program = home()?.join("bin").join(name);
    ensure!(
        program.is_file(),
        "there is no {}: set JAVA_HOME to a JDK 17, or leave it unset",
        program.display()
    );
    Ok(program)
}
