//! The jar that Flink runs: Millstream's harness and the library of a pipeline.

use std::collections::hash_map::DefaultHasher;
use std::env::consts::ARCH;
use std::ffi::OsStr;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::FlinkVersion;
use super::library::PipelineLibrary;
use crate::{cache, fetch, java};

impl FlinkVersion {
    /// Packs the harness, compiled against this Flink, and a pipeline's library into a jar.
    ///
    /// # Errors
    /// If the harness does not compile, or the library is missing.
    pub fn pipeline_jar(self, library: &Path, jar: &Path) -> Result<()> {
        self.pipeline_jar_for(&[PipelineLibrary::read(library)?], "", jar)
    }

    /// The same with libraries for several kinds of machines, and the notices of what is in them.
    ///
    /// # Errors
    /// If the harness does not compile, or a file cannot be written.
    pub fn pipeline_jar_for(self, libraries: &[PipelineLibrary], notices: &str, jar: &Path) -> Result<()> {
        let content = tempfile::tempdir()?;
        for library in libraries {
            let dir = content.path().join(format!("native/linux-{}", library.architecture()));
            fs::create_dir_all(&dir)?;
            pack(library, &dir.join("libpipeline.so"))?;
        }
        let meta = content.path().join("META-INF");
        fs::create_dir_all(&meta)?;
        fs::copy(checkout()?.join("LICENSE"), meta.join("LICENSE"))?;
        if !notices.is_empty() {
            fs::write(meta.join("THIRD-PARTY-NOTICES.txt"), notices)?;
        }
        fs::copy(self.harness()?, jar).with_context(|| format!("cannot write {}", jar.display()))?;
        let mut update = Command::new(java::tool("jar")?);
        update.arg("--update").arg("--file").arg(jar).arg("-C").arg(content.path()).arg(".");
        fetch::run(&mut update, "jar")
    }

    /// The jar of the harness alone, compiled once for each state of its sources.
    ///
    /// # Errors
    /// If it does not compile.
    pub fn harness(self) -> Result<PathBuf> {
        self.maven_jar(&checkout()?.join("flink"), "millstream-flink")
    }

    /// Runs the harness' own tests, once for each state of its sources.
    ///
    /// # Errors
    /// If one fails.
    pub fn test_harness(self) -> Result<()> {
        self.maven(&checkout()?.join("flink"), "harness-tests", &["test"]).map(drop)
    }

    /// The jar that a Maven project of this checkout makes, compiled against this Flink once for each state of
    /// its sources. `project` is the folder of its `pom.xml`, and `name` its `finalName`.
    ///
    /// # Errors
    /// If it does not compile.
    pub fn maven_jar(self, project: &Path, name: &str) -> Result<PathBuf> {
        let made = self.maven(project, name, &["package", "-Dmaven.test.skip=true"])?;
        Ok(made.join(format!("target/{name}.jar")))
    }

    fn maven(self, project: &Path, name: &str, goals: &[&str]) -> Result<PathBuf> {
        let mut files = vec![project.join("pom.xml")];
        find_files(&project.join("src"), &mut files)?;
        let mut hasher = DefaultHasher::new();
        for file in &files {
            fs::read(file).with_context(|| format!("cannot read {}", file.display()))?.hash(&mut hasher);
        }
        let number = self.number();
        cache::once(&cache::dir()?, &format!("{name}-{number}-{:016x}", hasher.finish()), |target| {
            for file in &files {
                let copy = target.join(file.strip_prefix(project)?);
                fs::create_dir_all(copy.parent().unwrap_or(target))?;
                fs::copy(file, copy)?;
            }
            fetch::say(&format!("Maven: {} {name} with Flink {number}", goals[0]));
            let version = format!("-Dflink.version={number}");
            let words: Vec<&OsStr> = goals.iter().map(OsStr::new).chain([version.as_ref()]).collect();
            fetch::maven(target, &words)
        })
    }
}

/// Copies a library, without what only debuggers read: this machine's `strip` knows its own libraries alone,
/// and a build for other machines leaves that out itself.
fn pack(library: &PipelineLibrary, target: &Path) -> Result<()> {
    if library.architecture() == ARCH {
        let mut strip = Command::new("strip");
        strip.arg("--strip-debug").arg("-o").arg(target).arg(library.path());
        return fetch::run(&mut strip, "strip");
    }
    fs::copy(library.path(), target).with_context(|| format!("cannot write {}", target.display()))?;
    Ok(())
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
