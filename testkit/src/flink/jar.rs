//! The jar that Flink runs: Millstream's harness and the library of a pipeline.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsStr;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::FlinkVersion;
use crate::{cache, fetch, java};

/// Where the harness looks for the library of this machine's kind.
const LIBRARY: &str = "native/linux-x86_64/libpipeline.so";

impl FlinkVersion {
    /// Packs the harness, compiled against this Flink, and a pipeline's library into a jar. The library goes in
    /// without what only debuggers read.
    ///
    /// # Errors
    /// If the harness does not compile, or the library is missing.
    pub fn pipeline_jar(self, library: &Path, jar: &Path) -> Result<()> {
        let native = tempfile::tempdir()?;
        let packed = native.path().join(LIBRARY);
        fs::create_dir_all(packed.parent().unwrap_or(&packed))?;
        ensure!(library.is_file(), "there is no library {}", library.display());
        let mut strip = Command::new("strip");
        strip.arg("--strip-debug").arg("-o").arg(&packed).arg(library);
        fetch::run(&mut strip, "strip")?;
        fs::copy(self.harness()?, jar).with_context(|| format!("cannot write {}", jar.display()))?;
        let mut pack = Command::new(java::tool("jar")?);
        pack.arg("--update").arg("--file").arg(jar).arg("-C").arg(native.path()).arg(LIBRARY);
        fetch::run(&mut pack, "jar")
    }

    /// The jar of the harness alone, compiled once for each state of its sources.
    ///
    /// # Errors
    /// If it does not compile.
    pub fn harness(self) -> Result<PathBuf> {
        let made = self.maven("harness", &["package", "-Dmaven.test.skip=true"])?;
        Ok(made.join("target/millstream-flink.jar"))
    }

    /// Runs the harness' own tests, once for each state of its sources.
    ///
    /// # Errors
    /// If one fails.
    pub fn test_harness(self) -> Result<()> {
        self.maven("harness-tests", &["test"]).map(drop)
    }

    fn maven(self, name: &str, goals: &[&str]) -> Result<PathBuf> {
        let sources = checkout()?.join("flink");
        let mut files = vec![sources.join("pom.xml")];
        find_files(&sources.join("src"), &mut files)?;
        let mut hasher = DefaultHasher::new();
        for file in &files {
            fs::read(file).with_context(|| format!("cannot read {}", file.display()))?.hash(&mut hasher);
        }
        let number = self.number();
        cache::once(&cache::dir()?, &format!("flink-{name}-{number}-{:016x}", hasher.finish()), |target| {
            for file in &files {
                let copy = target.join(file.strip_prefix(&sources)?);
                fs::create_dir_all(copy.parent().unwrap_or(target))?;
                fs::copy(file, copy)?;
            }
            fetch::say(&format!("Maven: {} with Flink {number}", goals[0]));
            let version = format!("-Dflink.version={number}");
            let words: Vec<&OsStr> = goals.iter().map(OsStr::new).chain([version.as_ref()]).collect();
            fetch::maven(target, &words)
        })
    }
}

/// The checkout that runs. Where this crate was built says nothing: checkouts may share their build output.
fn checkout() -> Result<PathBuf> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let starts = package.into_iter().chain(std::env::current_dir());
    let found = starts.into_iter().find_map(|start| {
        start.ancestors().find(|dir| dir.join("flink/pom.xml").is_file()).map(Path::to_owned)
    });
    found.context("the harness is built from a checkout of Millstream: run this within one")
}

fn find_files(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            find_files(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
