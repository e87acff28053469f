//! Builds every test program of the workspace at once, so that features and crates are shared.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::part::Part;
use crate::shell::{cargo, output};
use crate::{console, workspace};

/// A built test program.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    /// The directory of its package, in which cargo would run it.
    pub(super) package: PathBuf,
    /// The same, from the root: `crates/stage`.
    room: String,
    target: String,
}

#[derive(Debug, Deserialize)]
struct Message {
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Profile {
    test: bool,
}

/// Builds them; compiler messages go to the developer.
pub(super) fn programs() -> Result<Vec<Program>> {
    console::line("   building all tests");
    let build = ["test", "--workspace", "--no-run", "--message-format", "json-render-diagnostics"];
    let messages = output(&mut cargo(&build))?;
    let mut programs: Vec<Program> =
        messages.lines().filter_map(|line| Program::of(line, &workspace::root())).collect();
    programs.sort_by_key(Program::name);
    anyhow::ensure!(!programs.is_empty(), "cargo built no test program");
    Ok(programs)
}

impl Program {
    fn of(line: &str, root: &Path) -> Option<Self> {
        let message: Message = serde_json::from_str(line).ok()?;
        let path = message.executable.filter(|_| message.profile.is_some_and(|profile| profile.test))?;
        let package = message.manifest_path?.parent()?.to_owned();
        let room = package.strip_prefix(root).unwrap_or(&package).display().to_string();
        Some(Self { path, room, target: message.target?.name, package })
    }

    /// What messages call it: its package's directory and its own name.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.room, self.target)
    }

    /// The part of the run it belongs to.
    pub(super) fn part(&self) -> Part {
        Part::of(&self.room, &self.target)
    }

    /// A name for a file.
    pub(super) fn slug(&self) -> String {
        self.name().replace(['/', ' '], "-")
    }
}

/// Where the toolchain's own libraries are: tests of derive macros link to the standard library in it.
pub(super) fn toolchain_libraries() -> Result<PathBuf> {
    let mut rustc = std::process::Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let libraries =
        output(rustc.args(["--print", "target-libdir"])).context("cannot ask rustc for its libraries")?;
    Ok(PathBuf::from(libraries.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_test_programs_are_taken() {
        let message = |test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/w/crates/stage/Cargo.toml",
                "target":{{"name":"rig"}},"profile":{{"test":{test}}},"executable":"/t/rig-1"}}"#
            )
        };
        let program = Program::of(&message(true), Path::new("/w")).expect("a test program");
        assert_eq!(
            (program.name().as_str(), program.slug().as_str()),
            ("crates/stage rig", "crates-stage-rig")
        );
        assert!(Program::of(&message(false), Path::new("/w")).is_none());
        assert!(Program::of(r#"{"reason":"build-finished","success":true}"#, Path::new("/w")).is_none());
    }
}
