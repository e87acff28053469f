//! A folder of Flink as scripts know it by `FLINK_HOME`: its commands, without a cluster.

use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{FlinkVersion, Yarn, flink, java};

/// Its commands, by their names and classes.
const COMMANDS: [(&str, &str); 2] = [
    ("flink", "org.apache.flink.client.cli.CliFrontend"),
    ("yarn-session.sh", "org.apache.flink.yarn.cli.FlinkYarnSessionCli"),
];

/// A folder with `bin` and `conf`.
#[derive(Debug)]
pub struct FlinkHome {
    dir: TempDir,
    software: PathBuf,
    /// What the commands' class path has besides Flink's jars.
    more: String,
}

impl FlinkHome {
    /// Makes one, fetching the software if that has not been done.
    ///
    /// # Errors
    /// If it cannot be fetched, or files cannot be written.
    pub fn new() -> Result<Self> {
        Self::with_class_path(String::new())
    }

    /// Makes one whose commands submit to a YARN cluster.
    ///
    /// # Errors
    /// If it cannot be fetched, or files cannot be written.
    pub fn on_yarn(yarn: &Yarn) -> Result<Self> {
        Self::with_class_path(yarn.class_path())
    }

    fn with_class_path(more: String) -> Result<Self> {
        let software = FlinkVersion::default().software()?;
        let home = Self { dir: tempfile::tempdir()?, software, more };
        for part in ["bin", "conf"] {
            fs::create_dir(home.path().join(part))?;
        }
        let opens: Vec<OsString> = flink::opens().collect();
        let opens: Vec<_> = opens.iter().map(|option| option.to_string_lossy()).collect();
        home.configure(&opens.join(" "))?;
        for (name, class) in COMMANDS {
            home.add_command(name, class, &opens.join(" "))?;
        }
        Ok(home)
    }

    /// The value of `FLINK_HOME`.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Runs a command, such as `bin/flink` or a script that calls it, and returns what it prints.
    ///
    /// # Errors
    /// If it fails; the message has what it says.
    pub fn run(&self, program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<String> {
        let mut command = Command::new(program);
        command.args(arguments).envs(environment.iter().copied()).env("FLINK_HOME", self.path());
        let output = command.output().with_context(|| format!("cannot run {}", program.display()))?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        write!(text, "{}", String::from_utf8_lossy(&output.stderr))?;
        ensure!(output.status.success(), "{} {}: {text}", program.display(), arguments.join(" "));
        Ok(text)
    }

    /// Flink's own configuration opens the JDK for all processes.
    fn configure(&self, opens: &str) -> Result<()> {
        let conf = self.path().join("conf");
        fs::write(conf.join("config.yaml"), format!("env.java.opts.all: {opens}\n"))?;
        Ok(fs::write(conf.join("log4j.properties"), flink::LOG4J)?)
    }

    fn add_command(&self, name: &str, class: &str, opens: &str) -> Result<()> {
        let (home, software, java) = (self.path().display(), self.software.display(), java::program()?);
        let script = format!(
            "#!/bin/sh\nexport FLINK_CONF_DIR='{home}/conf' FLINK_LIB_DIR='{software}/lib' \
             FLINK_PLUGINS_DIR='{software}/plugins'\nexec '{}' {opens} -Xmx256m -XX:TieredStopAtLevel=1 \
             -Dlog4j2.configurationFile='{home}/conf/log4j.properties' -cp '{software}/lib/*:{}' {class} \
             \"$@\"\n",
            java.display(),
            self.more
        );
        let file = self.path().join("bin").join(name);
        fs::write(&file, script)?;
        Ok(fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?)
    }
}
