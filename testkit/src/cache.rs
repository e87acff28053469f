//! Where fetched software is kept: outside any checkout, filled once however many processes ask.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The cache: `$MILLSTREAM_CACHE`, else `$XDG_CACHE_HOME/millstream`, else `~/.cache/millstream`. Created if
/// missing.
///
/// # Errors
/// If neither those variables nor `HOME` are set, or the directory cannot be created.
pub fn dir() -> Result<PathBuf> {
    let dir = configured().context("set MILLSTREAM_CACHE to a directory for downloads: HOME is not set")?;
    create(&dir)?;
    Ok(dir)
}

/// A cache that every user of the machine can read, for servers that refuse to run as root and so drop to
/// `nobody`.
///
/// That is [`dir`] itself unless this process is root and keeps its home closed; then
/// `/var/cache/millstream`.
///
/// # Errors
/// If the directory cannot be created.
pub fn public_dir() -> Result<PathBuf> {
    let dir = dir()?;
    if !rustix::process::getuid().is_root() || open_to_all(&dir) {
        return Ok(dir);
    }
    let public = PathBuf::from("/var/cache/millstream");
    create(&public)?;
    Ok(public)
}

/// `root/name`, filled by `fill` if it is not there yet.
///
/// `fill` gets an empty directory that takes its final name only when it returns: an interrupted download
/// leaves nothing half done. A file lock makes parallel processes wait for the first one.
///
/// # Errors
/// What `fill` returns, and failures to create or lock files.
pub fn once(root: &Path, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let target = root.join(name);
    if target.exists() {
        return Ok(target);
    }
    let _lock = lock(&root.join(format!("{name}.lock")))?;
    if target.exists() {
        return Ok(target);
    }
    let partial = root.join(format!("{name}.partial"));
    remove(&partial)?;
    create(&partial)?;
    fill(&partial)?;
    fs::rename(&partial, &target).with_context(|| format!("cannot name {}", target.display()))?;
    Ok(target)
}

/// Holds an exclusive lock on `path` until the returned file is dropped or the process ends.
///
/// # Errors
/// If the file cannot be created or locked.
pub fn lock(path: &Path) -> Result<File> {
    let open = || File::options().create(true).append(true).open(path);
    let file = open().with_context(|| format!("cannot open {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

fn configured() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("MILLSTREAM_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("millstream")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/millstream")))
}

fn open_to_all(dir: &Path) -> bool {
    let traversable = |path: &Path| path.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0);
    dir.ancestors().all(traversable)
}

fn create(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))
}

fn remove(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filled_once() -> Result<()> {
        let root = tempfile::tempdir()?;
        let fill = |dir: &Path| Ok(fs::write(dir.join("a"), "1")?);
        let dir = once(root.path(), "thing", fill)?;
        assert_eq!(fs::read_to_string(dir.join("a"))?, "1");
        assert_eq!(once(root.path(), "thing", |_| anyhow::bail!("filled twice"))?, dir);
        Ok(())
    }

    #[test]
    fn a_failed_fill_leaves_nothing_and_is_tried_again() -> Result<()> {
        let root = tempfile::tempdir()?;
        let broken = |dir: &Path| {
            fs::write(dir.join("half"), "")?;
            anyhow::bail!("connection reset")
        };
        assert!(once(root.path(), "thing", broken).is_err());
        assert!(!root.path().join("thing").exists());
        let dir = once(root.path(), "thing", |_| Ok(()))?;
        assert!(!dir.join("half").exists());
        Ok(())
    }

    #[test]
    fn a_closed_parent_is_not_open_to_all() -> Result<()> {
        let root = tempfile::tempdir()?;
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o700))?;
        let inner = root.path().join("inner");
        create(&inner)?;
        assert!(!open_to_all(&inner));
        assert!(open_to_all(Path::new("/usr/bin")));
        Ok(())
    }
}
