//! Files of a directory on a file system. Calls block.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use millstream_record::{Error, Result};

use super::pending_file::PendingFile;
use crate::errors;

/// The directory.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    dir: PathBuf,
}

/// A file that grows.
#[derive(Debug)]
pub(crate) struct Growing {
    file: File,
    name: String,
    length: u64,
}

impl Local {
    pub(crate) fn new(dir: &str) -> Self {
        Self { dir: PathBuf::from(dir.strip_prefix("file://").unwrap_or(dir)) }
    }

    /// Begins a file.
    pub(crate) fn begin(&self, name: String) -> Result<Growing> {
        fs::create_dir_all(&self.dir).map_err(|error| errors::making(self.dir.display(), error))?;
        let path = self.staged(&name);
        if self.dir.join(&name).exists() {
            return Err(Error::configuration(format!(
                "{} exists already, from another run with the same epoch: give the job a directory (job.dir), so that each run has an epoch of its own",
                self.dir.join(name).display()
            )));
        }
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| errors::writing(path.display(), error))?;
        Ok(Growing { file, name, length: 0 })
    }

    /// Appends to it.
    pub(crate) fn append(&self, growing: &mut Growing, bytes: &[u8]) -> Result<()> {
        let written = growing.file.write_all(bytes);
        written.map_err(|error| errors::writing(self.staged(&growing.name).display(), error))?;
        growing.length += bytes.len() as u64;
        Ok(())
    }

    /// Waits until the disk has all of it, and its name.
    pub(crate) fn sync(&self, growing: &Growing) -> Result<PendingFile> {
        let synced = growing.file.sync_all().and_then(|()| self.sync_names());
        synced.map_err(|error| errors::writing(self.staged(&growing.name).display(), error))?;
        let Growing { name, length, .. } = growing;
        Ok(PendingFile { name: name.clone(), length: *length, open: true })
    }

    /// Shows a file. Does nothing where that was done before.
    pub(crate) fn show(&self, pending: &PendingFile) -> Result<()> {
        let (staged, shown) = (self.staged(&pending.name), self.dir.join(&pending.name));
        let done =
            if pending.open { self.cut(&staged, &shown, pending.length) } else { rename(&staged, &shown) };
        done.and_then(|()| self.sync_names()).map_err(|error| errors::writing(shown.display(), error))
    }

    // Whoever wrote the staged file may still hold it open and write on: the visible one must not be that
    // file.
    fn cut(&self, staged: &Path, shown: &Path, length: u64) -> io::Result<()> {
        if shown.exists() {
            return remove(staged);
        }
        let copy = staged.with_extension("recovered");
        let mut from = File::open(staged)?.take(length);
        let mut to = File::create(&copy)?;
        if io::copy(&mut from, &mut to)? < length {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!(
                    "{} is shorter than the {length} bytes that the checkpoint has of it",
                    staged.display()
                ),
            ));
        }
        to.sync_all()?;
        fs::rename(&copy, shown)?;
        remove(staged)
    }

    /// Removes the unfinished files that `is_left_over` says of; it is asked with their names as if they were
    /// finished.
    pub(crate) fn clean(&self, is_left_over: impl Fn(&str) -> bool) -> Result<()> {
        let cleaned = self.clean_names(is_left_over);
        cleaned.map_err(|error| errors::writing(self.dir.display(), error))
    }

    fn clean_names(&self, is_left_over: impl Fn(&str) -> bool) -> io::Result<()> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.strip_prefix('.').is_some_and(&is_left_over) {
                remove(&self.dir.join(name))?;
            }
        }
        Ok(())
    }

    fn staged(&self, name: &str) -> PathBuf {
        self.dir.join(format!(".{name}.inprogress"))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

fn rename(staged: &Path, shown: &Path) -> io::Result<()> {
    match fs::rename(staged, shown) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && shown.exists() => Ok(()),
        renamed => renamed,
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
