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
const WANTED: (u32, u32) = (1, 24);
const FETCHED: &str = "1.24.8";

/// Where the module proxy put a module.
#[derive(Debug, Deserialize)]
struct Module {
    #[serde(rename = "Dir")]
    dir: PathBuf,
}

/// Builds a program from a Go module (`path@version`) into the directory `target`.
///
/// # Errors
/// If there is no Go and none can be installed, or the build fails.
pub(crate) fn install(module: &str, target: &Path) -> Result<()> {
    let mut command = Command::new(program()?);
    command.args(["install", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", module]);
    command.env("GOBIN", target).env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local").env_remove("GOFLAGS");
    command.env_remove("GOROOT").current_dir("/");
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
    let mut command = Command::new(old);
    command.args(["mod", "download", "-json", "-modcacherw", &module]).current_dir(modules.path());
    command.env("GOMODCACHE", modules.path()).env("GOTOOLCHAIN", "local").env_remove("GOFLAGS");
    let output = command.output().context("cannot run go")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let module: Module = serde_json::from_str(&text).with_context(|| {
        format!("the module proxy has no {module}: {text}{}", String::from_utf8_lossy(&output.stderr))
    })?;
    crate::files::copy(&module.dir, target)?;
    // Modules are data to the proxy: no file of theirs may be run.
    ["bin", "pkg/tool"].into_iter().try_for_each(|dir| make_runnable(&target.join(dir)))
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
