//! A job as far as a store sees it: a plan, states that can be frozen, and what a restore must give.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Result, ensure};
use millstream_checkpoint::store::{
    AttemptStore, CheckpointStore, CheckpointWriter, NativeReader, PartMetrics, ReadOptions, StoreOptions,
    WrittenCheckpoint,
};
use millstream_protocol::checkpoint_stats::CheckpointKind;
use millstream_protocol::job_snapshot::JobSnapshot;
use millstream_protocol::layout::{SubtaskId, subtasks};
use millstream_protocol::log::Base;
use millstream_record::key_group::owned_groups;
use millstream_stage::plan::{OperatorSpec, Plan, StageSpec};
use millstream_stage::snapshot::{
    Committable, Emit, Frozen, FrozenState, MemoryPart, NativeFile, NativeState, OperatorList, Redistribute,
    TableSchema,
};
use millstream_stage::time::{Clock, Nanos, Time};
use millstream_storage::{Storage, StorageOptions};

pub(crate) const GROUPS: u16 = 64;

/// Seconds since 1970 go up by one with every look.
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Time {
        self.0.fetch_add(1000, Ordering::Relaxed)
    }

    fn nanos(&self) -> Nanos {
        self.0.fetch_add(1000, Ordering::Relaxed) as u64
    }
}

/// The folder where "cold stores" have their files, and where restored ones are brought.
pub(crate) struct Machine {
    dir: tempfile::TempDir,
    pub(crate) options: StorageOptions,
}

impl Machine {
    pub(crate) fn new(options: &StorageOptions) -> Result<Self> {
        Ok(Self { dir: tempfile::tempdir()?, options: options.clone() })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A new process that opens the job's store.
    pub(crate) fn store(&self, root: &Storage, job: &str) -> CheckpointStore {
        let read = ReadOptions {
            local: Some(self.path().join("restored")),
            natives: Some(Arc::new(FileReader)),
            ..ReadOptions::default()
        };
        let options = StoreOptions {
            storage: self.options.clone(),
            savepoints: Some(root.child("savepoints").url()),
            incremental: true,
            read,
            clock: Arc::new(Ticking(AtomicI64::new(1_500_000_000_000))),
        };
        CheckpointStore::over(root, job, options)
    }

    pub(crate) async fn claim(&self, root: &Storage, job: &str) -> Result<AttemptStore> {
        Ok(self.store(root, job).claim(Base::Latest).await?)
    }
}

/// A source and an operator with keyed state on the heap and in a cold store.
pub(crate) fn plan(job: &str, parallelism: u16) -> Plan {
    let operator = |name: &str| OperatorSpec {
        name: name.to_owned(),
        kind: "test".to_owned(),
        ..OperatorSpec::default()
    };
    let stage = |name: &str, operators: &[&str]| StageSpec {
        name: name.to_owned(),
        parallelism,
        operators: operators.iter().map(|name| operator(name)).collect(),
        make: Arc::new(|| unreachable!("no stage runs here")),
        enumerator: None,
    };
    let stages = vec![stage("clicks", &["clicks"]), stage("count -> sink", &["count", "big", "sink"])];
    Plan { name: job.to_owned(), key_groups: GROUPS, stages, edges: Vec::new() }
}

/// What the job has counted by now, and the files of its "cold stores".
#[derive(Clone, Debug, Default)]
pub(crate) struct Job {
    round: u64,
    /// By subtask: ids of table files, oldest first.
    files: BTreeMap<u16, Vec<String>>,
    /// Bytes of each list item.
    item_bytes: usize,
}

pub(crate) type Entries = BTreeMap<u16, Vec<(u16, Vec<u8>)>>;

impl Job {
    /// One with list items of so many bytes.
    pub(crate) fn large_items(item_bytes: usize) -> Self {
        Self { item_bytes, ..Self::default() }
    }

    /// How often it went on.
    pub(crate) fn round(&self) -> u64 {
        self.round
    }

