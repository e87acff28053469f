//! All timers of one clock in the order in which they fire.
//!
//! Above a cold store only the earliest are in memory; the store has all of them, ordered by time within each
//! key group.

use std::collections::BTreeSet;
use std::ops::Range;

use millstream_record::key_group::{KeyGroup, key_group};
use millstream_record::{Key, Record, Result};
use millstream_stage::state_backend::Change;
use millstream_stage::time::{MAX_TIME, MIN_TIME, Time};

use crate::cold::{Cache, after, prefix, push_time, read_time};

/// Timers that are loaded of each key group at a time.
const LOAD: usize = 64;

/// Timers in memory, above a store.
const MOST: usize = 1 << 14;

/// What a timer is for.
pub(crate) trait OfKey: Record + Ord {
    /// The hash of its key.
    fn hash(&self) -> u64;
}

impl<K: Key> OfKey for K {
    fn hash(&self) -> u64 {
        self.key_hash()
    }
}

/// By time, then by what they are for, so that every run fires them alike.
pub(crate) struct TimerIndex<X> {
    // Above a store: those up to the horizon.
    head: BTreeSet<(Time, X)>,
    cold: Option<Box<Cold>>,
}

struct Cold {
    table: u8,
    groups: u16,
    owned: Range<KeyGroup>,
    horizon: Time,
    changes: Vec<Change>,
}

impl<X> Default for TimerIndex<X> {
    fn default() -> Self {
        Self { head: BTreeSet::new(), cold: None }
    }
}

impl Cold {
    fn key<X: OfKey>(&self, time: Time, timer: &X) -> Vec<u8> {
        let mut key = prefix(key_group(timer.hash(), self.groups), self.table);
        push_time(&mut key, time);
        timer.encode(&mut key);
        key
    }
}

impl<X: OfKey> TimerIndex<X> {
    /// Timers that are in a table of a cold store.
    pub(crate) fn above(table: u8, cache: &Cache) -> Self {
        let (groups, owned) = (cache.groups, cache.owned.clone());
        let cold = Cold { table, groups, owned, horizon: MIN_TIME, changes: Vec::new() };
        Self { head: BTreeSet::new(), cold: Some(Box::new(cold)) }
    }

    pub(crate) fn add(&mut self, time: Time, timer: X) {
        let Some(cold) = &mut self.cold else {
            self.head.insert((time, timer));
            return;
        };
        let value = Time::MAX.to_be_bytes().to_vec();
        cold.changes.push(Change::Put(cold.key(time, &timer), value));
        if time <= cold.horizon {
            self.head.insert((time, timer));
            if self.head.len() > MOST {
                self.shorten();
            }
        }
    }

    pub(crate) fn remove(&mut self, time: Time, timer: &X) {
        self.head.remove(&(time, timer.clone()));
        if let Some(cold) = &mut self.cold {
            cold.changes.push(Change::Delete(cold.key(time, timer)));
        }
    }

    /// Whether one of those in memory is due.
    pub(crate) fn is_due(&self, upto: Time) -> bool {
        self.head.first().is_some_and(|(time, _)| *time <= upto)
    }

    /// The next one that is due, of those in memory, if it may be taken.
    pub(crate) fn pop_due(&mut self, upto: Time, may: impl Fn(&X) -> bool) -> Option<(Time, X)> {
        if !self.is_due(upto) || !may(&self.head.first()?.1) {
            return None;
        }
        let (time, timer) = self.head.pop_first()?;
        if let Some(cold) = &mut self.cold {
            cold.changes.push(Change::Delete(cold.key(time, &timer)));
        }
        Some((time, timer))
    }

    /// When to ask again.
    pub(crate) fn next(&self) -> Option<Time> {
        let first = self.head.first().map(|(time, _)| *time);
        let horizon = self.cold.as_ref().map_or(MAX_TIME, |cold| cold.horizon);
        first.or((horizon < MAX_TIME).then(|| horizon + 1))
    }

    /// At most so many of those that are due, brought into memory.
    pub(crate) fn due(&mut self, upto: Time, most: usize, cache: &mut Cache) -> Result<Vec<&X>> {
        while self.head.is_empty() && self.cold.as_ref().is_some_and(|cold| cold.horizon < upto) {
            self.load(cache)?;
        }
        let due = self.head.iter().take_while(|(time, _)| *time <= upto);
        Ok(due.map(|(_, timer)| timer).take(most).collect())
    }

    /// Hands the store the changes that it does not have yet.
    pub(crate) fn write_back(&mut self, cache: &mut Cache) {
        if let Some(cold) = &mut self.cold {
            cache.changes.append(&mut cold.changes);
        }
    }

    // The next timers of each group, up to a new horizon that all groups have reached.
    fn load(&mut self, cache: &mut Cache) -> Result<()> {
        self.write_back(cache);
        let Some(cold) = &mut self.cold else { return Ok(()) };
        let mut limit = LOAD;
        loop {
            let (mut horizon, mut found) = (MAX_TIME, Vec::new());
            for group in cold.owned.clone() {
                let table = prefix(group, cold.table);
                let mut from = table.clone();
                push_time(&mut from, cold.horizon.saturating_add(1));
                let pairs = cache.scan(&from..&after(&table), limit)?;
                for (key, _) in &pairs {
                    let mut rest = &key[table.len()..];
                    found.push((read_time(&mut rest)?, X::decode(&mut rest)?));
                }
                if pairs.len() == limit {
                    // There may be more of the last one's time.
                    horizon = horizon.min(found.last().map_or(horizon, |(time, _)| time - 1));
                }
            }
            if horizon > cold.horizon {
                cold.horizon = horizon;
                self.head.extend(found.into_iter().filter(|(time, _)| *time <= horizon));
                return Ok(());
            }
            limit *= 8;
        }
    }

    // The later half stays in the store alone.
    fn shorten(&mut self) {
        let Some(middle) = self.head.iter().nth(self.head.len() / 2).map(|(time, _)| *time) else { return };
        if self.head.first().is_some_and(|(first, _)| *first < middle)
            && let Some(cold) = &mut self.cold
        {
            cold.horizon = middle - 1;
            self.head.retain(|(time, _)| *time < middle);
        }
    }
}
