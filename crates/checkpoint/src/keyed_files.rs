//! One subtask's keyed state as files in a local folder, for a driver that moves files itself, as Flink does.
//!
//! Entries of all operators whose state is in memory are in one [state file](crate::format); cold stores hand
//! over their own files. A manifest, small JSON, says what is where.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_record::key_group::KeyGroup;
use millstream_record::{Error, Result};
use millstream_stage::snapshot::{FrozenState, KeyedPart, NativeFile, NativeReader};
use millstream_storage::{Storage, StorageOptions};
use serde::{Deserialize, Serialize};

use crate::flink_savepoint::StoredFile;
use crate::format::{FileSummary, StateFile, StateFileWriter};
use crate::manifest::{KeyedManifest, TableManifest};
use crate::store::{NativePart, NativePartFile, ReadOptions, StoredPart};

/// The name of the file that holds the entries.
const ENTRIES: &str = "entries";

/// The version of the manifest that is written.
const VERSION: u32 = 1;

/// An operator, and its keyed state.
pub type KeyedOperator = (String, Arc<dyn KeyedPart>);

/// A file to be kept, and under which name the manifest knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedFile {
    /// Its name in the folder that the state is read back from.
    pub name: String,
    /// Unique for ever where it is shared: what has the same id has the same bytes.
    pub id: String,
    /// Where it is now.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Whether later snapshots may refer to it as well.
    pub shared: bool,
}

