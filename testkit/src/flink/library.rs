//! The native library of a pipeline, and what it needs of the machines that run it.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Where glibc is, these are too.
const WITH_GLIBC: [&str; 8] =
    ["libc.so", "libm.so", "libdl.so", "libpthread.so", "librt.so", "libutil.so", "libgcc_s.so", "ld-linux"];

/// A version of glibc, such as 2.28.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GlibcVersion(pub u32, pub u32);

/// A shared library for Linux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineLibrary {
    path: PathBuf,
    architecture: &'static str,
    glibc: GlibcVersion,
    others: BTreeSet<String>,
}

impl PipelineLibrary {
    /// Reads what the library needs.
    ///
    /// # Errors
    /// If it is missing, or is for machines on which no pipeline runs.
    pub fn read(path: &Path) -> Result<Self> {
        ensure!(path.is_file(), "there is no library {}", path.display());
        let mut command = Command::new("readelf");
        command.args(["--wide", "--file-header", "--dynamic", "--version-info"]).arg(path);
        let output = command.env("LC_ALL", "C").output().context("cannot run readelf of binutils")?;
        Self::parse(path, &String::from_utf8_lossy(&output.stdout))
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let machine = text.lines().find_map(|line| line.trim().strip_prefix("Machine:"));
        let architecture = architecture(machine.unwrap_or_default().trim());
        let glibc = text.lines().filter_map(GlibcVersion::in_line).max();
        let with_glibc = |library: &&str| WITH_GLIBC.iter().any(|name| library.starts_with(name));
        let needed =
            text.lines().filter_map(|line| line.split_once("Shared library: [")?.1.split(']').next());
        Ok(Self {
            path: path.to_owned(),
            architecture: architecture
                .with_context(|| format!("{} is no library for x86-64 or ARM", path.display()))?,
            glibc: glibc.with_context(|| format!("{} does not use glibc", path.display()))?,
            others: needed.filter(|library| !with_glibc(library)).map(str::to_owned).collect(),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Rust's name of the machines that it runs on: `x86_64` or `aarch64`.
    pub fn architecture(&self) -> &'static str {
        self.architecture
    }

    /// The oldest glibc that has all that the library calls.
    pub fn glibc(&self) -> GlibcVersion {
        self.glibc
    }
}

/// What it needs, as a sentence.
impl fmt::Display for PipelineLibrary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux-{} needs glibc {} or later", self.architecture, self.glibc)?;
        let others: Vec<&str> = self.others.iter().map(String::as_str).collect();
        if others.is_empty() { write!(f, ".") } else { write!(f, ", and {}.", others.join(", ")) }
    }
}

impl GlibcVersion {
    /// `2.28`.
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }

    /// The version that a line of readelf's list of versions names. Versions older than 2.2.5 have a third
    /// number that no version since has.
    fn in_line(line: &str) -> Option<Self> {
        let version = line.split_once("Name: GLIBC_")?.1.split_whitespace().next()?;
        let mut numbers = version.split('.').map(str::parse);
        Some(Self(numbers.next()?.ok()?, numbers.next()?.ok()?))
    }
}

impl fmt::Display for GlibcVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Rust's name for readelf's.
fn architecture(machine: &str) -> Option<&'static str> {
    match machine {
        "Advanced Micro Devices X86-64" => Some("x86_64"),
        "AArch64" => Some("aarch64"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READELF: &str = "
  Machine:                           AArch64
 0x0000000000000001 (NEEDED)             Shared library: [libssl.so.3]
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x0000000000000001 (NEEDED)             Shared library: [ld-linux-aarch64.so.1]
  0x0010:   Name: GLIBC_2.9  Flags: none  Version: 8
  0x0020:   Name: GLIBC_2.17  Flags: none  Version: 3
  0x0030:   Name: OPENSSL_3.0.0  Flags: none  Version: 9
";

    #[test]
    fn what_a_library_needs_is_a_sentence() -> Result<()> {
        let library = PipelineLibrary::parse(Path::new("x.so"), READELF)?;
        assert_eq!(library.to_string(), "linux-aarch64 needs glibc 2.17 or later, and libssl.so.3.");
        assert!(library.glibc() > GlibcVersion::parse("2.9").context("a version")?);
        Ok(())
    }

    #[test]
    fn other_machines_are_refused() {
        let text = READELF.replace("AArch64", "RISC-V");
        assert!(PipelineLibrary::parse(Path::new("x.so"), &text).is_err());
    }
}
