//! The Go that builds servers which nobody packages.

use std::env::consts::ARCH;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{cache, fetch};

/// What the servers want at least, and what is fetched if there is no such Go.
const WANTED: (u32, u32) = (1, 26);
const FETCHED: &str = "1.26.8";

/// Where the module proxy put a module.
#[derive(Debug, Deserialize)]
struct Module {
    #[serde(rename = "Dir")]
    dir: PathBuf,
}

/// A module that `go install` refuses, because its `go.mod` takes other modules from directories of its
/// repository, which its archive does not contain. They are published as modules of their own, too.
#[derive(Debug)]
pub(crate) struct Repository {
    /// `path@version`.
    pub(crate) module: String,
    /// The version of the modules that are taken from directories.
    pub(crate) parts: String,
    pub(crate) linker_flags: String,
}

/// The part of `go mod edit -json` that says which modules are taken from elsewhere.
#[derive(Debug, Deserialize)]
struct ModuleFile {
    #[serde(rename = "Replace", default)]
    replace: Vec<Replace>,
}

#[derive(Debug, Deserialize)]
struct Replace {
    #[serde(rename = "Old")]
    old: ModulePath,
    #[serde(rename = "New")]
    new: ModulePath,
}

#[derive(Debug, Deserialize)]
struct ModulePath {
    #[serde(rename = "Path")]
    path: String,
}

impl Repository {
    /// Builds commands of the module (`cmd/NAME`) into the directory `target`.
    ///
    /// # Errors
    /// If there is no Go and none can be installed, or the build fails.
    pub(crate) fn build(&self, commands: &[&str], target: &Path) -> Result<()> {
        let go = program()?;
        let sources = tempfile::Builder::new().prefix("millstream-go-").tempdir_in(target)?;
        crate::files::copy(&download(&go, &self.module, None)?, sources.path())?;
        for workspace in ["go.work", "go.work.sum"] {
            let _ = fs::remove_file(sources.path().join(workspace)); // not every repository has one
        }
        self.take_published_parts(&go, sources.path())?;
        for command in commands {
            let mut build = in_module(&go, sources.path());
            build.args(["build", "-trimpath", "-buildvcs=false", "-mod=mod", "-ldflags"]);
            build.arg(&self.linker_flags).arg("-o").arg(target.join(command)).arg(format!("./cmd/{command}"));
            fetch::run(&mut build, "go build")?;
        }
        Ok(())
    }

    fn take_published_parts(&self, go: &Path, sources: &Path) -> Result<()> {
        let file = sources.join("go.mod");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644))
            .with_context(|| format!("cannot change {}", file.display()))?;
        let output = in_module(go, sources).args(["mod", "edit", "-json"]).output()?;
        let replaced: ModuleFile = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("go mod edit: {}", String::from_utf8_lossy(&output.stderr)))?;
        let mut edit = in_module(go, sources);
        edit.args(["mod", "edit"]);
        for part in replaced.replace.iter().filter(|replace| replace.new.path.starts_with('.')) {
            let path = &part.old.path;
            edit.arg(format!("-dropreplace={path}")).arg(format!("-require={path}@{}", self.parts));
        }
        fetch::run(&mut edit, "go mod edit")
    }
}

/// The `go` command in the directory of a module.
fn in_module(go: &Path, dir: &Path) -> Command {
    let mut command = Command::new(go);
    command.env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local").env("GOWORK", "off");
    command.env_remove("GOFLAGS").env_remove("GOROOT").current_dir(dir);
    command
}

/// Builds a program from a Go module (`path@version`) into the directory `target`.
///
/// # Errors
/// If there is no Go and none can be installed, or the build fails.
pub(crate) fn install(module: &str, target: &Path) -> Result<()> {
    let mut command = in_module(&program()?, Path::new("/"));
    command.args(["install", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", module]).env("GOBIN", target);
    fetch::run(&mut command, "go install")
}

/// A `go` that is new enough: the machine's, else one from the module proxy.
fn program() -> Result<PathBuf> {
    let found = fetch::apt("go", "golang-go")?;
    if version(&found)? >= WANTED {
        return Ok(found);
    }
    // Distributions lag behind; every Go can fetch a newer one, which is a module like others.
    let root = cache::once(&cache::dir()?, &format!("go-{FETCHED}"), |target| toolchain(&found, target))?;
    Ok(root.join("bin/go"))
}

fn toolchain(old: &Path, target: &Path) -> Result<()> {
    fetch::say(&format!("fetching Go {FETCHED} (80 MB) from the module proxy"));
    let modules = tempfile::tempdir()?;
    let module = format!("golang.org/toolchain@v0.0.1-go{FETCHED}.linux-{}", architecture());
    crate::files::copy(&download(old, &module, Some(modules.path()))?, target)?;
    // Modules are data to the proxy: no file of theirs may be run.
    ["bin", "pkg/tool"].into_iter().try_for_each(|dir| make_runnable(&target.join(dir)))
}

/// Where the module (`path@version`) is after its download: in `cache` if one is given, else in Go's own.
fn download(go: &Path, module: &str, cache: Option<&Path>) -> Result<PathBuf> {
    let mut command = in_module(go, Path::new("/"));
    command.args(["mod", "download", "-json", "-modcacherw", module]);
    command.envs(cache.map(|dir| ("GOMODCACHE", dir)));
    let output = command.output().context("cannot run go")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let module: Module = serde_json::from_str(&text).with_context(|| {
        format!("the module proxy has no {module}: {text}{}", String::from_utf8_lossy(&output.stderr))
    })?;
    Ok(module.dir)
}

fn make_runnable(path: &Path) -> Result<()> {
    if path.is_dir() {
        return fs::read_dir(path)?.try_for_each(|entry| make_runnable(&entry?.path()));
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} runnable", path.display()))
}

fn version(program: &Path) -> Result<(u32, u32)> {
    let mut command = Command::new(program);
    let output = command.args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse(text.trim()).with_context(|| format!("{} has no version: {text:?}", program.display()))
}

/// `go1.26.8` as 1 and 26.
fn parse(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.strip_prefix("go")?.split('.').map(leading_number);
    Some((numbers.next()??, numbers.next()??))
}

/// `24rc1` is 24.
fn leading_number(text: &str) -> Option<u32> {
    text.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

fn architecture() -> &'static str {
    match ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(parse("go1.26.8"), Some((1, 26)));
        assert_eq!(parse("go1.24rc1"), Some((1, 24)));
        assert!(parse("go1.9").is_some_and(|old| old < WANTED));
        assert_eq!(parse("devel"), None);
    }
}
