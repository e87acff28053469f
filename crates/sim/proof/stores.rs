//! Models of the systems that results go to. They err as real ones do: a call may fail, its answer may be
//! lost, part of a bulk may be taken, and all of it takes its time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A result: a key and its value.
pub(crate) type Row = (u64, u64);

/// Why a call was not answered well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// It may have happened or not.
    Away,
    /// A newer writer has taken over.
    Fenced,
}

/// How one call goes.
enum Luck {
    Well,
    /// Nothing happens.
    Lost,
    /// It happens, and nobody hears of it.
    Unheard,
    /// Some of it happens, and nobody hears of it.
    Half,
}

/// Chance, for one store.
pub(crate) struct Weather {
    chance: ChaCha8Rng,
    faults: f64,
}

impl Weather {
    fn luck(&mut self) -> Luck {
        if !self.chance.random_bool(self.faults) {
            return Luck::Well;
        }
        match self.chance.random_range(0..3) {
            0 => Luck::Lost,
            1 => Luck::Unheard,
            _ => Luck::Half,
        }
    }
}

/// A store that all processes share.
pub(crate) struct SharedStore<S>(Arc<Mutex<(S, Weather)>>);

impl<S> Clone for SharedStore<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Default> SharedStore<S> {
    pub(crate) fn new(seed: u64, faults: f64) -> Self {
        let weather = Weather { chance: ChaCha8Rng::seed_from_u64(seed), faults };
        Self(Arc::new(Mutex::new((S::default(), weather))))
    }

    fn lock(&self) -> MutexGuard<'_, (S, Weather)> {
        self.0.lock()
    }

    /// How long the next call takes.
    pub(crate) fn delay(&self) -> Duration {
        let chance = &mut self.lock().1.chance;
        let most = if chance.random_ratio(1, 20) { 60_000 } else { 3_000 };
        Duration::from_micros(chance.random_range(0..most))
    }

    /// What is in it.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&self.lock().0)
    }
}

/// Documents with external versions, as in Elasticsearch: an older version is refused. (Redis with its
/// compare-and-write is the same.)
#[derive(Default)]
pub(crate) struct Documents(pub(crate) BTreeMap<u64, (u64, i64)>);

impl SharedStore<Documents> {
    pub(crate) fn bulk(&self, rows: &[(u64, u64, i64)]) -> Result<(), CallError> {
        let (documents, weather) = &mut *self.lock();
        let luck = weather.luck();
        let taken = match luck {
            Luck::Lost => 0,
            Luck::Half => rows.len() / 2,
            Luck::Well | Luck::Unheard => rows.len(),
        };
        for &(key, value, version) in &rows[..taken] {
            let newest = documents.0.entry(key).or_insert((value, version));
            if version > newest.1 {
                *newest = (value, version);
            }
        }
        if matches!(luck, Luck::Well) { Ok(()) } else { Err(CallError::Away) }
    }
}

/// A topic that is written in transactions, as in Kafka, read with `read_committed`.
#[derive(Default)]
pub(crate) struct Topic {
    pub(crate) rows: Vec<Row>,
    /// By transactional id, who may write.
    producers: BTreeMap<u16, u64>,
    /// What was written together with a transaction.
    markers: BTreeSet<String>,
}

impl SharedStore<Topic> {
    /// Fences every older writer of this transactional id.
    pub(crate) fn init(&self, id: u16, epoch: u64) -> Result<(), CallError> {
        let (topic, weather) = &mut *self.lock();
        let luck = weather.luck();
        let newest = topic.producers.entry(id).or_default();
        if *newest > epoch {
            return Err(CallError::Fenced);
        }
        if !matches!(luck, Luck::Lost) {
            *newest = epoch;
        }
        if matches!(luck, Luck::Well) { Ok(()) } else { Err(CallError::Away) }
    }

    /// Whether the transaction with this marker was committed.
    pub(crate) fn has(&self, marker: &str) -> Result<bool, CallError> {
        let (topic, weather) = &mut *self.lock();
        if matches!(weather.luck(), Luck::Well) {
            Ok(topic.markers.contains(marker))
        } else {
            Err(CallError::Away)
        }
    }

    /// One transaction: all rows and the marker, or nothing.
    pub(crate) fn commit(&self, id: u16, epoch: u64, marker: &str, rows: &[Row]) -> Result<(), CallError> {
        let (topic, weather) = &mut *self.lock();
        if topic.producers.get(&id) != Some(&epoch) {
            return Err(CallError::Fenced);
        }
        let luck = weather.luck();
        if matches!(luck, Luck::Well | Luck::Unheard) {
            topic.rows.extend(rows);
            topic.markers.insert(marker.to_owned());
        }
        if matches!(luck, Luck::Well) { Ok(()) } else { Err(CallError::Away) }
    }
}

/// A table whose writer's epoch is checked in each transaction, as with SQLite.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) rows: BTreeMap<u64, u64>,
    epoch: u64,
}

impl SharedStore<Ledger> {
    /// Takes the epoch; whoever is the first of its attempt also writes what the one before had not got
    /// acknowledged.
    pub(crate) fn open(&self, epoch: u64, rows: &[Row]) -> Result<(), CallError> {
        let begun = self.look(|ledger| ledger.epoch == epoch);
        self.upsert(epoch, if begun { &[] } else { rows })
    }

    pub(crate) fn upsert(&self, epoch: u64, rows: &[Row]) -> Result<(), CallError> {
        let (ledger, weather) = &mut *self.lock();
        if ledger.epoch > epoch {
            return Err(CallError::Fenced);
        }
        let luck = weather.luck();
        if matches!(luck, Luck::Well | Luck::Unheard) {
            ledger.epoch = epoch;
            ledger.rows.extend(rows.iter().copied());
        }
        if matches!(luck, Luck::Well) { Ok(()) } else { Err(CallError::Away) }
    }
}
