//! Page views and unique visitors, overall and by dimension.
//!
//! Counting distinct users of `all` under one key would put the whole shop on one subtask. So it is done in
//! two steps: each user's views are counted under the user's key, where a user counts once; then only sums
//! travel, folded within each batch.

use compact_str::CompactString;
use millstream::Windows;
use millstream::prelude::*;

use crate::event::{ByUser, Event};
use crate::jobs::Computed;
use crate::results::PvUv;

/// The views of one window all carry its last millisecond: those are folded.
const SAME_WINDOW: Duration = Duration::from_millis(1);

/// What one user, or several, did with one value of a dimension in one window.
#[derive(Clone, Debug, Record)]
struct Views {
    dimension: CompactString,
    value: CompactString,
    pv: u64,
    uv: u64,
}

/// Counts in `windows`, called `granularity` in the results.
pub fn pv_uv<W: Windows>(events: &ByUser, granularity: &'static str, windows: W) -> Computed<PvUv> {
    let (late_events, late_views) = (SideTag::new("late"), SideTag::new("late"));
    let name = |step: &str| format!("pv-uv-{granularity}-{step}");
    let per_user = events.window(windows.clone()).side_output_late_data(&late_events).aggregate(
        &name("users"),
        PerUser,
        |_, _, views| views,
    );
    let sums = per_user
        .flat_map(&name("views"), |views| views)
        .fold_batches(&name("fold"), Views::key, SAME_WINDOW, |sum, views| sum.add(&views))
        .key_by(Views::key)
        .window(windows)
        .side_output_late_data(&late_views)
        .reduce(
            &name("sums"),
            |sum, views| sum.plus(&views),
            move |_, window, views| PvUv {
                granularity: granularity.into(),
                dimension: views.dimension,
                value: views.value,
                window_start: window.start,
                window_end: window.end,
                pv: views.pv,
                uv: views.uv,
            },
        );
    let reason = "the sum of some users' views came after the sum of all of them";
    let late_views = sums.side_output(&late_views);
    Computed {
        late_events: per_user.side_output(&late_events),
        late_sums: Some(late_views.into_dead_letters(&name("late-views"), "late", reason)),
        results: sums,
    }
}

impl Views {
    fn key(&self) -> (CompactString, CompactString) {
        (self.dimension.clone(), self.value.clone())
    }

    fn add(&mut self, other: &Self) {
        self.pv += other.pv;
        self.uv += other.uv;
    }

    fn plus(mut self, other: &Self) -> Self {
        self.add(other);
        self
    }
}

/// Counts the views of one user by dimension and value; kept in order, so that a value is found by halving.
#[derive(Clone, Copy)]
struct PerUser;

impl AggregateFunction<Event> for PerUser {
    type Acc = Vec<Views>;
    type Out = Vec<Views>;

    fn create(&self) -> Vec<Views> {
        Vec::new()
    }

    fn add(&self, views: &mut Vec<Views>, event: &Event) {
        count(views, "all", "all", 1);
        for (dimension, value) in event.dimensions() {
            count(views, dimension, value, 1);
        }
    }

    fn merge(&self, views: &mut Vec<Views>, other: Vec<Views>) {
        for view in other {
            count(views, &view.dimension, &view.value, view.pv);
        }
    }

    fn result(&self, views: &Vec<Views>) -> Vec<Views> {
        views.clone()
    }
}

fn count(views: &mut Vec<Views>, dimension: &str, value: &str, pv: u64) {
    let order = |view: &Views| (view.dimension.as_str(), view.value.as_str()).cmp(&(dimension, value));
    match views.binary_search_by(order) {
        Ok(place) => views[place].pv += pv,
        Err(place) => {
            views.insert(place, Views { dimension: dimension.into(), value: value.into(), pv, uv: 1 });
        }
    }
}
