//! What only RocksDB does: files read entry by entry, damaged files, and that it cleans up.
#![cfg(feature = "rocksdb")]

use std::ops::Range;
use std::sync::Arc;

use millstream_record::{Error, ErrorKind, Result};
use millstream_stage::snapshot::{Emit, KeyedPart, NativeFile, NativeReader, NativeState, TableSchema};
use millstream_stage::state_backend::{Change, ColdStore, FrozenCold, Scope, StateBackend};
use millstream_state::{FORMAT, RocksBackend, RocksOptions};
use tempfile::TempDir;

fn backend(dir: &TempDir) -> RocksBackend {
    let options = RocksOptions { localdir: Some(dir.path().to_owned()), memory: 16 << 20 };
    RocksBackend::new(&options).expect("the folder is ours")
}

fn scope(owned: Range<u16>) -> Scope {
    let (job, operator) = ("job".to_owned(), "count".to_owned());
    Scope { job, operator, subtask: 0, epoch: 1, key_groups: 128, owned }
}

fn open(backend: &RocksBackend, restored: &[Arc<dyn KeyedPart>]) -> Result<Box<dyn ColdStore>> {
    Ok(backend.cold(&scope(0..128), restored)?.expect("RocksDB has a cold store").store)
}

fn put(group: u8, table: u8, name: &str, expiry: i64) -> Change {
    let key = [&[0, group, table], name.as_bytes()].concat();
    Change::Put(key, [&expiry.to_be_bytes(), name.as_bytes()].concat())
}

struct Part(Box<dyn FrozenCold>, Vec<NativeFile>);

// A frozen store may move between threads, not be shared; the files alone may.
struct Files(Range<u16>, Vec<NativeFile>);

impl KeyedPart for Files {
    fn tables(&self) -> &[TableSchema] {
        &[]
    }

    fn groups(&self) -> Range<u16> {
        self.0.clone()
    }

    fn entries(&self, _: &Range<u16>, _: &mut Emit<'_>) -> Result<()> {
        Err(Error::bug("not asked for"))
    }

    fn native(&self) -> Option<NativeState<'_>> {
        Some(NativeState { format: FORMAT, groups: &self.0, files: &self.1 })
    }
}

fn freeze(store: &mut dyn ColdStore) -> Part {
    let frozen = store.freeze(1).expect("freezes");
    let files = frozen.native().files.to_vec();
    Part(frozen, files)
}

#[test]
fn entries_of_wanted_groups_are_read_without_indexes() {
    let dir = TempDir::new().unwrap();
    let backend = backend(&dir);
    let mut store = open(&backend, &[]).unwrap();
    let pairs = (0..100).flat_map(|group| [0, 1, 128].map(|table| put(group, table, "name", i64::MAX)));
    store.write(&mut pairs.collect()).unwrap();
    let part = freeze(&mut *store);
    let tables =
        ["watermark", "keys"].map(|name| TableSchema { name: name.into(), schema: "\"string\"".into() });
    let mut found = Vec::new();
    let native = part.0.native();
    backend
        .entries(&native, &tables, &(10..12), &mut |group, table, entry| {
            found.push((group, table, entry.to_vec()));
            Ok(())
        })
        .unwrap();
    let expected =
        [(10, 0), (10, 1), (11, 0), (11, 1)].map(|(group, table)| (group, table, b"name".to_vec()));
    assert_eq!(found, expected);
    let foreign = NativeState { format: "other", ..native };
    let refused = backend.entries(&foreign, &tables, &(0..128), &mut |_, _, _| Ok(())).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Configuration);
}

#[test]
fn a_damaged_file_is_a_matter_of_data() {
    let dir = TempDir::new().unwrap();
    let backend = backend(&dir);
    let mut store = open(&backend, &[]).unwrap();
    store.write(&mut (0..100).map(|group| put(group, 1, "name", i64::MAX)).collect()).unwrap();
    let Part(_frozen, files) = freeze(&mut *store);
    let missing = files.iter().filter(|file| !file.shared).cloned().collect();
    let manifest = files.iter().find(|file| file.name.starts_with("MANIFEST")).unwrap();
    for files in [missing, cut(files.clone(), manifest, &dir)] {
        let part: Arc<dyn KeyedPart> = Arc::new(Files(0..128, files));
        let error = open(&backend, &[part]).err().expect("files are missing or cut");
        assert_eq!(error.kind(), ErrorKind::Data, "{}", error.chain());
    }
    assert!(open(&backend, &[Arc::new(Files(0..128, files))]).is_ok());
}

fn cut(mut files: Vec<NativeFile>, which: &NativeFile, dir: &TempDir) -> Vec<NativeFile> {
    let path = dir.path().join("cut");
    let bytes = std::fs::read(&which.path).expect("it is there");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("the folder is there");
    files.iter_mut().filter(|file| file.id == which.id).for_each(|file| file.path.clone_from(&path));
    files
}

#[test]
fn nothing_stays_in_the_local_folder() {
    let dir = TempDir::new().unwrap();
    let backend = backend(&dir);
    let mut store = open(&backend, &[]).unwrap();
    store.write(&mut (0..100).map(|group| put(group, 1, "name", i64::MAX)).collect()).unwrap();
    let Part(frozen, files) = freeze(&mut *store);
    let part: Arc<dyn KeyedPart> = Arc::new(Files(0..128, files));
    for owned in [0..64, 30..90, 0..128] {
        drop(backend.cold(&scope(owned), std::slice::from_ref(&part)).unwrap());
    }
    drop((store, frozen));
    let left: Vec<_> =
        std::fs::read_dir(dir.path().join("0")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}
