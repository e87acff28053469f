//! A server with a home: starts, stops, crashes and comes back on the same data and ports; gone when dropped.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::group::Group;
use crate::port::Port;
use crate::process::{Launch, Process};
use crate::watchdog::Watchdog;

const GRACE: Duration = Duration::from_secs(30);

/// Where a server's data is, and who removes it.
#[derive(Debug)]
pub struct Home {
    dir: PathBuf,
    watchdog: Option<Watchdog>,
}

impl Home {
    /// A new directory that disappears with this value, and with this process.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn temporary(name: &str) -> Result<Self> {
        // Data can be large, and /tmp may be memory.
        let parent =
            Some(PathBuf::from("/var/tmp")).filter(|dir| dir.is_dir()).unwrap_or_else(std::env::temp_dir);
        let made = tempfile::Builder::new().prefix(&format!("millstream-{name}-")).tempdir_in(&parent);
        let dir = made.with_context(|| format!("cannot create a directory in {}", parent.display()))?.keep();
        let watchdog = Some(Watchdog::over(&dir)?);
        Ok(Self { dir, watchdog })
    }

    /// A directory of the caller's, for a server that outlives this process.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn lasting(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(Self { dir: dir.to_owned(), watchdog: None })
    }

    /// The home of another process of the same service: `part` of this one if it lasts, else a temporary one.
    pub(crate) fn another(&self, name: &str, part: &str) -> Result<Self> {
        match self.watchdog {
            Some(_) => Self::temporary(&format!("{name}-{part}")),
            None => Self::lasting(&self.dir.join(part)),
        }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// A server process with its home and its ports.
#[derive(Debug)]
pub struct Server {
    launch: Launch,
    process: Option<Process>,
    // Dropped after the process, in this order.
    home: Home,
    _ports: Vec<Port>,
}

impl Server {
    /// Starts what `launch` describes and waits until it is ready.
    ///
    /// # Errors
    /// If it does not become ready; the message has the end of its log.
    pub fn start(launch: Launch, home: Home, ports: Vec<Port>) -> Result<Self> {
        let mut server = Self { launch, process: None, home, _ports: ports };
        server.run()?;
        Ok(server)
    }

    /// Stops it in good order (SIGTERM); its data stays. Stopping a stopped server is fine.
    ///
    /// # Errors
    /// If it does not end.
    pub fn stop(&mut self) -> Result<()> {
        self.end(|process| process.stop(GRACE))
    }

    /// Kills it (SIGKILL), as a crash would; its data stays.
    ///
    /// # Errors
    /// If it does not end.
    pub fn kill9(&mut self) -> Result<()> {
        self.end(Process::kill9)
    }

    /// Starts it again, on the same data and ports; if it still runs, it is stopped first.
    ///
    /// # Errors
    /// If it does not end, or does not become ready again.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.run()
    }

    /// The pid of its first process; `None` while it is stopped.
    pub fn pid(&self) -> Option<i32> {
        self.group().map(|group| group.id)
    }

    /// All its processes; `None` while it is stopped.
    pub fn group(&self) -> Option<Group> {
        self.process.as_ref().map(Process::group)
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        self.home.dir()
    }

    /// The file that gets its output.
    pub fn log(&self) -> PathBuf {
        self.launch.log()
    }

    /// The end of its log, for a test's message.
    pub fn log_tail(&self) -> String {
        self.launch.log_tail()
    }

    fn run(&mut self) -> Result<()> {
        let mut process = self.launch.spawn()?;
        self.guard(process.group().id)?;
        let outcome = self.launch.wait_ready(&mut process);
        self.process = Some(process);
        if outcome.is_err() {
            self.kill9()?;
        }
        outcome
    }

    fn end(&mut self, how: impl FnOnce(&mut Process) -> Result<()>) -> Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        let outcome = how(&mut process);
        if outcome.is_ok() {
            self.guard(0)?;
        }
        outcome
    }

    fn guard(&mut self, group: i32) -> Result<()> {
        self.home.watchdog.as_mut().map_or(Ok(()), |watchdog| watchdog.guard(group))
    }
}

impl Drop for Server {
    /// A server with a temporary home ends at once: its data is about to go anyway.
    fn drop(&mut self) {
        if self.home.watchdog.is_some() {
            let _ = self.kill9();
        }
    }
}

/// The server of a handle that may also stand for one that somebody else runs.
///
/// # Errors
/// If somebody else runs it: a test that stops a server starts its own.
pub(crate) fn owned<'a>(server: &'a mut Option<Server>, name: &str) -> Result<&'a mut Server> {
    match server {
        Some(server) => Ok(server),
        None => bail!("this {name} is shared between test binaries: start your own to stop or kill it"),
    }
}

/// The one instance of a process: named by an environment variable, or else started on first use.
pub(crate) fn shared<T>(
    cell: &'static OnceLock<Result<T, String>>,
    variable: &str,
    remote: impl FnOnce(String) -> T,
    start: impl FnOnce() -> Result<T>,
) -> Result<&'static T> {
    let find = || match std::env::var(variable) {
        Ok(address) if !address.is_empty() => Ok(remote(address)),
        _ => start().map_err(|error| format!("{error:#}")),
    };
    cell.get_or_init(find).as_ref().map_err(|message| anyhow!("{message}"))
}
