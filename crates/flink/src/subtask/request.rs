//! What the harness says when it opens a subtask, and the opening.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Waker;

use millstream_checkpoint::keyed_files;
use millstream_checkpoint::store::ReadOptions;
use millstream_checkpoint::wire::WireReader;
use millstream_protocol::layout::SubtaskId;
use millstream_protocol::subtask::SubtaskProtocol;
use millstream_record::key_group::owned_groups;
use millstream_record::{Error, Result};
use millstream_runtime::{SystemClock, TokioIo};
use millstream_stage::batch::EdgeId;
use millstream_stage::chance::Chance;
use millstream_stage::context::OpenContext;
use millstream_stage::io::Io;
use millstream_stage::metrics::SubtaskMetrics;
use millstream_stage::plan::{Exchange, Plan, StageId, StageSpec};
use millstream_stage::snapshot::{NativeReader, Restored, RestoredKeyed};
use millstream_stage::time::{Clock, Time};
use millstream_state::{ConfiguredBackend, configured_backend};

use super::inputs::{FlinkInputs, InEdge};
use super::{CallOutcome, StageSubtask};
use crate::canonical;
use crate::program::{Job, Loaded, Program};
use crate::savepoint;
use crate::state;
use crate::wake::{Callback, Wake};

/// An edge that leaves the subtask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutEdge {
    pub(crate) edge: EdgeId,
    /// How many subtasks it leads to.
    pub(crate) routes: u16,
    /// The last watermark that was sent on it.
    pub(super) watermark: Option<Time>,
}

/// The keyed state of one subtask of the past, whose files are on this machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeyedHandle {
    /// None for that of a canonical savepoint.
    manifest: Option<Vec<u8>>,
    folder: PathBuf,
}

/// What the harness knows of a subtask.
#[derive(Debug)]
pub(crate) struct StageRequest {
    stage: StageId,
    subtask: u16,
    parallelism: u16,
    epoch: u64,
    /// Bytes of native memory that one slot of the TaskManager may use.
    slot_memory: u64,
    /// A folder of the subtask's own.
    folder: PathBuf,
    outputs: Vec<OutEdge>,
    inputs: Vec<InEdge>,
    /// Whether Flink has restored the job; else it starts, perhaps from a savepoint of the thread driver.
    restored: bool,
    split_lists: Vec<Vec<u8>>,
    union_lists: Vec<Vec<u8>>,
    commits: Vec<Vec<u8>>,
    keyed: Vec<KeyedHandle>,
}

impl StageRequest {
    pub(crate) fn decode(bytes: &[u8], plan: &Plan) -> Result<Self> {
        let mut bytes = WireReader(bytes);
        let items = |bytes: &mut WireReader<'_>| bytes.list(|bytes| bytes.bytes().map(<[u8]>::to_vec));
        let stage = bytes.number()?;
        let (subtask, parallelism) = (bytes.number()?, bytes.number()?);
        Ok(Self {
            stage,
            subtask,
            parallelism,
            epoch: bytes.long()? as u64,
            slot_memory: bytes.long()?.max(0) as u64,
            folder: bytes.text()?.into(),
            outputs: bytes.list(|bytes| {
                Ok(OutEdge { edge: bytes.number()?, routes: bytes.number()?, watermark: None })
            })?,
            inputs: bytes.list(|bytes| in_edge(bytes, plan, (subtask, parallelism)))?,
            restored: bytes.bool()?,
            split_lists: items(&mut bytes)?,
            union_lists: items(&mut bytes)?,
            commits: items(&mut bytes)?,
            keyed: bytes.list(keyed_handle)?,
        })
    }

    /// The plan with the parallelism that stages really have, as far as this subtask can know it.
    fn plan(&self, mut plan: Plan) -> Result<Plan> {
        for output in &self.outputs {
            let edge = plan.edges.get(output.edge as usize).ok_or_else(|| no_such_edge(output.edge))?;
            let to = edge.to as usize;
            plan.stages[to].parallelism = output.routes;
        }
        for input in &self.inputs {
            let from = plan.edges[input.edge as usize].from as usize;
            plan.stages[from].parallelism = input.upstreams;
        }
        let spec = plan.stages.get_mut(self.stage as usize);
        let spec = spec.ok_or_else(|| Error::bug(format!("the plan has no stage {}", self.stage)))?;
        spec.parallelism = self.parallelism;
        Ok(plan)
    }
}

