//! The checkpoints of a simulated attempt: does what the coordinator decides, one call of the storage at a
//! time.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use millstream_protocol::checkpoint_retention;
use millstream_protocol::checkpoint_retention::{KnownFiles, Owner};
use millstream_protocol::checkpoint_stats::CheckpointKind;
use millstream_protocol::checkpointing::{CoordinatorDecision, CoordinatorEvent, Logged};
use millstream_protocol::job_snapshot::JobSnapshot;
use millstream_protocol::log::{Append, Change, CheckpointRef};
use millstream_protocol::subtask::SubtaskCommand;
use millstream_record::{Error, ErrorKind, Result};
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::stage::End;
use millstream_stage::time::{Clock, Nanos};
use rand::RngExt;

use super::attempt::Attempt;
use super::broken::Broken;
use super::process::ask;
use super::shared_world::{SharedWorld, manifest_path};
use super::storage::{File, Manifest};

/// How many entries of the log are kept before the last one.
const KEPT: u64 = 6;

/// A snapshot whose parts come in.
pub(super) struct Collecting {
    pub(super) id: CheckpointId,
    pub(super) kind: CheckpointKind,
    pub(super) commits: bool,
    pub(super) parts: Vec<Option<Frozen>>,
    pub(super) enumerators: Vec<Option<Vec<u8>>>,
}

/// A snapshot whose files are being written.
pub(super) struct Writing {
    pub(super) id: CheckpointId,
    kind: CheckpointKind,
    commits: bool,
    left: VecDeque<String>,
    manifest: Arc<Manifest>,
    given_up: bool,
    pub(super) ready_at: Nanos,
}

/// A snapshot whose entry is being logged.
pub(super) struct Logging {
    id: CheckpointId,
    append: Append,
    manifest: Arc<Manifest>,
    /// The coordinator waits for an answer.
    pub(super) is_asked: bool,
    pub(super) ready_at: Nanos,
}

impl Attempt {
    /// Tells the coordinator, and does what it decides.
    pub(super) fn tell(&mut self, shared: &mut SharedWorld, event: CoordinatorEvent) -> Result<()> {
        for decision in self.coordinator.on(event, shared.now()) {
            self.decide(shared, decision)?;
        }
        Ok(())
    }

    fn decide(&mut self, shared: &mut SharedWorld, decision: CoordinatorDecision) -> Result<()> {
        let epoch = self.epoch;
        shared.note(|| format!("epoch {epoch}: {decision:?}"));
        match decision {
            CoordinatorDecision::Trigger { id, kind, hold, request: _ } => self.trigger(id, kind, hold)?,
            CoordinatorDecision::Write(id) => self.begin_to_write(shared, id)?,
            CoordinatorDecision::Log(id) if shared.chaos.broken == Some(Broken::CompleteWithoutEntry) => {
                return self.tell(shared, CoordinatorEvent::Logged { id, logged: Logged::Stands });
            }
            CoordinatorDecision::Log(_) => {
                if let Some(logging) = &mut self.logging {
                    logging.is_asked = true;
                    logging.ready_at = shared.delay();
                }
            }
            CoordinatorDecision::Complete { id, commits, last, request: _ } => {
                self.complete(shared, id, commits, last);
            }
            CoordinatorDecision::Abort { id, reason: _, request: _ } => {
                shared.tally.failed_checkpoints += 1;
                self.give_up(shared, id);
            }
            CoordinatorDecision::Refuse { .. } => {}
            CoordinatorDecision::StopSources { drain } => {
                self.stopping = true;
                self.command_all(|| SubtaskCommand::Stop(if drain { End::Finished } else { End::Stopped }));
            }
            CoordinatorDecision::LogFinish => {
                if self.finishing.is_none() {
                    let append = self.log.propose(Change::Finish, shared.clock.now()).keeping(KEPT);
                    self.finishing = Some(append);
                }
            }
            CoordinatorDecision::Release => self.released = true,
            CoordinatorDecision::FailJob { kind, message } => return Err(Error::new(kind, message)),
        }
        Ok(())
    }

