//! Chromium from the Debian package, for tests that look at a page as a user does.

use std::path::PathBuf;

use anyhow::Result;

use crate::fetch;

/// Where the browser is and how it is started on a server.
#[derive(Debug, Clone, Copy)]
pub struct Chromium;

impl Chromium {
    /// What it needs to run without a screen, as root too, and without calling home. The caller adds
    /// `--user-data-dir` with a new empty directory.
    pub const ARGUMENTS: [&str; 7] = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ];

    /// The program, which is installed by apt if there is none.
    ///
    /// # Errors
    /// If it is missing and cannot be installed.
    pub fn executable() -> Result<PathBuf> {
        let known = ["chromium", "chromium-browser", "google-chrome"];
        known.into_iter().find_map(fetch::find).map_or_else(|| fetch::apt("chromium", "chromium"), Ok)
    }
}