    /// Goes on: each cold store gets a file, and from the third on loses its oldest.
    pub(crate) fn advance(&mut self, parallelism: u16) {
        self.round += 1;
        for subtask in 0..parallelism {
            let files = self.files.entry(subtask).or_default();
            files.push(format!("db-{subtask}/{:06}.sst", self.round));
            if files.len() > 3 {
                files.remove(0);
            }
        }
    }

    /// The entries of one key group on the heap.
    fn heap(&self, group: u16) -> Vec<(u16, Vec<u8>)> {
        (0..20).map(|n: u16| (n % 2, format!("{}/{group}/{n}", self.round).repeat(9).into_bytes())).collect()
    }

    /// All entries of the operator `count`.
    pub(crate) fn counted(&self) -> Entries {
        (0..GROUPS).map(|group| (group, self.heap(group))).collect()
    }

    /// The ids of all table files.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut all: Vec<_> = self.files.values().flatten().cloned().collect();
        all.sort();
        all
    }

    fn list(&self, operator: &str, subtask: u16) -> OperatorList {
        let item = |n: u64| format!("{operator}-{subtask}-{}-{n};", self.round).into_bytes();
        let padded = |n| {
            let mut item: Vec<u8> = item(n);
            item.resize(item.len().max(self.item_bytes), b'.');
            item
        };
        let (operator, state) = (operator.to_owned(), "items".to_owned());
        let items = (0..5).map(padded).collect();
        OperatorList { operator, state, items, redistribute: Redistribute::Split }
    }

    fn freeze(&self, machine: &Machine, place: SubtaskId, parallelism: u16) -> Result<Frozen> {
        if place.stage == 0 {
            return Ok(Frozen { lists: vec![self.list("clicks", place.subtask)], ..Frozen::default() });
        }
        let owned = owned_groups(place.subtask, GROUPS, parallelism);
        let mut heap = MemoryPart::new(tables());
        for group in owned.clone() {
            self.heap(group).into_iter().for_each(|(table, entry)| heap.push(group, table, entry));
        }
        let cold = self.cold(machine, place.subtask, owned)?;
        let handle = format!("commit {} of {}", self.round, place.subtask).into_bytes();
        Ok(Frozen {
            keyed: vec![("count".to_owned(), Box::new(heap)), ("big".to_owned(), Box::new(cold))],
            lists: vec![self.list("sink", place.subtask)],
            commits: vec![Committable { operator: "sink".to_owned(), subtask: place.subtask, handle }],
        })
    }

    fn cold(&self, machine: &Machine, subtask: u16, groups: Range<u16>) -> Result<Cold> {
        let none = Vec::new();
        let tables = self.files.get(&subtask).unwrap_or(&none).iter().map(|id| (id.clone(), true));
        let own = (format!("db-{subtask}/MANIFEST-{}", self.round), false);
        let mut files = Vec::new();
        for (id, shared) in tables.chain([own]) {
            let name = id.replace('/', "-");
            let path = machine.path().join(&name);
            let content = format!("{id}\n").repeat(if shared { 500 } else { 3 });
            std::fs::write(&path, &content)?;
            files.push(NativeFile { id, name, path, bytes: content.len() as u64, shared });
        }
        Ok(Cold { groups, files })
    }

    /// Writes a checkpoint, all parts at once.
    pub(crate) async fn write(
        &self,
        machine: &Machine,
        writer: CheckpointWriter,
        parallelism: u16,
    ) -> Result<(WrittenCheckpoint, PartMetrics)> {
        let parts = subtasks(&plan("any", parallelism)).into_iter().map(|place| {
            let writer = writer.clone();
            async move {
                Ok::<_, anyhow::Error>(writer.part(place, self.freeze(machine, place, parallelism)?).await?)
            }
        });
        let metrics = futures::future::try_join_all(parts).await?;
        let mut all = PartMetrics::default();
        for metrics in metrics {
            all.bytes += metrics.bytes;
            all.written += metrics.written;
        }
        let enumerator = Some(format!("round {}", self.round).into_bytes());
        Ok((writer.finish(vec![enumerator, None]).await?, all))
    }