    fn trigger(&mut self, id: CheckpointId, kind: CheckpointKind, hold: bool) -> Result<()> {
        let enumerators = self.enumerators.snapshot(self.plan.stages.len())?;
        let parts = self.subtasks.iter().map(|_| None).collect();
        let commits = self.coordinator.commits();
        self.collecting = Some(Collecting { id, kind, commits, parts, enumerators });
        self.command_all(|| SubtaskCommand::Trigger { id, hold });
        Ok(())
    }

    fn begin_to_write(&mut self, shared: &mut SharedWorld, id: CheckpointId) -> Result<()> {
        let Some(Collecting { kind, commits, parts, enumerators, .. }) = self.collecting.take() else {
            return Ok(());
        };
        let places = self.subtasks.iter().map(|subtask| subtask.place);
        let frozen = places.zip(parts).filter_map(|(place, part)| Some((place, part?)));
        let snapshot = JobSnapshot::assemble(&self.plan, id, self.epoch, frozen, enumerators)?;
        let path = manifest_path(kind, id, self.epoch);
        let (mut left, refers) = self.files_of(shared, kind, id, &path);
        left.push_back(path);
        let manifest = Arc::new(Manifest { snapshot, refers });
        let ready_at = shared.delay();
        self.writing.push(Writing { id, kind, commits, left, manifest, given_up: false, ready_at });
        Ok(())
    }

