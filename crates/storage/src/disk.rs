//! Files of this machine, made durable: blocking, plain `std`.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use millstream_stage::chance::Chance;

use super::path::{draft_name, is_draft};
use super::{Created, Listed};

/// A directory may vanish between its making and its use, since deleting the last file removes it: then once
/// more.
const DIRECTORY_TRIES: usize = 16;

/// A file in the making, beside its place; removed when dropped.
#[derive(Debug)]
pub(super) struct Draft {
    file: File,
    path: PathBuf,
    target: PathBuf,
}

impl Draft {
    /// An empty draft of `target`, whose directory is made if missing.
    pub(super) fn of(target: PathBuf, chance: &Chance) -> io::Result<Self> {
        let directory = parent(&target);
        let path = directory.join(draft_name(chance));
        for _ in 0..DIRECTORY_TRIES {
            match File::create_new(&path) {
                Ok(file) => return Ok(Self { file, path, target }),
                Err(error) if error.kind() == ErrorKind::NotFound => make_directory(directory)?,
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(
            ErrorKind::NotFound,
            format!("{} is removed again and again", directory.display()),
        ))
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Takes the place of whatever has the name.
    pub(super) fn replace(&self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, &self.target)?;
        sync_directory(parent(&self.target))
    }

    /// Takes the name if it is free. A hard link does that atomically, also on network file systems.
    pub(super) fn claim(&self) -> io::Result<Created> {
        self.file.sync_all()?;
        let created = match fs::hard_link(&self.path, &self.target) {
            Ok(()) => Created::New,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Created::Exists,
            // What file systems without hard links say.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Err(ErrorKind::Unsupported.into());
            }
            Err(error) => return Err(error),
        };
        fs::remove_file(&self.path)?;
        // The loser too acts on what it found: it must not vanish in a power failure.
        sync_directory(parent(&self.target))?;
        Ok(created)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // gone already if it took its name
    }
}

/// The size of a file, if there is one.
pub(super) fn size(path: &Path) -> io::Result<Option<u64>> {
    let found = present(fs::metadata(path))?;
    Ok(found.filter(fs::Metadata::is_file).map(|file| file.len()))
}

/// A file or a range of it, if there is one; [`ErrorKind::UnexpectedEof`] if it ends before the range.
pub(super) fn read(path: &Path, range: Option<Range<u64>>) -> io::Result<Option<Bytes>> {
    let Some(mut file) = present(File::open(path))?.filter(is_file) else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    match range {
        None => {
            file.read_to_end(&mut bytes)?;
        }
        Some(range) => {
            let wanted = range.end.saturating_sub(range.start);
            file.seek(SeekFrom::Start(range.start))?;
            file.take(wanted).read_to_end(&mut bytes)?;
            if (bytes.len() as u64) < wanted {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }
    Ok(Some(bytes.into()))
}

/// Copies a file durably, over one that is there; `None` if there is no such file.
pub(super) fn copy(from: &Path, to: PathBuf, chance: &Chance) -> io::Result<Option<()>> {
    let Some(mut source) = present(File::open(from))?.filter(is_file) else {
        return Ok(None);
    };
    let mut draft = Draft::of(to, chance)?;
    io::copy(&mut source, &mut draft.file)?;
    draft.replace().map(Some)
}

/// Deletes a file, and the directories up to `root` that are empty then.
pub(super) fn delete(root: &Path, path: &Path) -> io::Result<()> {
    present(fs::remove_file(path))?;
    let above = path.ancestors().skip(1).take_while(|directory| *directory != root);
    for directory in above {
        if fs::remove_dir(directory).is_err() {
            break; // not empty
        }
    }
    Ok(())
}

/// All visible files below `directory`, by their paths from `root`.
pub(super) fn list(root: &Path, directory: &Path) -> io::Result<Vec<Listed>> {
    let mut files = Vec::new();
    walk(directory, &mut |path, name, metadata| {
        if is_draft(name) {
            return Ok(());
        }
        let relative = path.strip_prefix(root).unwrap_or(path).display().to_string();
        files.push(Listed { path: relative, bytes: metadata.len(), modified: metadata.modified()? });
        Ok(())
    })?;
    Ok(files)
}

/// Removes drafts below `directory` that nobody has written to since `before`.
pub(super) fn sweep(directory: &Path, before: SystemTime) -> io::Result<u64> {
    let mut removed = 0;
    walk(directory, &mut |path, name, metadata| {
        if is_draft(name) && metadata.modified()? < before {
            removed += u64::from(present(fs::remove_file(path))?.is_some());
        }
        Ok(())
    })?;
    Ok(removed)
}

/// Visits files; what vanishes meanwhile was not there.
fn walk(
    directory: &Path,
    visit: &mut impl FnMut(&Path, &str, &fs::Metadata) -> io::Result<()>,
) -> io::Result<()> {
    let Some(entries) = present(fs::read_dir(directory))? else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        let Some(metadata) = present(entry.metadata())? else {
            continue;
        };
        if metadata.is_dir() {
            walk(&entry.path(), visit)?;
        } else if let (true, Some(name)) = (metadata.is_file(), entry.file_name().to_str()) {
            visit(&entry.path(), name, &metadata)?;
        }
    }
    Ok(())
}

/// Makes a directory and those above it, each durable in its parent.
fn make_directory(directory: &Path) -> io::Result<()> {
    match fs::create_dir(directory) {
        Ok(()) => sync_directory(parent(directory)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound && directory.parent().is_some() => {
            make_directory(parent(directory))?;
            present(fs::create_dir(directory)).or_else(existing)?;
            present(sync_directory(parent(directory))).map(|_| ())
        }
        Err(error) => Err(error),
    }
}

fn existing(error: io::Error) -> io::Result<Option<()>> {
    if error.kind() == ErrorKind::AlreadyExists { Ok(Some(())) } else { Err(error) }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn is_file(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file())
}

/// `None` for what is not there.
fn present<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}
