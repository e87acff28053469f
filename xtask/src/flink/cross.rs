//! Builds for other machines than this one, with zig as C compiler and linker: it brings the C libraries of
//! all of them, each in the version that is asked for.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
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
        command.env("CARGO_ZIGBUILD_ZIG_PATH", zig).env("PATH", first_on_path(zigbuild)?);
        // This machine's `strip` may not know the target.
        command.env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
        Ok(command)
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