fn no_such_edge(edge: EdgeId) -> Error {
    Error::bug(format!("the plan has no edge {edge}"))
}

fn in_edge(bytes: &mut WireReader<'_>, plan: &Plan, (subtask, parallelism): (u16, u16)) -> Result<InEdge> {
    let (edge, upstreams): (EdgeId, u16) = (bytes.number()?, bytes.number()?);
    let spec = plan.edges.get(edge as usize).ok_or_else(|| no_such_edge(edge))?;
    let sends = |upstream: &u16| spec.exchange != Exchange::Forward || upstream % parallelism == subtask;
    Ok(InEdge { edge, upstreams, senders: (0..upstreams).filter(sends).collect() })
}

fn keyed_handle(bytes: &mut WireReader<'_>) -> Result<KeyedHandle> {
    // The key groups stand in the manifest as well.
    bytes.int()?;
    bytes.int()?;
    let manifest = bytes.optional_bytes()?.map(<[u8]>::to_vec);
    Ok(KeyedHandle { manifest, folder: bytes.text()?.into() })
}

impl StageSubtask {
    /// Opens a subtask.
    ///
    /// # Errors
    /// Returns the errors of the configuration, of restoring, and of the stage.
    pub(crate) fn open(program: &dyn Program, job: &Job, request: &[u8], callback: Callback) -> Result<Self> {
        let Loaded { plan, mut settings, mut storage, .. } = job.load(program)?;
        let request = StageRequest::decode(request, &plan)?;
        let plan = request.plan(plan)?;
        let stage = &plan.stages[request.stage as usize];
        let who =
            format!("stage `{}` (subtask {} of {})", stage.name, request.subtask + 1, request.parallelism);
        settings.backend.localdir = Some(request.folder.clone());
        settings.backend.memory = state_memory(&plan, request.slot_memory);
        storage.chance = Chance::from_system();
        let backend = configured_backend(&plan, &settings.backend)?;
        let runtime = savepoint::runtime()?;
        let restored = {
            let _entered = runtime.enter();
            restored(&request, job, &plan, &storage, &backend)?
        };
        let opened = millstream_runtime::catch_panic(|| {
            Opening { request, job, plan: plan.clone(), who, backend, restored, runtime }.open(callback)
        });
        opened.unwrap_or_else(|panic| Err(Error::bug(format!("it panicked while opening: {panic}"))))
    }
}

struct Opening<'a> {
    request: StageRequest,
    job: &'a Job,
    plan: Plan,
    who: String,
    backend: ConfiguredBackend,
    restored: Restored,
    runtime: tokio::runtime::Runtime,
}

impl Opening<'_> {
    fn open(self, callback: Callback) -> Result<StageSubtask> {
        let Self { request, job, plan, who, backend, restored, runtime } = self;
        let spec = &plan.stages[request.stage as usize];
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let io: Arc<dyn Io> = Arc::new(TokioIo::new(runtime.handle().clone()));
        let wake = Wake::new(callback);
        let waker = Waker::from(Arc::clone(&wake));
        let metrics = Arc::new(SubtaskMetrics::new(&spec.name, request.subtask));
        let mut cx = OpenContext {
            job: plan.name.clone(),
            subtask: request.subtask,
            parallelism: request.parallelism,
            key_groups: plan.key_groups,
            owned: owned_groups(request.subtask, plan.key_groups, request.parallelism),
            epoch: request.epoch,
            routes: request.outputs.iter().map(|output| (output.edge, output.routes)).collect(),
            clock: Arc::clone(&clock),
            io: Arc::clone(&io),
            waker: waker.clone(),
            metrics: Arc::clone(&metrics),
            backend: backend.backend,
            restored,
        };
        let mut stage = (spec.make)();
        if let Err(error) = stage.open(&mut cx).and_then(|()| refuse_untaken(job, &cx, &plan, request.stage))
        {
            stage.close();
            return Err(error);
        }
        let is_source = spec.enumerator.is_some();
        let protocol = protocol(&plan, &request, is_source);
        Ok(StageSubtask {
            stage,
            protocol,
            plan: Arc::new(plan),
            who,
            index: request.subtask,
            is_source,
            inputs: FlinkInputs::new(request.inputs),
            outputs: request.outputs,
            frozen: std::collections::BTreeMap::new(),
            awaited: None,
            prepared: 0,
            given_up: std::collections::BTreeSet::new(),
            folder: request.folder,
            outcome: CallOutcome::default(),
            suspended: false,
            failed: false,
            clock,
            io,
            wake,
            waker,
            metrics,
            counters: Arc::default(),
            runtime: Some(runtime),
        })
    }
}

