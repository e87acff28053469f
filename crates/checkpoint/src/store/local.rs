//! A folder of this machine for restored files; it goes with the last part that needs it, or, when the
//! process was killed, with the next restore.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream_record::{Error, Result};
use millstream_stage::chance::Chance;

/// A process takes its lock as soon as it has made the file. A lock file that is older than this, and that
/// nobody holds, belongs to a process that has died.
const SETTLED: Duration = Duration::from_secs(60);

/// The folder. Beside it lies a lock, which the system releases when the process dies, however it dies.
#[derive(Debug)]
pub(super) struct LocalFolder {
    path: PathBuf,
    _lock: File,
}

impl LocalFolder {
    /// Makes a new one below `dir`.
    pub(super) fn create(dir: &Path, chance: &Chance) -> Result<Self> {
        let made = fs::create_dir_all(dir).and_then(|()| {
            remove_dead(dir)?;
            Self::locked(dir.join(format!("restored-{}", chance.digits(12))))
        });
        made.map_err(|cause| {
            Error::restart(format!("cannot make a folder for restored files in {}", dir.display()))
                .caused_by(cause)
        })
    }

    fn locked(path: PathBuf) -> io::Result<Self> {
        let lock = File::create(lock_of(&path))?;
        lock.lock()?;
        fs::create_dir(&path)?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for LocalFolder {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.path).and_then(|()| fs::remove_file(lock_of(&self.path)));
        if let Err(error) = removed {
            tracing::warn!(folder = %self.path.display(), %error, "cannot remove a folder of restored files");
        }
    }
}

fn lock_of(folder: &Path) -> PathBuf {
    folder.with_extension("lock")
}

/// Removes the folders of processes that were killed.
fn remove_dead(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let lock = entry?.path();
        let name = lock.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("restored-") && name.ends_with(".lock") && is_dead(&lock) {
            // Another process may do the same at this moment.
            let _ = fs::remove_dir_all(lock.with_extension(""));
            let _ = fs::remove_file(&lock);
        }
    }
    Ok(())
}

fn is_dead(lock: &Path) -> bool {
    let settled = |file: &File| {
        let modified = file.metadata().and_then(|metadata| metadata.modified());
        modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > SETTLED))
    };
    File::open(lock).is_ok_and(|file| settled(&file) && file.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn what_a_killed_process_left_goes_and_what_is_in_use_stays() {
        let (dir, chance) = (tempfile::tempdir().unwrap(), Chance::seeded(1));
        let dead = dir.path().join("restored-dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("000001"), "x").unwrap();
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        File::create(lock_of(&dead)).unwrap().set_modified(long_ago).unwrap();
        let living = LocalFolder::create(dir.path(), &chance).unwrap();
        File::options().write(true).open(lock_of(living.path())).unwrap().set_modified(long_ago).unwrap();
        let young = dir.path().join("restored-young");
        fs::create_dir(&young).unwrap();
        File::create(lock_of(&young)).unwrap();
        let next = LocalFolder::create(dir.path(), &chance).unwrap();
        assert!(!dead.exists() && !lock_of(&dead).exists());
        assert!(living.path().exists() && young.exists());
        drop((living, next));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "only the young one is left");
    }
}
