//! Which checkpoints of an attempt are under way, and what was dropped: what clean-up must leave alone and
//! what it may remove.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use millstream_stage::snapshot::CheckpointId;
use parking_lot::{Mutex, MutexGuard};

use super::SharedFiles;

/// The checkpoints of one attempt that may still complete or be written to.
#[derive(Default)]
pub(super) struct InFlight {
    tickets: BTreeMap<CheckpointId, Weak<Ticket>>,
    next: CheckpointId,
    dropped: Arc<Mutex<Dropped>>,
}

/// Files that are no longer needed.
#[derive(Default)]
pub(super) struct Dropped {
    /// Shared files of this attempt.
    pub(super) shared: BTreeSet<String>,
    /// A checkpoint was given up: there may be files of it that are in no list.
    pub(super) strays: bool,
}

/// Lives as long as anybody may write to the checkpoint or complete it.
pub(super) struct Ticket {
    /// The files that it may refer to.
    pub(super) base: SharedFiles,
    brought: Mutex<Brought>,
    dropped: Arc<Mutex<Dropped>>,
}

#[derive(Default)]
struct Brought {
    shared: BTreeSet<String>,
    stands: bool,
}

impl InFlight {
    /// A checkpoint begins.
    pub(super) fn begin(&mut self, id: CheckpointId, base: SharedFiles) -> Arc<Ticket> {
        let dropped = Arc::clone(&self.dropped);
        let ticket = Arc::new(Ticket { base, brought: Mutex::default(), dropped });
        self.tickets.insert(id, Arc::downgrade(&ticket));
        self.next = self.next.max(id + 1);
        ticket
    }

    /// The number after that of the last one that has begun.
    pub(super) fn next(&self) -> CheckpointId {
        self.next
    }

    /// The checkpoints under way, with all shared files that they refer to or write.
    pub(super) fn alive(&mut self) -> (BTreeSet<CheckpointId>, BTreeSet<String>) {
        self.tickets.retain(|_, ticket| ticket.strong_count() > 0);
        let mut files = BTreeSet::new();
        for ticket in self.tickets.values().filter_map(Weak::upgrade) {
            files.extend(ticket.base.values().map(|file| file.path.clone()));
            files.extend(ticket.brought.lock().shared.iter().cloned());
        }
        (self.tickets.keys().copied().collect(), files)
    }

    /// What was dropped so far.
    pub(super) fn dropped(&self) -> MutexGuard<'_, Dropped> {
        self.dropped.lock()
    }
}

impl Ticket {
    /// It writes this shared file.
    pub(super) fn brings(&self, path: &str) {
        self.brought.lock().shared.insert(path.to_owned());
    }

    /// The log says that it stands.
    pub(super) fn stands(&self) {
        self.brought.lock().stands = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut brought = self.brought.lock();
        if !brought.stands {
            let mut dropped = self.dropped.lock();
            dropped.shared.append(&mut brought.shared);
            dropped.strays = true;
        }
    }
}
