//! The items with the most events of the last hour, every five minutes.

use std::cmp::Ordering;

use compact_str::CompactString;
use millstream::prelude::*;

use crate::event::Event;
use crate::jobs::Computed;
use crate::results::HotItem;

const WINDOW: Duration = Duration::from_secs(60 * 60);
const SLIDE: Duration = Duration::from_secs(5 * 60);

/// How often an item was seen in a window.
#[derive(Clone, Debug, Record)]
struct ItemCount {
    item_id: CompactString,
    window_end: i64,
    count: u64,
}

/// The hottest items of one window, best first.
#[derive(Clone, Debug, Record)]
pub struct Ranking {
    /// End of the window, exclusive.
    pub window_end: i64,
    /// Item and count.
    pub items: Vec<(CompactString, u64)>,
}

impl Ranking {
    /// One row per place.
    pub fn rows(self) -> Vec<HotItem> {
        let window_end = self.window_end;
        let places = (1..).zip(self.items);
        places.map(|(rank, (item_id, count))| HotItem { window_end, rank, item_id, count }).collect()
    }
}

/// Ranks items by count, smaller id first among equals.
pub fn hot_items(events: &DataStream<Event>, top: usize) -> Computed<Ranking> {
    let (late_events, late_counts) = (SideTag::new("late"), SideTag::new("late"));
    let counts = events
        .key_by(|event| event.item_id.clone())
        .window(Sliding::of(WINDOW, SLIDE))
        .side_output_late_data(&late_events)
        .aggregate("item-counts", Count, |item, window, count| ItemCount {
            item_id: item.clone(),
            window_end: window.end,
            count,
        });
    // All counts of one window carry its last millisecond: a window of one slide holds exactly those.
    let best = TopN::new(top, hotter, |a: &ItemCount, b| a.item_id == b.item_id);
    let windows = counts.key_by(|count| count.window_end).window(Tumbling::of(SLIDE));
    let results =
        windows.side_output_late_data(&late_counts).aggregate("hot-items", best, |window_end, _, items| {
            Ranking {
                window_end: *window_end,
                items: items.into_iter().map(|item| (item.item_id, item.count)).collect(),
            }
        });
    let late_counts = results.side_output(&late_counts);
    let reason = "the count of an item in an hour came after the ranking of that hour";
    Computed {
        late_events: counts.side_output(&late_events),
        late_sums: Some(late_counts.into_dead_letters("late-item-counts", "late", reason)),
        results,
    }
}

fn hotter(a: &ItemCount, b: &ItemCount) -> Ordering {
    b.count.cmp(&a.count).then_with(|| by_id(&a.item_id, &b.item_id))
}

/// Smaller id first: as numbers where both are, else as text.
fn by_id(a: &str, b: &str) -> Ordering {
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rank_as_numbers_where_both_are() {
        assert_eq!(by_id("9", "10"), Ordering::Less);
        assert_eq!(by_id("9", "a"), Ordering::Less);
        assert_eq!(by_id("item-9", "item-10"), Ordering::Greater);
    }
}
