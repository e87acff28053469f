use std::path::Path;

use millstream_record::ErrorKind;
use millstream_stage::snapshot::{Committable, MemoryPart, TableSchema};
use millstream_stage::source::{Assignment, Split};
use tempfile::TempDir;

use super::*;
use crate::flink_form::{self, COMMITS, SPLIT_LISTS, UNION_LISTS};
use crate::wire::WireWriter;

/// Writes as Flink does.
#[derive(Default)]
struct Out(WireWriter);

impl Out {
    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.0.extend_from_slice(bytes);
        self
    }

    fn int(&mut self, value: i32) -> &mut Self {
        self.0.int(value);
        self
    }

    fn long(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    fn utf(&mut self, text: &str) -> &mut Self {
        self.raw(&(text.len() as u16).to_be_bytes()).raw(text.as_bytes())
    }

    fn inline(&mut self, bytes: &[u8]) -> &mut Self {
        self.raw(&[1]).utf("in memory").int(bytes.len() as i32).raw(bytes)
    }

    fn relative(&mut self, name: &str, bytes: u64) -> &mut Self {
        self.raw(&[6]).utf(name).long(bytes)
    }
}

/// A savepoint of Flink in a folder: a source, and a stage with keyed state.
struct Written {
    version: i32,
    folder: TempDir,
    keyed: Vec<u8>,
    compressed: bool,
    enumerator: Option<Vec<u8>>,
    finished: bool,
    channels: i32,
    foreign_list: bool,
}

fn split(id: &str) -> Split {
    Split { id: id.into(), state: vec![7] }
}

fn enumerator(snapshot: Option<&[u8]>) -> Vec<u8> {
    let mut state = Out::default();
    match snapshot {
        Some(snapshot) => state.int(snapshot.len() as i32).raw(snapshot),
        None => state.int(-1),
    };
    let assignment = Assignment { subtask: 1, splits: vec![split("on its way")], last: true };
    let assignment = flink_form::encode_assignment(&assignment);
    state.int(1).int(1).int(1).int(assignment.len() as i32).raw(&assignment);
    let mut all = Out::default();
    all.int(1).int(1).int(state.0.0.len() as i32).raw(&state.0.0);
    all.0.0
}

impl Written {
    fn new(version: i32) -> Self {
        Self {
            version,
            folder: tempfile::tempdir().unwrap(),
            keyed: vec![0],
            compressed: false,
            enumerator: Some(enumerator(Some(b"found"))),
            finished: false,
            channels: 0,
            foreign_list: false,
        }
    }

    /// With keyed state as a checkpoint has it.
    fn with_native(mut self) -> Self {
        let mut part = MemoryPart::new(vec![TableSchema { name: "t".into(), schema: "\"string\"".into() }]);
        part.push(3, 0, b"three".to_vec());
        part.push(9, 0, b"nine".to_vec());
        let written =
            crate::keyed_files::write(&[("window".to_owned(), Box::new(part))], true, self.folder.path());
        let written = written.unwrap();
        let mut out = Out::default();
        out.raw(&[11]).long(5).utf("uuid").int(0).int(64).long(1).inline(&written.manifest);
        out.int(0).int(1).utf(&written.files[0].name);
        out.relative(&written.files[0].name, written.files[0].bytes).utf("id");
        self.keyed = out.0.0;
        self
    }

    fn lists(&self, out: &mut Out) {
        let list = |operator: &str, state: &str, redistribute| OperatorList {
            operator: operator.into(),
            state: state.into(),
            items: Vec::new(),
            redistribute,
        };
        let commit = Committable { operator: "sink".into(), subtask: 4, handle: b"open".to_vec() };
        let items = [
            (SPLIT_LISTS, flink_form::list_item(&list("in", "splits", Redistribute::Split), b"split")),
            (UNION_LISTS, flink_form::list_item(&list("times", "w", Redistribute::Union), b"time")),
            (COMMITS, flink_form::commit_item(&commit)),
            (if self.foreign_list { "topic-offsets" } else { SPLIT_LISTS }, Vec::new()),
        ];
        let mut file = Out::default();
        file.int(6).raw(&[u8::from(self.compressed)]);
        let used = if self.foreign_list { 4 } else { 3 };
        out.int(1).raw(&[4]).int(used);
        for (name, item) in &items[..used as usize] {
            out.utf(name).raw(&[0]).int(1).long(file.0.0.len() as u64);
            file.int(item.len() as i32).raw(item);
        }
        out.inline(&file.0.0);
    }

    fn operator(&self, out: &mut Out, uid: &str, coordinator: Option<&[u8]>) {
        if self.version >= 5 {
            out.utf("name").utf(uid);
        }
        out.raw(&OperatorId::of_uid(uid).0).int(2).int(64);
        match coordinator {
            None => out.raw(&[0]),
            Some(state) => out.inline(state),
        };
    }

