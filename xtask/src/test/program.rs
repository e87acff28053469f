//! Runs one test program: output to a log, shown when it fails; a time limit, so that nothing hangs for ever.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use millstream_testkit::wait::{self, Stopwatch};

use super::TestArguments;
use super::build::{Program, toolchain_libraries};
use super::tally::Tally;
use crate::console;
use crate::shell::cargo;
use crate::workspace::Metadata;

/// Far beyond what any program needs, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// While a program runs, the developer hears of it this often.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// Which program of how many a step runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProgramNumber {
    pub(super) number: usize,
    pub(super) of: usize,
}

impl fmt::Display for ProgramNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} of {})", self.number, self.of)
    }
}

/// What every program's run needs to know.
#[derive(Debug)]
pub(super) struct Runner<'a> {
    arguments: &'a TestArguments,
    metadata: Metadata,
    logs: PathBuf,
    libraries: PathBuf,
}

impl<'a> Runner<'a> {
    /// Logs go beside what cargo builds.
    pub(super) fn new(arguments: &'a TestArguments) -> Result<Self> {
        let metadata = Metadata::read()?;
        let logs = metadata.target_directory.join("xtask-logs");
        fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        Ok(Self { arguments, metadata, logs, libraries: toolchain_libraries()? })
    }

    /// The folder of the logs.
    pub(super) fn logs(&self) -> &Path {
        &self.logs
    }

    /// Runs a test program as cargo would.
    pub(super) fn run(
        &self,
        program: &Program,
        place: ProgramNumber,
        environment: &[(&str, String)],
    ) -> Result<Tally> {
        let mut command = Command::new(&program.path);
        command.args(&self.arguments.arguments).current_dir(&program.package);
        command.env("CARGO_MANIFEST_DIR", &program.package).env("LD_LIBRARY_PATH", &self.libraries);
        command.envs(self.package_name(program).map(|name| ("CARGO_PKG_NAME", name)));
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let name = program.name();
        self.logged(&mut command, &format!("{place} {name}"), &name, &program.slug())
    }

    fn package_name(&self, program: &Program) -> Option<&str> {
        let manifest = program.package.join("Cargo.toml");
        let package = self.metadata.members().find(|package| package.manifest_path == manifest)?;
        Some(&package.name)
    }

    /// Runs the examples in the documentation of all crates.
    pub(super) fn doctests(&self) -> Result<Tally> {
        let mut command = cargo(&["test", "--workspace", "--doc", "--no-fail-fast", "--"]);
        command.args(&self.arguments.arguments);
        self.logged(&mut command, "doctests", "doctests", "doctests")
    }

    fn logged(&self, command: &mut Command, title: &str, name: &str, slug: &str) -> Result<Tally> {
        let watch = Stopwatch::start();
        let log = self.logs.join(format!("{slug}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let status = limited(command, title).with_context(|| format!("cannot run {name}"))?;
        let output = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let mut tally = Tally::of(name, &output, status.is_none_or(|status| status.success()));
        if status.is_none() {
            tally.fail(&format!("{name}: ended after {}", console::time(LIMIT)));
        }
        if self.arguments.verbose || tally.failed > 0 {
            console::line(output.trim_end());
        }
        show(title, &tally, watch, &log);
        Ok(tally)
    }
}

fn show(title: &str, tally: &Tally, watch: Stopwatch, log: &Path) {
    let time = console::time(watch.elapsed());
    match tally.failed {
        0 => console::line(&format!("   {title}: {} passed, {time}", tally.passed)),
        failed => {
            let counts = format!("{} passed, {failed} FAILED, {time}", tally.passed);
            console::line(&format!("   {title}: {counts}; log: {}", log.display()));
        }
    }
}

/// Its exit status; `None` if it had to be killed.
fn limited(command: &mut Command, title: &str) -> Result<Option<ExitStatus>> {
    let mut child = command.spawn()?;
    let (mut status, watch, mut heard) = (None, Stopwatch::start(), Duration::ZERO);
    wait::until(LIMIT, || {
        status = child.try_wait().ok().flatten();
        if status.is_none() && watch.elapsed() >= heard + HEARTBEAT {
            heard += HEARTBEAT;
            console::line(&format!("   {title}: still running, {}", console::time(heard)));
        }
        status.is_some()
    });
    if status.is_none() {
        child.kill()?;
        child.wait()?;
    }
    Ok(status)
}
