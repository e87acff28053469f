//! Builds for other machines than this one, with zig as C compiler and linker: it brings the C libraries of
//! all of them, each in the version that is asked for.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, Error, Result};
use millstream_testkit::{GlibcVersion, cache, fetch};

use crate::shell::{cargo, succeed};

/// Rust's name for a kind of machine, and the glibc that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CrossTarget {
    pub(super) triple: String,
    pub(super) glibc: GlibcVersion,
}

impl FromStr for CrossTarget {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('.');
        let parts = parts.and_then(|(triple, glibc)| Some((triple, GlibcVersion::parse(glibc)?)));
        let (triple, glibc) = parts.context("write a target as x86_64-unknown-linux-gnu.2.28")?;
        Ok(Self { triple: triple.to_owned(), glibc })
    }
}

impl fmt::Display for CrossTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.triple, self.glibc)
    }
}

impl CrossTarget {
    /// A command that builds for this target, to which words are to be added. What it needs is fetched.
    pub(super) fn build(&self) -> Result<Command> {
        let zig = python_package("ziglang", "0.15.1")?.join("ziglang/zig");
        let zigbuild = python_package("cargo-zigbuild", "0.24.0")?.join("bin");
        succeed(Command::new("rustup").args(["target", "add", &self.triple]))?;
        let mut command = cargo(&["zigbuild", "--release", "--target", &self.to_string()]);
        command.envs(self.c_tools(&zig)?);
        command.env("CARGO_ZIGBUILD_ZIG_PATH", zig).env("PATH", first_on_path(zigbuild)?);
        // This machine's `strip` may not know the target.
        command.env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
        Ok(command)
    }

    /// The variables that librdkafka's `configure` reads; it knows none of those that name a target. What runs
    /// on this machine during the build keeps the machine's own tools.
    fn c_tools(&self, zig: &Path) -> Result<Vec<(&'static str, OsString)>> {
        let dir = cache::dir()?.join(format!("zig-for-{self}"));
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let target = format!("-target {}.{}", self.triple.replace("-unknown-", "-"), self.glibc);
        let tools =
            [("CC", "cc", &*target), ("CXX", "c++", &target), ("AR", "ar", ""), ("RANLIB", "ranlib", "")];
        let own = [
            ("HOST_CC", "cc"),
            ("HOST_CXX", "c++"),
            ("HOST_AR", "ar"),
            // It links a shared library, too, whose list of symbols names one that it does not have.
            ("LDFLAGS", "-Wl,--undefined-version"),
        ];
        let mut variables: Vec<_> = own.map(|(name, tool)| (name, OsString::from(tool))).into();
        for (name, tool, options) in tools {
            let script = dir.join(tool);
            let zig = format!("exec '{}' {tool}", zig.display());
            // Zig fails where it is asked for its version and a target.
            let text =
                format!("#!/bin/sh\n[ \"$1\" = --version ] && {zig} --version\n{zig} {options} \"$@\"\n");
            fs::write(&script, text).with_context(|| format!("cannot write {}", script.display()))?;
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
            variables.push((name, script.into_os_string()));
        }
        Ok(variables)
    }
}

fn python_package(name: &str, version: &str) -> Result<PathBuf> {
    cache::once(&cache::dir()?, &format!("{name}-{version}"), |target| {
        fetch::say(&format!("fetching {name} {version} by pip"));
        fetch::pip(&format!("{name}=={version}"), target)
    })
}

fn first_on_path(dir: PathBuf) -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths(std::iter::once(dir).chain(env::split_paths(&path)))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_names_its_glibc() -> Result<()> {
        let target: CrossTarget = "aarch64-unknown-linux-gnu.2.28".parse()?;
        assert_eq!(target.triple, "aarch64-unknown-linux-gnu");
        assert_eq!(target.glibc, GlibcVersion(2, 28));
        assert!("x86_64-unknown-linux-gnu".parse::<CrossTarget>().is_err());
        Ok(())
    }
}
