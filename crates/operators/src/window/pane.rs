//! The windows that are open, each with its keys.

use millstream_record::record::Record;
use millstream_record::{Key, Result};
use millstream_stage::time::Time;

use super::spec::Kept;
use super::{AggregateFunction, Trigger, TriggerResult, Window, allowed_lateness};
use crate::table::{Entry, KeyedTable, Slot};

/// What a window keeps for one key.
#[derive(Clone)]
pub(super) struct Cell<A, S> {
    pub(super) acc: A,
    pub(super) trigger: S,
}

/// A key with what a window keeps for it.
pub(super) type WindowEntry<K, A, S> = Entry<K, Cell<A, S>>;

impl<K, A, S> WindowEntry<K, A, S> {
    /// For the rules of [`WindowSpec`](super::spec::WindowSpec).
    pub(super) fn kept(&mut self) -> Kept<'_, K, A, S> {
        let Cell { acc, trigger } = &mut self.value;
        Kept { key: &self.key, acc, trigger }
    }
}

/// How far a window that fires in slices has come: in memory, or in the store.
#[derive(Default)]
pub(super) struct FiringPosition {
    pub(super) slot: Slot,
    pub(super) key: Option<Vec<u8>>,
}

/// One open window.
pub(super) struct Pane<K, A, S> {
    pub(super) window: Window,
    pub(super) groups: u16,
    pub(super) table: KeyedTable<K, Cell<A, S>>,
    pub(super) timers: PaneTimers,
}

/// The times at which a window's trigger wants to be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, millstream_record::Record)]
pub(super) struct PaneTimers {
    pub(super) event: Vec<Time>,
    pub(super) processing: Vec<Time>,
}

/// Adds a time once.
pub(super) fn add_time(times: &mut Vec<Time>, time: Option<Time>) {
    if let Some(time) = time
        && !times.contains(&time)
    {
        times.push(time);
    }
}

/// All open windows, ordered by end, then start.
pub(super) struct Panes<K, A, S> {
    panes: Vec<Pane<K, A, S>>,
    last: usize,
    groups: u16,
    /// Whether a cold store lies below.
    cold: bool,
}

impl<K: Key, A: Record, S: Record> Panes<K, A, S> {
    pub(super) fn new(groups: u16, cold: bool) -> Self {
        Self { panes: Vec::new(), last: 0, groups, cold }
    }

    /// The pane of a window, made where there is none. Records come in bursts for the same windows: the last
    /// hit is tried first.
    pub(super) fn open(&mut self, window: Window) -> &mut Pane<K, A, S> {
        if self.panes.get(self.last).is_none_or(|pane| pane.window != window) {
            self.last = self.position(&window).unwrap_or_else(|place| {
                let table = if self.cold { KeyedTable::tracked() } else { KeyedTable::default() };
                let pane = Pane { window, groups: self.groups, table, timers: PaneTimers::default() };
                self.panes.insert(place, pane);
                place
            });
        }
        &mut self.panes[self.last]
    }

    /// Loads what these hashes will need if their records belong to the same window as the last one.
    pub(super) fn warm(&self, hashes: &[u64]) {
        if let Some(pane) = self.panes.get(self.last) {
            pane.table.warm(hashes);
        }
    }

    /// Opens a window with timers that were restored.
    pub(super) fn restore(&mut self, (window, timers): (Window, PaneTimers)) -> &mut Pane<K, A, S> {
        let pane = self.open(window);
        timers.event.into_iter().for_each(|time| add_time(&mut pane.timers.event, Some(time)));
        timers.processing.into_iter().for_each(|time| add_time(&mut pane.timers.processing, Some(time)));
        pane
    }

    pub(super) fn get(&mut self, window: &Window) -> Option<&mut Pane<K, A, S>> {
        let place = self.position(window).ok()?;
        Some(&mut self.panes[place])
    }

    fn position(&self, window: &Window) -> Result<usize, usize> {
        self.panes
            .binary_search_by_key(&(window.end, window.start), |pane| (pane.window.end, pane.window.start))
    }

    pub(super) fn all(&mut self) -> &mut [Pane<K, A, S>] {
        &mut self.panes
    }

    pub(super) fn groups(&self) -> u16 {
        self.groups
    }

    /// Takes the timers that are due out of the panes: by time, then by window.
    pub(super) fn take_due(
        &mut self,
        upto: Time,
        which: fn(&mut PaneTimers) -> &mut Vec<Time>,
    ) -> Vec<(Time, Window)> {
        let mut due = Vec::new();
        for pane in &mut self.panes {
            let window = pane.window;
            which(&mut pane.timers).retain(|time| {
                if *time <= upto {
                    due.push((*time, window));
                }
                *time > upto
            });
        }
        due.sort_by_key(|(time, window)| (*time, window.end, window.start));
        due
    }

    /// Drops the windows whose time is over, and shows which.
    pub(super) fn expire(&mut self, lateness: Time, upto: Time, mut dropped: impl FnMut(&Pane<K, A, S>)) {
        self.panes.retain(|pane| {
            let late = allowed_lateness::is_window_late(&pane.window, lateness, upto);
            if late {
                dropped(pane);
            }
            !late
        });
    }

    pub(super) fn next_processing_timer(&self) -> Option<Time> {
        self.panes.iter().flat_map(|pane| &pane.timers.processing).copied().min()
    }
}

impl<K: Key, A: Record, S: Record> Pane<K, A, S> {
    /// The cell of a key, made where there is none.
    pub(super) fn cell<T, G>(&mut self, hash: u64, key: &K, aggregate: &G) -> &mut WindowEntry<K, A, S>
    where
        G: AggregateFunction<T, Acc = A>,
        S: Default,
    {
        let slot = self.table.resolve(hash, key, || Cell { acc: aggregate.create(), trigger: S::default() });
        self.table.entry_mut(slot).expect("resolve fills the slot")
    }

    /// Fires the next keys in memory, at most so many, and says how many; `None` behind the last one.
    pub(super) fn fire_next(
        &mut self,
        next: &mut Slot,
        most: usize,
        mut fire: impl FnMut(&mut WindowEntry<K, A, S>) -> Option<TriggerResult>,
    ) -> Option<usize> {
        let slots = self.table.slots();
        if *next >= slots {
            return None;
        }
        let mut fired = 0;
        while fired < most && *next < slots {
            let entry = self.table.entry_mut(*next);
            *next += 1;
            fired += usize::from(entry.and_then(&mut fire).is_some());
        }
        Some(fired)
    }
}

/// The state type of a trigger.
pub(super) type StateOf<G> = <G as Trigger>::State;
