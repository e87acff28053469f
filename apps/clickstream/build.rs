//! Gives the program its version: that of the package and, in a release build, the commit that it was built
//! from.
//!
//! The commit is `MILLSTREAM_COMMIT` where that is set, for builds without a repository, and else what git
//! says. A build from neither has the version alone. Debug builds have it too: tests would be built anew
//! after every commit.

use std::path::Path;
use std::process::Command;

const GIVEN: &str = "MILLSTREAM_COMMIT";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={GIVEN}");
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let commit = given().or_else(|| if is_release() { of_repository() } else { None });
    let version = commit.map_or_else(|| version.clone(), |commit| format!("{version} ({commit})"));
    println!("cargo::rustc-env=CLICKSTREAM_VERSION={version}");
}

fn given() -> Option<String> {
    std::env::var(GIVEN).ok().map(|commit| commit.trim().to_owned()).filter(|commit| !commit.is_empty())
}

fn is_release() -> bool {
    std::env::var("PROFILE").is_ok_and(|profile| profile == "release")
}

// Sources that lie in somebody else's repository, such as a copy of a release, are not of its commit.
fn of_repository() -> Option<String> {
    if git(&["rev-parse", "--show-prefix"])? != "apps/clickstream/" {
        return None;
    }
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    let names = ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref());
    // Cargo runs this again whenever a file is missing that it shall watch.
    let files = names.filter_map(|name| git(&["rev-parse", "--git-path", name]));
    for file in files.filter(|file| Path::new(file).exists()) {
        println!("cargo::rerun-if-changed={file}");
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
