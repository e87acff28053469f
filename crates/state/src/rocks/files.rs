//! Folders of databases, and what their files are called in checkpoints.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use millstream_record::Result;
use millstream_stage::snapshot::NativeFile;

use super::errors;

/// A folder that goes when it is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes it.
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        fs::create_dir(&path).map_err(|error| errors::local("make a folder", &path, error))?;
        Ok(Self(path))
    }

    /// One that somebody else made.
    pub(crate) fn adopt(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next start.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The ids of one database's files.
pub(crate) struct Ids {
    /// Unique to this opening of the database.
    prefix: String,
    /// Table files that came from a checkpoint keep the id that they have there.
    kept: HashMap<String, String>,
}

impl Ids {
    pub(crate) fn new(prefix: String, kept: HashMap<String, String>) -> Self {
        Self { prefix, kept }
    }

    /// All files of a frozen folder.
    pub(crate) fn list(&mut self, folder: &Path, checkpoint: u64) -> io::Result<Vec<NativeFile>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let shared = is_table(&name);
            let id = if shared { self.table(&name) } else { format!("{}-{checkpoint}-{name}", self.prefix) };
            files.push(NativeFile { id, name, path: entry.path(), bytes: entry.metadata()?.len(), shared });
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        // A number is never used again, so what the database dropped it does not bring back.
        self.kept.retain(|name, _| files.binary_search_by(|file| file.name.cmp(name)).is_ok());
        Ok(files)
    }

    fn table(&self, name: &str) -> String {
        self.kept.get(name).cloned().unwrap_or_else(|| format!("{}-{name}", self.prefix))
    }
}

/// Puts a checkpoint's files into a new folder of a database. Gives the ids of the table files by name.
pub(crate) fn adopt(files: &[NativeFile], folder: &Path) -> io::Result<HashMap<String, String>> {
    let mut kept = HashMap::new();
    for file in files {
        let to = folder.join(&file.name);
        if is_table(&file.name) {
            // RocksDB never changes a table file, it only unlinks it. Another file system takes a copy.
            fs::hard_link(&file.path, &to).or_else(|_| fs::copy(&file.path, &to).map(drop))?;
            kept.insert(file.name.clone(), file.id.clone());
        } else {
            fs::copy(&file.path, &to)?;
        }
    }
    Ok(kept)
}

fn is_table(name: &str) -> bool {
    name.ends_with(".sst")
}