    /// Takes a checkpoint that stands afterwards.
    pub(crate) async fn checkpoint(
        &self,
        machine: &Machine,
        attempt: &AttemptStore,
        id: u64,
        keep: usize,
    ) -> Result<PartMetrics> {
        let writer = attempt.checkpoint(id, CheckpointKind::Checkpoint, &plan("any", 2));
        let (written, metrics) = self.write(machine, writer, 2).await?;
        attempt.complete(&written, keep).await?;
        Ok(metrics)
    }

    /// Whether a snapshot holds exactly this job's state, read at another parallelism.
    pub(crate) async fn is_in(&self, snapshot: JobSnapshot, native: bool) -> Result<()> {
        let job = self.clone();
        // As a subtask does: not on a thread of the runtime.
        tokio::task::spawn_blocking(move || job.compare(&snapshot, native)).await?
    }

    /// The same, on this thread, which waits for the storage.
    pub(crate) fn compare(&self, snapshot: &JobSnapshot, native: bool) -> Result<()> {
        let (mut counted, mut files, mut items, mut commits) = (Entries::new(), Vec::new(), Vec::new(), 0);
        let plan = plan("any", 3);
        for place in subtasks(&plan) {
            let restored = snapshot.restored(&plan, place);
            items.extend(restored.lists.into_values().flatten());
            commits += restored.commits.values().map(Vec::len).sum::<usize>();
            for (operator, keyed) in restored.keyed {
                let mut take = |group, table, entry: &[u8]| {
                    match operator.as_str() {
                        "count" => counted.entry(group).or_default().push((table, entry.to_vec())),
                        _ => files.push(String::from_utf8_lossy(entry).into_owned()),
                    }
                    Ok(())
                };
                for part in &keyed.parts {
                    ensure!(part.native().is_some() == (native && operator == "big"), "{operator} is native");
                    part.entries(&keyed.owned, &mut take)?;
                }
            }
        }
        ensure!(counted == self.counted(), "heap state of round {}", self.round);
        files.sort();
        files.dedup();
        ensure!(files == self.files(), "cold state: {files:?} instead of {:?}", self.files());
        ensure!((items.len(), commits) == (20, 2), "{} list items, {commits} commits", items.len());
        ensure!(items.iter().all(|item| item.len() >= self.item_bytes));
        let enumerator = snapshot.stages[0].enumerator.clone();
        ensure!(enumerator == Some(format!("round {}", self.round).into_bytes()), "the enumerator");
        Ok(())
    }
}

fn tables() -> Vec<TableSchema> {
    let table = |name: &str| TableSchema { name: name.to_owned(), schema: "\"bytes\"".to_owned() };
    vec![table("panes"), table("windows")]
}

/// A "cold store": an entry per table file, in the first key group that it may hold.
struct Cold {
    groups: Range<u16>,
    files: Vec<NativeFile>,
}

impl FrozenState for Cold {
    fn tables(&self) -> Vec<TableSchema> {
        tables()
    }

    fn entries(&self, emit: &mut Emit<'_>) -> millstream_record::Result<()> {
        let tables = self.files.iter().filter(|file| file.shared);
        tables.map(|file| file.id.as_bytes()).try_for_each(|id| emit(self.groups.start, 0, id))
    }

    fn native(&self) -> Option<NativeState<'_>> {
        Some(NativeState { format: "test", groups: &self.groups, files: &self.files })
    }
}

struct FileReader;

impl NativeReader for FileReader {
    fn entries(
        &self,
        native: &NativeState<'_>,
        _: &[TableSchema],
        wanted: &Range<u16>,
        emit: &mut Emit<'_>,
    ) -> millstream_record::Result<()> {
        for file in native.files.iter().filter(|file| file.shared) {
            let content = read(&file.path);
            let id = content.lines().next().unwrap_or_default();
            if wanted.contains(&native.groups.start) {
                emit(native.groups.start, 0, id.as_bytes())?;
            }
        }
        Ok(())
    }
}

fn read(path: &PathBuf) -> String {
    std::fs::read_to_string(path).expect("a restored file")
}