    // One file of its own, one that later ones may share, and some of those that the last one shares.
    fn files_of(
        &self,
        shared: &mut SharedWorld,
        kind: CheckpointKind,
        id: CheckpointId,
        path: &str,
    ) -> (VecDeque<String>, BTreeSet<String>) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut new = VecDeque::from([format!("{folder}/part")]);
        let mut refers = BTreeSet::from([path.to_owned()]);
        if kind != CheckpointKind::Savepoint {
            new.push_back(checkpoint_retention::shared_file(self.epoch, &format!("{id}.sst")));
            let base = self.log.last().latest().and_then(|base| shared.storage.open(&base.path).ok());
            for file in base.iter().flat_map(|base| &base.refers).filter(|file| file.starts_with("shared/")) {
                if shared.chance.random_bool(0.7) {
                    refers.insert(file.clone());
                }
            }
        }
        refers.extend(new.iter().cloned());
        (new, refers)
    }

    /// Writes the next file of a snapshot.
    pub(super) fn write(&mut self, shared: &mut SharedWorld, index: usize) -> Result<()> {
        let writing = &mut self.writing[index];
        let Some(path) = writing.left.pop_front() else { return Ok(()) };
        let last = writing.left.is_empty();
        let file = if last { File::Manifest(Arc::clone(&writing.manifest)) } else { File::Data };
        let result = shared.storage.put(&mut shared.chance, &path, file);
        if result.is_ok() && !last {
            return Ok(());
        }
        let Writing { id, kind, commits, manifest, given_up, .. } = self.writing.swap_remove(index);
        if given_up {
            self.drop_files(&manifest);
            return Ok(());
        }
        if result.is_ok() {
            let append = self.propose(shared, id, kind, commits, &manifest);
            let ready_at = shared.now();
            self.logging = Some(Logging { id, append, manifest, is_asked: false, ready_at });
        } else {
            self.drop_files(&manifest);
        }
        self.tell(shared, CoordinatorEvent::Written { id, result })
    }

    fn propose(
        &self,
        shared: &SharedWorld,
        id: CheckpointId,
        kind: CheckpointKind,
        commits: bool,
        manifest: &Manifest,
    ) -> Append {
        let time = shared.clock.now();
        let (epoch, path) = (self.epoch, manifest_path(kind, id, self.epoch));
        let bytes = manifest.refers.len() as u64;
        let checkpoint = CheckpointRef { id, epoch, kind, path, time, bytes };
        let keep = shared.chaos.checkpoints.num_retained;
        let change = if commits { Change::Complete(checkpoint, keep) } else { Change::Savepoint(id) };
        self.log.propose(change, time).keeping(KEPT)
    }

    /// One call for the entry of the snapshot that is being logged.
    pub(super) fn log(&mut self, shared: &mut SharedWorld) -> Result<()> {
        let Some(logging) = &mut self.logging else { return Ok(()) };
        let id = logging.id;
        let logged = match ask(shared, &mut logging.append) {
            // Whoever does the calls may have given up for now: the coordinator asks again.
            Ok(None) if shared.chance.random_bool(0.03) => {
                logging.is_asked = false;
                Logged::Unknown("no answer".into())
            }
            Ok(None) => return Ok(()),
            Ok(Some(done)) => {
                let manifest = Arc::clone(&logging.manifest);
                self.stands(shared, done.entry, &manifest);
                Logged::Stands
            }
            Err(error) if error.kind() == ErrorKind::Fenced => Logged::Fenced(error.to_string()),
            Err(error) => return Err(error),
        };
        self.tell(shared, CoordinatorEvent::Logged { id, logged })
    }

    fn stands(
        &mut self,
        shared: &mut SharedWorld,
        entry: millstream_protocol::log::LogEntry,
        manifest: &Manifest,
    ) {
        let retired: Vec<_> = self.log.last().retired_by(&entry).map(|old| old.path.clone()).collect();
        for path in retired {
            if let Ok(old) = shared.storage.open(&path) {
                self.drop_files(&old);
            }
        }
        self.log.stands(entry);
        shared.last = Some(manifest.snapshot.clone());
    }

    fn complete(&mut self, shared: &mut SharedWorld, id: CheckpointId, commits: bool, last: bool) {
        let broken = shared.chaos.broken == Some(Broken::CompleteWithoutEntry);
        if let Some(logging) = self.logging.take().filter(|_| broken) {
            shared.last = Some(logging.manifest.snapshot.clone());
        }
        if commits {
            shared.tally.checkpoints += 1;
            self.command_all(|| SubtaskCommand::Completed { id, last });
        } else {
            shared.tally.savepoints += 1;
            self.command_all(|| SubtaskCommand::Aborted(id));
        }
        if !broken {
            self.clean_up(shared);
        }
    }

    fn give_up(&mut self, shared: &mut SharedWorld, id: CheckpointId) {
        self.collecting.take_if(|collecting| collecting.id == id);
        if let Some(logging) = self.logging.take_if(|logging| logging.id == id) {
            self.drop_files(&logging.manifest);
        }
        // Whoever writes may not hear it at once, and writes on.
        if let Some(index) = self.writing.iter().position(|writing| writing.id == id) {
            if shared.chance.random_bool(0.5) {
                self.writing[index].given_up = true;
            } else {
                let writing = self.writing.swap_remove(index);
                self.drop_files(&writing.manifest);
            }
        }
        self.command_all(|| SubtaskCommand::Aborted(id));
    }

    fn drop_files(&mut self, manifest: &Manifest) {
        let own = |file: &&String| Owner::of(file) == Owner::Shared(self.epoch);
        let files: Vec<_> = manifest.refers.iter().filter(own).cloned().collect();
        self.dropped.extend(files);
    }

    // Looks what may go; it goes later, when more may have happened.
    fn clean_up(&mut self, shared: &SharedWorld) {
        let mut known = KnownFiles {
            epoch: self.epoch,
            dropped: self.dropped.clone(),
            next_checkpoint: self.coordinator.next_id(),
            ..KnownFiles::default()
        };
        for kept in &self.log.last().retained {
            let Ok(manifest) = shared.storage.open(&kept.path) else { return };
            known.referenced.extend(manifest.refers.iter().cloned());
            known.kept.insert((kept.id, kept.epoch));
        }
        for writing in &self.writing {
            known.kept.insert((writing.id, self.epoch));
            known.in_use.extend(writing.manifest.refers.iter().cloned());
        }
        known.kept.extend(self.coordinator.in_flight().map(|id| (id, self.epoch)));
        let gone = checkpoint_retention::deletable(shared.storage.files(), &known);
        self.deleting = gone.into_iter().map(str::to_owned).collect();
    }

    pub(super) fn delete_one(&mut self, shared: &mut SharedWorld) {
        if let Some(file) = self.deleting.pop() {
            shared.storage.delete(&file);
        }
    }

    /// One call for the entry that the job has finished.
    pub(super) fn log_finish(&mut self, shared: &mut SharedWorld) -> Result<()> {
        let Some(append) = &mut self.finishing else { return Ok(()) };
        let Some(done) = ask(shared, append)? else { return Ok(()) };
        self.finishing = None;
        self.log.stands(done.entry);
        self.tell(shared, CoordinatorEvent::FinishLogged(Logged::Stands))
    }
}
