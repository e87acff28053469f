//! The troubles of a whole job, shared by its subtasks.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::Trouble;
use crate::refusals::{Fate, Refusals};
use crate::time::Nanos;

/// All troubles of a job, by what is in trouble.
#[derive(Debug, Default)]
pub struct Troubles {
    failing: Mutex<BTreeMap<String, Arc<SharedTrouble>>>,
    refusing: Mutex<BTreeMap<String, Refusals>>,
}

/// A trouble that lasts, for the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ongoing {
    /// What is in trouble.
    pub subject: String,
    /// Its latest error.
    pub why: String,
    /// For how long it has lasted.
    pub lasts: Duration,
    /// How often it was tried; 0 where nothing is tried again.
    pub attempts: u64,
}

/// Where one subtask reports failures and successes of one subject, such as a store that it writes to.
///
/// The trouble is over when everybody who has reported a failure has reported a success. A reporter that is
/// dropped takes its failure along: the trouble then ends with the next success of another one.
#[derive(Debug)]
pub struct Reporter {
    shared: Arc<SharedTrouble>,
    failing: bool,
}

#[derive(Debug)]
struct SharedTrouble {
    subject: String,
    // Read at every success, so without the lock.
    lasts: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    trouble: Trouble,
    why: String,
    failing: usize,
}

impl Troubles {
    /// A reporter. All reporters of an equal subject report one trouble, so the subject must not name a
    /// subtask.
    pub fn reporter(&self, subject: impl Into<String>) -> Reporter {
        let subject = subject.into();
        let mut all = self.failing.lock();
        let shared = all.entry(subject).or_insert_with_key(|subject| {
            let subject = subject.clone();
            Arc::new(SharedTrouble { subject, lasts: AtomicBool::new(false), state: Mutex::default() })
        });
        Reporter { shared: Arc::clone(shared), failing: false }
    }

    /// Where a decoder or a sink of this name counts its records and those that were refused; the same for
    /// all of its subtasks.
    pub fn refusals(&self, operator: &str) -> Refusals {
        self.refusals_with(operator, Fate::DeadLetter)
    }

    /// The same for an operator that drops what it refuses.
    pub fn drops(&self, operator: &str) -> Refusals {
        self.refusals_with(operator, Fate::Dropped)
    }

    fn refusals_with(&self, operator: &str, fate: Fate) -> Refusals {
        let mut all = self.refusing.lock();
        all.entry(operator.to_owned()).or_insert_with(|| Refusals::of(operator, fate)).clone()
    }

    /// What lasts now.
    pub fn ongoing(&self, now: Nanos) -> Vec<Ongoing> {
        let failing = self.failing.lock();
        let refusing = self.refusing.lock();
        let failing = failing.values().filter_map(|shared| shared.ongoing(now));
        failing.chain(refusing.values().filter_map(|refusals| refusals.ongoing(now))).collect()
    }
}

impl Reporter {
    /// Something failed, for this reason.
    pub fn failed(&mut self, now: Nanos, why: impl Display) {
        let mut state = self.shared.lock();
        if !std::mem::replace(&mut self.failing, true) {
            state.failing += 1;
        }
        state.why = why.to_string();
        self.shared.lasts.store(true, Ordering::Release);
        if let Some(say) = state.trouble.failed(now) {
            say.log(&self.shared.subject, &state.why);
        }
    }

    /// Something succeeded. Costs next to nothing while there is no trouble.
    pub fn recovered(&mut self, now: Nanos) {
        if !self.shared.lasts.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.shared.lock();
        if std::mem::replace(&mut self.failing, false) {
            state.failing -= 1;
        }
        if state.failing > 0 {
            return;
        }
        self.shared.lasts.store(false, Ordering::Release);
        if let Some(say) = state.trouble.recovered(now) {
            say.log(&self.shared.subject, &state.why);
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if self.failing {
            self.shared.lock().failing -= 1;
        }
    }
}

impl SharedTrouble {
    fn ongoing(&self, now: Nanos) -> Option<Ongoing> {
        let state = self.lock();
        let (lasts, attempts) = state.trouble.lasts(now)?;
        Some(Ongoing { subject: self.subject.clone(), why: state.why.clone(), lasts, attempts })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
