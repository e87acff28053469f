//! The real `flink` command: its class from Flink's published jars, without a cluster.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{cache, fetch, flink, java};

const VERSION: &str = "2.2.1";

const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>millstream</groupId><artifactId>flink-client</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.flink</groupId><artifactId>flink-clients</artifactId><version>@VERSION@</version></dependency>
  </dependencies>
</project>
"#;

/// Flink's command line.
#[derive(Debug)]
pub struct FlinkClient {
    jars: PathBuf,
    home: TempDir,
}

impl FlinkClient {
    /// Fetches it if that has not been done, and gives it an empty configuration.
    ///
    /// # Errors
    /// If Maven cannot be installed or fails.
    pub fn new() -> Result<Self> {
        let jars = cache::once(&cache::dir()?, &format!("flink-client-{VERSION}"), |target| {
            fetch::say(&format!("fetching Flink's command line {VERSION} by Maven"));
            fetch::maven_jars(&POM.replace("@VERSION@", VERSION), target)
        })?;
        let home = tempfile::tempdir()?;
        fs::write(home.path().join("config.yaml"), "rest.address: 127.0.0.1\n")?;
        Ok(Self { jars, home })
    }

    /// Runs `flink` with these arguments, such as `["list", "-m", "127.0.0.1:8081"]`.
    ///
    /// # Errors
    /// If Java cannot be run; that the command fails is in the output.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(java::program()?);
        command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp"]).arg(self.jars.join("*"));
        command.args(flink::opens());
        command.env("FLINK_CONF_DIR", self.home.path()).current_dir(self.home.path());
        command.arg("org.apache.flink.client.cli.CliFrontend").args(arguments);
        command.output().context("cannot run java")
    }
}