    fn metadata(&self) -> Bytes {
        let mut out = Out::default();
        out.raw(&metadata::MAGIC).int(self.version).long(5).int(0).int(2);
        self.operator(&mut out, "in-splits", self.enumerator.as_deref().filter(|_| !self.finished));
        match self.finished {
            true => out.int(-1),
            // The second subtask has finished.
            false => out.int(2).int(0).int(0).int(0).raw(&[0, 0]).int(0).int(0).int(-2),
        };
        self.operator(&mut out, "in", Some(&41_u64.to_be_bytes()));
        out.int(1).int(0);
        self.lists(&mut out);
        out.int(0).raw(&self.keyed).raw(&[0]).int(self.channels).int(0);
        if self.version >= 4 {
            out.raw(&[0xac, 0xed]);
        }
        Bytes::from(out.0.0)
    }

    fn open(&self, metadata: &Bytes) -> Result<Opened> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = StorageOptions::default();
        let folder = Storage::open(&url(self.folder.path()), &options)?;
        let operators = ["in", "window", "sink"].map(str::to_owned).to_vec();
        runtime.block_on(open(
            metadata,
            &folder,
            &options,
            &ReadOptions { operators, ..ReadOptions::default() },
        ))
    }

    fn refused(&self) -> Error {
        self.open(&self.metadata()).expect_err("it cannot be gone on from")
    }
}

fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}

#[test]
fn what_flink_keeps_of_a_stage_is_its_state() {
    for version in 3..=6 {
        let written = Written::new(version).with_native();
        let opened = written.open(&written.metadata()).unwrap();
        let snapshot = opened.snapshot;
        assert_eq!((snapshot.checkpoint, snapshot.epoch, snapshot.key_groups), (5, 41, 64));
        let [stage] = snapshot.stages.as_slice() else { panic!("one stage: {:?}", snapshot.stages) };
        assert_eq!(stage.name, "in");
        assert_eq!(stage.enumerator.as_deref(), Some(&b"found"[..]));
        let lists = &stage.state.lists;
        let find = |operator: &str, state: &str| {
            let found = lists.iter().filter(|list| (&*list.operator, &*list.state) == (operator, state));
            found.flat_map(|list| list.items.clone()).collect::<Vec<_>>()
        };
        assert_eq!(find("in", "splits"), [to_bytes(&split("on its way")), b"split".to_vec()]);
        assert_eq!(find("times", "w"), [b"time"]);
        assert!(
            lists.iter().all(|list| (list.operator == "times") == (list.redistribute == Redistribute::Union))
        );
        let commit = Committable { operator: "sink".into(), subtask: 4, handle: b"open".to_vec() };
        assert_eq!(stage.state.commits, [commit]);
        let [part] = stage.state.keyed["window"].as_slice() else { panic!("one part") };
        let mut entries = Vec::new();
        let read = part.entries(&(0..5), &mut |group, table, entry| {
            entries.push((group, table, entry.to_vec()));
            Ok(())
        });
        read.unwrap();
        assert_eq!(entries, [(3, 0, b"three".to_vec())]);
    }
}

#[test]
fn metadata_that_is_cut_or_damaged_gives_an_error() {
    let written = Written::new(6).with_native();
    let metadata = written.metadata();
    for length in metadata::MAGIC.len()..metadata.len() {
        let error = written.open(&metadata.slice(..length)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "{length} bytes: {}", error.chain());
    }
    // No length is believed, and nothing panics.
    for place in metadata::MAGIC.len()..metadata.len() {
        for byte in [0x7f, 0xff] {
            let mut damaged = metadata.to_vec();
            damaged[place] = byte;
            let _ = written.open(&damaged.into());
        }
    }
}

#[test]
fn what_cannot_be_gone_on_from_says_why() {
    let refused = |change: fn(&mut Written), kind, text: &str| {
        let mut written = Written::new(6);
        change(&mut written);
        let error = written.refused();
        assert_eq!(error.kind(), kind, "{}", error.chain());
        assert!(error.chain().contains(text), "{text}: {}", error.chain());
    };
    use ErrorKind::Configuration;
    refused(|it| it.version = 2, Configuration, "its metadata has version 2");
    refused(|it| it.version = 7, Configuration, "its metadata has version 7");
    refused(|it| it.finished = true, Configuration, "had read everything and ended");
    refused(
        |it| it.enumerator = Some(enumerator(None)),
        Configuration,
        "before the source had found its splits",
    );
    refused(|it| it.compressed = true, Configuration, "execution.checkpointing.snapshot-compression: false");
    refused(|it| it.channels = 1, Configuration, "unaligned checkpoint");
    refused(|it| it.foreign_list = true, Configuration, "the state `topic-offsets`");
    refused(|it| it.keyed = vec![12], Configuration, "keyed state of Flink's own backends");
    refused(|it| it.keyed = vec![14], Configuration, "a changelog");
    refused(|it| it.keyed = vec![15], Configuration, "file-merging");
    refused(|it| it.keyed = vec![99], ErrorKind::Data, "no kind 99");
}

#[test]
fn files_that_are_gone_are_named() {
    let written = Written::new(6).with_native();
    let metadata = written.metadata();
    std::fs::remove_file(written.folder.path().join("entries")).unwrap();
    let error = written.open(&metadata).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.chain().contains("entries is missing"), "{}", error.chain());
}
