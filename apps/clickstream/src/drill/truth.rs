//! What the results must be, counted in the simplest way and without any of the job's own code.

use std::collections::{BTreeMap, BTreeSet};

use super::audit::Results;
use super::events::DrillEvent;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const SLIDE: i64 = 5 * MINUTE;

/// All events that were sent.
#[derive(Debug, Default)]
pub struct Truth {
    events: Vec<DrillEvent>,
}

impl Truth {
    /// Of these events.
    pub fn of(events: Vec<DrillEvent>) -> Self {
        Self { events }
    }

    /// How many were sent.
    pub fn events(&self) -> usize {
        self.events.len()
    }

    /// What every store must hold.
    pub fn results(&self, top: usize) -> Results {
        let counted = || self.events.iter().filter(|event| event.counts());
        let mut results = Results::default();
        let mut items: BTreeMap<i64, BTreeMap<u64, u64>> = BTreeMap::new();
        let mut views: BTreeMap<_, (u64, BTreeSet<u64>)> = BTreeMap::new();
        for event in counted() {
            let minute = event.time.div_euclid(MINUTE) * MINUTE;
            *results.user_clicks.entry((event.user.to_string(), minute)).or_insert(0) += 1;
            let first = event.time.div_euclid(SLIDE) * SLIDE + SLIDE;
            for end in (first..=first + HOUR - SLIDE).step_by(SLIDE as usize) {
                *items.entry(end).or_default().entry(event.item).or_insert(0) += 1;
            }
            for (granularity, size) in [("1min", MINUTE), ("1h", HOUR)] {
                let start = event.time.div_euclid(size) * size;
                for (dimension, value) in
                    [("all", "all".to_owned()), ("category", event.category.to_string())]
                {
                    let key = (granularity.to_owned(), dimension.to_owned(), value, start);
                    let (pv, users) = views.entry(key).or_default();
                    *pv += 1;
                    users.insert(event.user);
                }
            }
        }
        for (end, counts) in items {
            let mut ranked: Vec<_> = counts.into_iter().collect();
            ranked.sort_by_key(|(item, count)| (std::cmp::Reverse(*count), *item));
            for (rank, (item, count)) in (1..).zip(ranked.into_iter().take(top)) {
                results.hot_items.insert((end, rank), (item.to_string(), count));
            }
        }
        let pv_uv = views.into_iter().map(|(key, (pv, users))| (key, (pv, users.len() as u64)));
        results.pv_uv = pv_uv.collect();
        results
    }
}
