//! What the results must be, counted in the simplest way.

use std::collections::{BTreeMap, BTreeSet};

use super::recording::Recorded;

/// Count by user and start of the minute.
pub type UserClicks = BTreeMap<(String, i64), u64>;
/// Item and count by end of the window and place.
pub type HotItems = BTreeMap<(i64, u32), (String, u64)>;
/// PV and UV by granularity, dimension, value and start of the window.
pub type PvUv = BTreeMap<(String, String, String, i64), (u64, u64)>;

fn counted(events: &[Recorded]) -> impl Iterator<Item = &Recorded> {
    events.iter().filter(|event| ["pv", "click", "view"].contains(&event.behavior.as_str()))
}

pub fn user_clicks(events: &[Recorded]) -> UserClicks {
    let mut counts = BTreeMap::new();
    for event in counted(events) {
        *counts.entry((event.user.clone(), event.time.div_euclid(60_000) * 60_000)).or_insert(0) += 1;
    }
    counts
}

pub fn hot_items(events: &[Recorded], top: usize) -> HotItems {
    let mut windows: BTreeMap<i64, BTreeMap<&str, u64>> = BTreeMap::new();
    for event in counted(events) {
        let start = event.time.div_euclid(300_000) * 300_000;
        for end in (1..=12).map(|slide| start + slide * 300_000) {
            *windows.entry(end).or_default().entry(&event.item).or_insert(0) += 1;
        }
    }
    let mut places = BTreeMap::new();
    for (end, counts) in windows {
        let mut ranked: Vec<_> = counts.into_iter().collect();
        ranked.sort_by_key(|(item, count)| {
            (std::cmp::Reverse(*count), item.parse::<u64>().expect("ids are numbers"))
        });
        for (place, (item, count)) in (1..).zip(ranked.into_iter().take(top)) {
            places.insert((end, place), (item.to_owned(), count));
        }
    }
    places
}

pub fn pv_uv(events: &[Recorded]) -> PvUv {
    let mut windows: BTreeMap<_, (u64, BTreeSet<&str>)> = BTreeMap::new();
    for event in counted(events) {
        for (granularity, size) in [("1min", 60_000), ("1h", 3_600_000)] {
            let start = event.time.div_euclid(size) * size;
            for (dimension, value) in [("all", "all"), ("category", event.category.as_str())] {
                let key = (granularity.to_owned(), dimension.to_owned(), value.to_owned(), start);
                let (pv, users) = windows.entry(key).or_default();
                *pv += 1;
                users.insert(&event.user);
            }
        }
    }
    windows.into_iter().map(|(key, (pv, users))| (key, (pv, users.len() as u64))).collect()
}

/// Compares without printing a hundred thousand rows.
pub fn assert_same<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    what: &str,
    got: &BTreeMap<K, V>,
    wanted: &BTreeMap<K, V>,
) {
    for (key, value) in wanted {
        assert_eq!(got.get(key), Some(value), "{what}: {key:?}");
    }
    for key in got.keys() {
        assert!(wanted.contains_key(key), "{what}: {key:?} should not be there");
    }
    assert!(!wanted.is_empty(), "{what}: nothing to compare");
}