// A slot holds one subtask of each stage. Half of its memory is for the caches of keyed state, the rest for
// records on their way and what sinks hold back.
fn state_memory(plan: &Plan, slot_memory: u64) -> u64 {
    let keyed = |stage: &&StageSpec| stage.operators.iter().any(|operator| !operator.tables.is_empty());
    let keyed = plan.stages.iter().filter(keyed).count().max(1) as u64;
    slot_memory / 2 / keyed
}

fn refuse_untaken(job: &Job, cx: &OpenContext, plan: &Plan, stage: StageId) -> Result<()> {
    if job.allow_non_restored {
        return Ok(());
    }
    let operators = &plan.stages[stage as usize].operators;
    cx.restored.refuse_untaken(operators.iter().map(|operator| operator.name.as_str()))
}

fn protocol(plan: &Plan, request: &StageRequest, is_source: bool) -> SubtaskProtocol {
    let feeds = request.inputs.iter().flat_map(|input| {
        let fed = plan.edges[input.edge as usize].input;
        std::iter::repeat_n(fed, input.senders.len())
    });
    let feeds: Vec<_> = feeds.collect();
    let count = millstream_protocol::layout::inputs(plan, request.stage);
    SubtaskProtocol::new(count, &feeds, is_source, true)
}

fn restored(
    request: &StageRequest,
    job: &Job,
    plan: &Plan,
    storage: &millstream_storage::StorageOptions,
    backend: &ConfiguredBackend,
) -> Result<Restored> {
    if request.restored {
        return of_flink(request, plan.key_groups, backend.natives.as_ref());
    }
    let Some(url) = &job.from_savepoint else { return Ok(Restored::default()) };
    let (local, natives) = (backend.local.clone(), backend.natives.clone());
    let options = ReadOptions { local, natives, ..ReadOptions::default() }.for_plan(plan);
    let snapshot = savepoint::read(url, storage, &options)?;
    snapshot.validate_allowing(plan, job.allow_non_restored)?;
    Ok(snapshot.restored(plan, SubtaskId { stage: request.stage, subtask: request.subtask }))
}

fn of_flink(
    request: &StageRequest,
    key_groups: u16,
    natives: Option<&Arc<dyn NativeReader>>,
) -> Result<Restored> {
    let mut restored = state::restored_lists(&request.split_lists, &request.union_lists)?;
    state::restore_commits(&mut restored, &request.commits, request.subtask, request.parallelism)?;
    let owned = owned_groups(request.subtask, key_groups, request.parallelism);
    for handle in &request.keyed {
        let parts = match &handle.manifest {
            Some(manifest) => read_keyed(manifest, &handle.folder, natives)?,
            None => canonical::read(&handle.folder)?,
        };
        for (operator, part) in parts {
            let keyed = restored
                .keyed
                .entry(operator)
                .or_insert_with(|| RestoredKeyed { parts: Vec::new(), owned: owned.clone() });
            keyed.parts.push(part);
        }
    }
    Ok(restored)
}

fn read_keyed(
    manifest: &[u8],
    folder: &Path,
    natives: Option<&Arc<dyn NativeReader>>,
) -> Result<Vec<(String, Arc<dyn millstream_stage::snapshot::KeyedPart>)>> {
    let handle = tokio::runtime::Handle::current();
    handle.block_on(keyed_files::read(manifest, folder, natives.cloned()))
}
