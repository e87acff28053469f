//! `cargo xtask book`: checks what people read, and builds the book in `docs/`.
//!
//! The check needs no network and no tool; it is also a test of this package. The HTML is made by mdBook,
//! which is installed into the cache when it is missing.

mod check;
mod markdown;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use millstream_testkit::cache;

use crate::console;
use crate::shell::{cargo, succeed};
use crate::workspace;

/// The pinned version: another one may number anchors or report links differently.
const MDBOOK: &str = "0.5.4";

/// Checks links, anchors, the table of contents and the width of lines, then builds the book into
/// `docs/book`.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    let complaints = check::complaints(&root)?;
    ensure!(
        complaints.is_empty(),
        "{} mistakes in the documents:\n  {}",
        complaints.len(),
        complaints.join("\n  ")
    );
    let docs = root.join("docs");
    succeed(Command::new(mdbook()?).arg("build").arg(&docs))?;
    console::line(&format!("the book: {}", docs.join("book/index.html").display()));
    Ok(())
}

/// Where mdBook is; it is built from the package registry the first time.
fn mdbook() -> Result<PathBuf> {
    let tools = cache::dir()?.join("tools");
    std::fs::create_dir_all(&tools).with_context(|| format!("{} cannot be made", tools.display()))?;
    let home = cache::once(&tools, &format!("mdbook-{MDBOOK}"), install)?;
    Ok(home.join("bin/mdbook"))
}

fn install(home: &Path) -> Result<()> {
    console::line(&format!("   building mdBook {MDBOOK}, once"));
    // Without a server and a search index, which this book does not use.
    let mut command = cargo(&["install", "mdbook", "--version", MDBOOK, "--locked", "--no-default-features"]);
    // In a target directory of its own, which is removed afterwards.
    command.env_remove("CARGO_TARGET_DIR").arg("--quiet").arg("--root").arg(home);
    succeed(&mut command)
}
