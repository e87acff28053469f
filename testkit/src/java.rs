//! The Java that runs Kafka and Elasticsearch.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// `$JAVA_HOME`, else the home of the `java` on the path.
pub(crate) fn home() -> Result<PathBuf> {
    if let Some(home) = env::var_os("JAVA_HOME").filter(|home| !home.is_empty()) {
        return Ok(PathBuf::from(home));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let java = env::split_paths(&path).map(|dir| dir.join("java")).find(|java| java.is_file());
    let java =
        java.context("no java found: install a JDK 17 (Debian: apt-get install openjdk-17-jdk-headless)")?;
    let real = fs::canonicalize(&java).with_context(|| format!("cannot resolve {}", java.display()))?;
    let home = real.parent().and_then(|bin| bin.parent());
    Ok(home.with_context(|| format!("{} is not in a Java home", real.display()))?.to_owned())
}

/// The `java` program.
pub(crate) fn program() -> Result<PathBuf> {
    Ok(home()?.join("bin/java"))
}