/// What was written of one subtask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedFiles {
    /// What [`read`] needs besides the files.
    pub manifest: Vec<u8>,
    /// All files. Those of cold stores go when their frozen state is dropped.
    pub files: Vec<KeyedFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct FilesManifest {
    version: u32,
    /// Length and checksum of the file of entries, where there is one.
    entries: Option<(u64, u64)>,
    keyed: Vec<KeyedManifest>,
    native: Vec<NativeFilesManifest>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct NativeFilesManifest {
    operator: String,
    format: String,
    tables: Vec<TableManifest>,
    groups: Range<KeyGroup>,
    files: Vec<LocalFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct LocalFile {
    /// Its name in the folder.
    local: String,
    /// Its name within the store.
    name: String,
    id: String,
    bytes: u64,
    shared: bool,
}

/// Writes frozen state: entries into the folder, which must exist; files of cold stores stay where they are.
///
/// # Errors
/// Returns the errors of reading the state and of the file system.
pub fn write(keyed: &[(String, Box<dyn FrozenState>)], native: bool, folder: &Path) -> Result<KeyedFiles> {
    let mut manifest =
        FilesManifest { version: VERSION, entries: None, keyed: Vec::new(), native: Vec::new() };
    let mut files = Vec::new();
    let mut entries = Vec::new();
    for (number, (operator, state)) in keyed.iter().enumerate() {
        match state.native().filter(|_| native) {
            None => entries.push((operator.as_str(), state.as_ref())),
            Some(native) => {
                files.extend(native.files.iter().map(|file| KeyedFile {
                    name: local_name(number, file),
                    id: file.id.clone(),
                    path: file.path.clone(),
                    bytes: file.bytes,
                    shared: file.shared,
                }));
                manifest.native.push(NativeFilesManifest {
                    operator: operator.clone(),
                    format: native.format.to_owned(),
                    tables: state.tables().into_iter().map(Into::into).collect(),
                    groups: native.groups.clone(),
                    files: native.files.iter().map(|file| local_file(number, file)).collect(),
                });
            }
        }
    }
    if !entries.is_empty() {
        let path = folder.join(ENTRIES);
        let summary = write_entries(&entries, &path, &mut manifest.keyed)
            .map_err(|error| error.in_context(format_args!("state file {}", path.display())))?;
        manifest.entries = Some((summary.bytes, summary.checksum));
        files.push(KeyedFile {
            name: ENTRIES.to_owned(),
            id: ENTRIES.to_owned(),
            path,
            bytes: summary.bytes,
            shared: false,
        });
    }
    let manifest = serde_json::to_vec(&manifest);
    let manifest = manifest.map_err(|error| Error::bug("a manifest cannot be written").caused_by(error))?;
    Ok(KeyedFiles { manifest, files })
}

// Stores of several operators have files of the same name.
fn local_name(store: usize, file: &NativeFile) -> String {
    format!("{store}-{}", file.name)
}

fn local_file(store: usize, file: &NativeFile) -> LocalFile {
    let NativeFile { id, name, bytes, shared, .. } = file.clone();
    LocalFile { local: local_name(store, file), name, id, bytes, shared }
}

fn write_entries(
    keyed: &[(&str, &dyn FrozenState)],
    path: &Path,
    manifests: &mut Vec<KeyedManifest>,
) -> Result<FileSummary> {
    let failed = |error| Error::restart("it cannot be written").caused_by(error);
    let mut file = File::create(path).map_err(failed)?;
    let mut writer = StateFileWriter::new(|bytes| file.write_all(&bytes).map_err(failed))?;
    for (operator, state) in keyed {
        state.entries(&mut |group, table, entry| writer.entry(group, table, entry))?;
        let section = writer.end_section()?;
        manifests.push(KeyedManifest {
            operator: (*operator).to_owned(),
            tables: state.tables().into_iter().map(Into::into).collect(),
            groups: section.groups,
            entries: section.entries,
            section: section.section,
        });
    }
    writer.finish()
}

/// Reads what [`write`] wrote: by operator a part, whose entries are read when they are asked for. The files
/// are in `folder`, each under its name. Call it within a runtime, which reads the entries.
///
/// # Errors
/// [`ErrorKind::Data`](millstream_record::ErrorKind::Data), naming the file, where something is damaged or
/// missing.
pub async fn read(
    manifest: &[u8],
    folder: &Path,
    reader: Option<Arc<dyn NativeReader>>,
) -> Result<Vec<KeyedOperator>> {
    let manifest = decode(manifest)?;
    let storage = Storage::open(&format!("file://{}", folder.display()), &StorageOptions::default())?;
    let mut parts = entries(&manifest, || Ok((storage, ENTRIES))).await?;
    for native in manifest.native {
        let files = native.files.into_iter().map(|file| found(folder, file)).collect::<Result<_>>()?;
        let tables = native.tables.into_iter().map(Into::into).collect();
        let part = NativePart::here(tables, native.format, native.groups, files, reader.clone());
        parts.push((native.operator, Arc::new(part)));
    }
    Ok(parts)
}

/// Reads what [`write`] wrote from files that a storage has, by name. Files of cold stores are brought to
/// this machine; entries are read when they are asked for.
///
/// # Errors
/// See [`read`].
pub(crate) async fn read_stored(
    manifest: &[u8],
    files: &BTreeMap<String, StoredFile>,
    options: &ReadOptions,
) -> Result<Vec<KeyedOperator>> {
    let manifest = decode(manifest)?;
    let stored = |name: &str| {
        files.get(name).ok_or_else(|| Error::data(format!("the file {name} of the keyed state is missing")))
    };
    let of_entries = || stored(ENTRIES).map(|file| (file.storage.clone(), file.name.as_str()));
    let mut parts = entries(&manifest, of_entries).await?;
    for native in manifest.native {
        let NativeFilesManifest { operator, format, tables, groups, files } = native;
        let file = |LocalFile { local, name, id, bytes, shared }| {
            let StoredFile { storage, name: path, .. } = stored(&local)?.clone();
            Ok(NativePartFile { storage, path, id, name, shared, bytes, xxh3: None })
        };
        let files = files.into_iter().map(file).collect::<Result<_>>()?;
        let tables = tables.into_iter().map(Into::into).collect();
        let part = NativePart::here(tables, format, groups, Vec::new(), options.natives.clone());
        parts.push((operator, Arc::new(part.bring(files, options).await?)));
    }
    Ok(parts)
}

fn decode(manifest: &[u8]) -> Result<FilesManifest> {
    let manifest: FilesManifest = serde_json::from_slice(manifest)
        .map_err(|error| Error::data("the manifest of keyed state cannot be read").caused_by(error))?;
    if manifest.version != VERSION {
        let version = manifest.version;
        return Err(Error::data(format!(
            "the manifest of keyed state has version {version}, this program reads version {VERSION}"
        )));
    }
    Ok(manifest)
}

/// The operators whose entries are in a file.
async fn entries<'a>(
    manifest: &FilesManifest,
    file: impl FnOnce() -> Result<(Storage, &'a str)>,
) -> Result<Vec<KeyedOperator>> {
    let Some((bytes, checksum)) = manifest.entries else { return Ok(Vec::new()) };
    let (storage, name) = file()?;
    let file = Arc::new(StateFile::open(&storage, name, FileSummary { bytes, checksum }).await?);
    let part = |keyed: &KeyedManifest| {
        let part: Arc<dyn KeyedPart> = Arc::new(StoredPart::new(Some(Arc::clone(&file)), keyed));
        (keyed.operator.clone(), part)
    };
    Ok(manifest.keyed.iter().map(part).collect())
}

fn found(folder: &Path, file: LocalFile) -> Result<NativeFile> {
    let path = folder.join(&file.local);
    match path.metadata() {
        Ok(metadata) if metadata.len() == file.bytes => {
            let LocalFile { name, id, bytes, shared, .. } = file;
            Ok(NativeFile { id, name, path, bytes, shared })
        }
        Ok(metadata) => Err(Error::data(format!(
            "{} has {} bytes, {} were written",
            path.display(),
            metadata.len(),
            file.bytes
        ))),
        Err(error) => Err(Error::data(format!("{} is missing", path.display())).caused_by(error)),
    }
}
