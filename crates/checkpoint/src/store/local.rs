//! A folder of this machine for restored files; it goes with the last part that needs it.

use std::fs;
use std::path::{Path, PathBuf};

use millstream_core::{Error, Result};

use super::paths::random_digits;

#[derive(Debug)]
pub(super) struct LocalFolder(PathBuf);

impl LocalFolder {
    /// Makes a new one below `dir`.
    pub(super) fn create(dir: &Path) -> Result<Self> {
        let path = dir.join(format!("restored-{}", random_digits(12)));
        let made = fs::create_dir_all(&path);
        made.map_err(|cause| {
            Error::restart(format!("cannot make the folder {}", path.display())).caused_by(cause)
        })?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for LocalFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "cannot remove a folder of restored files");
        }
    }
}
