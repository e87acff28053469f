//! Clicks of each user, minute by minute.

use millstream::prelude::*;

use crate::event::ByUser;
use crate::jobs::Computed;
use crate::results::UserClicks;

/// Counts the events of each user in windows of a minute.
pub fn user_clicks(events: &ByUser) -> Computed<UserClicks> {
    let late = SideTag::new("late");
    let results = events
        .window(Tumbling::of(Duration::from_secs(60)))
        .side_output_late_data(&late)
        .aggregate("user-clicks", Count, |user, window, count| UserClicks {
            user_id: user.clone(),
            window_start: window.start,
            window_end: window.end,
            count,
        });
    Computed { late_events: results.side_output(&late), results, late_sums: None }
}
