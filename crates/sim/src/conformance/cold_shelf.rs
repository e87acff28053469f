//! What a checkpoint's storage does with the files of cold stores, and a check that ids keep their promise.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use millstream_record::key_group::KeyGroup;
use millstream_record::{Error, Result};
use millstream_stage::snapshot::{Emit, KeyedPart, NativeFile, NativeState, TableSchema};
use millstream_stage::state_backend::{FrozenCold, Pairs};
use tempfile::TempDir;

use crate::driven_writer::wrong;

/// A folder with one file for each id.
pub(super) struct Shelf {
    folder: TempDir,
}

/// One frozen store on the shelf.
pub(super) struct Stored {
    /// All its pairs.
    pub(super) pairs: Pairs,
    /// Bytes that the shelf did not have yet.
    pub(super) new_bytes: u64,
    format: String,
    groups: Range<KeyGroup>,
    files: Vec<NativeFile>,
}

impl Shelf {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { folder: TempDir::new().map_err(|error| unusable(Path::new("a folder"), error))? })
    }

    /// Stores a frozen store.
    pub(super) fn store(&self, frozen: &dyn FrozenCold) -> Result<Arc<Stored>> {
        let mut pairs = Vec::new();
        frozen.scan(&mut |key, value| {
            pairs.push((key.to_vec(), value.to_vec()));
            Ok(())
        })?;
        let native = frozen.native();
        let mut new_bytes = 0;
        let mut files = Vec::new();
        for file in native.files {
            let (stored, is_new) = self.put(file)?;
            files.push(stored);
            new_bytes += if is_new { file.bytes } else { 0 };
        }
        let (format, groups) = (native.format.to_owned(), native.groups.clone());
        Ok(Arc::new(Stored { pairs, new_bytes, format, groups, files }))
    }

    fn put(&self, file: &NativeFile) -> Result<(NativeFile, bool)> {
        let bytes = fs::read(&file.path).map_err(|error| unusable(&file.path, error))?;
        if bytes.len() as u64 != file.bytes {
            return Err(wrong(format!("{} has {} bytes, it says {}", file.id, bytes.len(), file.bytes)));
        }
        let path = self.folder.path().join(&file.id);
        let known = fs::read(&path).ok();
        match &known {
            Some(known) if *known != bytes => return Err(wrong(format!("two files are called {}", file.id))),
            Some(_) if !file.shared => return Err(wrong(format!("{} came twice, unshared", file.id))),
            Some(_) => {}
            None => fs::write(&path, bytes).map_err(|error| unusable(&path, error))?,
        }
        Ok((NativeFile { path, ..file.clone() }, known.is_none()))
    }
}

impl KeyedPart for Stored {
    fn tables(&self) -> &[TableSchema] {
        &[]
    }

    fn groups(&self) -> Range<KeyGroup> {
        self.groups.clone()
    }

    fn entries(&self, _: &Range<KeyGroup>, _: &mut Emit<'_>) -> Result<()> {
        Err(Error::bug("a cold store knows pairs, not entries"))
    }

    fn native(&self) -> Option<NativeState<'_>> {
        Some(NativeState { format: &self.format, groups: &self.groups, files: &self.files })
    }
}

fn unusable(path: &Path, error: std::io::Error) -> Error {
    Error::restart(format!("{} cannot be used", path.display())).caused_by(error)
}
