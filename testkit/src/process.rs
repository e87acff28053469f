//! A server process: spawned in a session of its own, awaited until ready, ended by its own pid.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::group::Group;
use crate::{http, wait};

/// `nobody` on Debian: who runs the servers that refuse root.
pub(crate) const NOBODY: u32 = 65_534;

/// How a server shows that it is ready.
#[derive(Debug, Clone)]
pub enum Ready {
    /// It writes this to its log.
    Log(&'static str),
    /// It answers this GET with 200.
    Http {
        /// The loopback port to ask.
        port: u16,
        /// Path and query.
        path: &'static str,
        /// `user:password`, if it wants a login.
        login: Option<String>,
    },
}

/// Everything needed to start a server, as often as wanted.
#[derive(Debug, Clone)]
pub struct Launch {
    /// What messages call it.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// Environment variables on top of this process's own.
    pub env: Vec<(String, OsString)>,
    /// Its working directory; `server.log` in it gets the output.
    pub dir: PathBuf,
    /// Whether it must not run as root: then it runs as `nobody`.
    pub refuses_root: bool,
    /// When it counts as started.
    pub ready: Ready,
    /// How long that may take.
    pub patience: Duration,
}

impl Launch {
    /// Where the server's output goes.
    pub fn log(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    /// Spawns the process; it is not ready yet.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn spawn(&self) -> Result<Process> {
        let log = self.log();
        let output = File::options().create(true).append(true).open(&log);
        let output = output.with_context(|| format!("cannot write {}", log.display()))?;
        let log_start = output.metadata()?.len();
        let mut command = Command::new("setsid");
        command.args(self.privileges()).args(&self.command);
        command.envs(self.env.iter().map(|(name, value)| (name, value))).current_dir(&self.dir);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("cannot start {}", self.name))?;
        let group = Group::led_by(i32::try_from(child.id())?)?;
        Ok(Process { child, group, log_start })
    }

    /// Waits until `process` is ready.
    ///
    /// # Errors
    /// If it ends or takes too long; the message has the end of its log.
    pub fn wait_ready(&self, process: &mut Process) -> Result<()> {
        let deadline = wait::Deadline::after(self.patience);
        while !self.is_ready(process.log_start) {
            if let Some(status) = process.child.try_wait()? {
                bail!(
                    "{} ended ({status}) before it was ready; its log says:\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            if deadline.passed() {
                let seconds = self.patience.as_secs();
                bail!("{} was not ready after {seconds} s; its log says:\n{}", self.name, self.log_tail());
            }
            wait::pause(Duration::from_millis(50));
        }
        Ok(())
    }

    fn is_ready(&self, log_start: u64) -> bool {
        match &self.ready {
            Ready::Log(line) => read_from(&self.log(), log_start).is_ok_and(|text| text.contains(line)),
            Ready::Http { port, path, login } => {
                http::get(*port, path, login.as_deref()).is_ok_and(|response| response.status == 200)
            }
        }
    }

    fn privileges(&self) -> Vec<String> {
        if !self.refuses_root || !rustix::process::getuid().is_root() {
            return Vec::new();
        }
        let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
        vec!["setpriv".to_owned(), user, group, "--clear-groups".to_owned(), "--".to_owned()]
    }

    /// The last 30 lines of the log.
    pub fn log_tail(&self) -> String {
        let text = read_from(&self.log(), 0).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

/// A running server: a process group of its own, whose leader is our child.
#[derive(Debug)]
pub struct Process {
    child: Child,
    group: Group,
    log_start: u64,
}

impl Process {
    /// The process and all that it started.
    pub fn group(&self) -> Group {
        self.group
    }

    /// Asks it to end (SIGTERM), and ends it (SIGKILL) if it has not after `grace`.
    ///
    /// # Errors
    /// If it survives even that.
    pub fn stop(&mut self, grace: Duration) -> Result<()> {
        self.group.stop(grace)?;
        self.reap()
    }

    /// Ends it at once (SIGKILL), and waits until it is gone.
    ///
    /// # Errors
    /// If it is still there after 10 s.
    pub fn kill9(&mut self) -> Result<()> {
        self.group.kill9()?;
        self.reap()
    }

    fn reap(&mut self) -> Result<()> {
        self.child.wait().context("cannot wait for the server's end")?;
        Ok(())
    }
}

fn read_from(path: &Path, start: u64) -> Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
