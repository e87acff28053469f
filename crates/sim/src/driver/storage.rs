//! The storage of a simulated job: its log and its files, with everything that a real one may do to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millstream_protocol::job_snapshot::JobSnapshot;
use millstream_protocol::log::{LogEntry, LogEvent, LogRequest, LogResponse};
use rand::RngExt;
use rand::seq::IndexedRandom;

use super::Chance;

/// A checkpoint as it is stored: what it holds, and all files that it refers to.
pub(super) struct Manifest {
    pub(super) snapshot: JobSnapshot,
    pub(super) refers: BTreeSet<String>,
}

/// What is in a file.
#[derive(Clone)]
pub(super) enum File {
    Manifest(Arc<Manifest>),
    Data,
    Torn,
}

/// A storage with exclusive create for the log and whole files beside it.
#[derive(Default)]
pub(super) struct Storage {
    log: BTreeMap<u64, Vec<u8>>,
    files: BTreeMap<String, File>,
    /// Creates that are still on their way, of whoever sent them.
    late: Vec<(u64, Vec<u8>)>,
    /// How often a call goes wrong in one way or another.
    faults: f64,
    /// Whether nothing goes wrong for the time being.
    pub(super) is_calm: bool,
    /// Whether the log says that the job has finished. Whoever starts it once more would do all of it once
    /// more.
    pub(super) is_finished: bool,
}

impl Storage {
    pub(super) fn new(faults: f64) -> Self {
        Self { faults, ..Self::default() }
    }

    fn errs(&self, chance: &mut Chance) -> bool {
        !self.is_calm && chance.random_bool(self.faults)
    }

    /// One call of the log.
    pub(super) fn answer(&mut self, chance: &mut Chance, ask: &LogRequest) -> LogResponse {
        let fault = if self.errs(chance) { chance.random_range(0..6) } else { 9 };
        match (ask, fault) {
            (LogRequest::Create(number, bytes), 0) => {
                self.late.push((*number, bytes.clone()));
                LogResponse::Unknown
            }
            (LogRequest::Create(number, bytes), 1) => {
                self.create(*number, bytes);
                LogResponse::Unknown
            }
            (LogRequest::Create(number, bytes), 2) => {
                self.create(*number, &bytes[..bytes.len() / 2]);
                LogResponse::Unknown
            }
            (LogRequest::Create(number, bytes), 3) => {
                // It is made twice: once now, once later.
                self.late.push((*number, bytes.clone()));
                self.create(*number, bytes)
            }
            (_, 0..=5) => LogResponse::Unknown,
            (LogRequest::Create(number, bytes), _) => self.create(*number, bytes),
            (LogRequest::Read(number), _) => LogResponse::Read(self.log.get(number).cloned()),
            (LogRequest::List | LogRequest::Done(_) | LogRequest::Refused(_), _) => {
                LogResponse::Listed(self.log.keys().copied().collect())
            }
        }
    }

    /// What was on its way may arrive.
    pub(super) fn weather(&mut self, chance: &mut Chance) {
        if !self.late.is_empty() && chance.random_ratio(1, 50) {
            let (number, bytes) = self.late.swap_remove(chance.random_range(0..self.late.len()));
            self.create(number, &bytes);
        }
    }

    pub(super) fn create(&mut self, number: u64, bytes: &[u8]) -> LogResponse {
        if self.log.contains_key(&number) {
            return LogResponse::Exists;
        }
        let entry = LogEntry::decode(bytes);
        self.is_finished |= entry.is_ok_and(|entry| entry.event == LogEvent::Finished);
        self.log.insert(number, bytes.to_vec());
        LogResponse::Created
    }

    /// Writes a file; an error may mean that it is there, torn or whole.
    pub(super) fn put(&mut self, chance: &mut Chance, path: &str, file: File) -> Result<(), String> {
        if !self.errs(chance) {
            self.files.insert(path.to_owned(), file);
            return Ok(());
        }
        match chance.random_range(0..3) {
            0 => drop(self.files.insert(path.to_owned(), File::Torn)),
            1 => drop(self.files.insert(path.to_owned(), file)),
            _ => {}
        }
        Err(format!("{path}: 503 Service Unavailable"))
    }

    /// Writes a file, whatever the weather.
    pub(super) fn put_for_sure(&mut self, path: &str, file: File) {
        self.files.insert(path.to_owned(), file);
    }

    /// Reads a checkpoint and looks at all files that it refers to.
    pub(super) fn open(&self, path: &str) -> Result<Arc<Manifest>, String> {
        let Some(File::Manifest(manifest)) = self.files.get(path) else {
            return Err(format!("{path} is missing or damaged"));
        };
        let whole =
            |file: &&String| matches!(self.files.get(file.as_str()), Some(File::Manifest(_) | File::Data));
        match manifest.refers.iter().find(|file| !whole(file)) {
            Some(file) => Err(format!("{path}: {file} is missing or damaged")),
            None => Ok(Arc::clone(manifest)),
        }
    }

    /// Damages a file of the newest checkpoint, if the one before it is whole.
    pub(super) fn damage(&mut self, chance: &mut Chance) {
        let last = self.log.values().rev().find_map(|bytes| LogEntry::decode(bytes).ok());
        let Some([.., older, newest]) = last.as_ref().map(|last| &last.retained[..]) else { return };
        let Ok(whole) = self.open(&older.path) else { return };
        let Ok(manifest) = self.open(&newest.path) else { return };
        // What the older one shares stays as it is.
        let own: Vec<_> = manifest.refers.difference(&whole.refers).collect();
        if let Some(file) = own.choose(chance) {
            self.files.insert((*file).clone(), File::Torn);
        }
    }

    /// A read that may fail for now.
    pub(super) fn is_away(&self, chance: &mut Chance) -> bool {
        self.errs(chance)
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    pub(super) fn delete(&mut self, path: &str) {
        self.files.remove(path);
    }

    pub(super) fn prune(&mut self, numbers: &[u64]) {
        numbers.iter().for_each(|number| drop(self.log.remove(number)));
    }
}
