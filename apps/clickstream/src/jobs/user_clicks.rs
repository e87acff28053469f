//! Clicks of each user, minute by minute.

use millstream::prelude::*;

use crate::event::{ByUser, Event};
use crate::results::UserClicks;

/// Counts the events of each user in windows of a minute. Late events go to `late`.
pub fn user_clicks(events: &ByUser, late: &SideTag<Event>) -> DataStream<UserClicks> {
    events.window(Tumbling::of(Duration::from_secs(60))).side_output_late_data(late).aggregate(
        "user-clicks",
        Count,
        |user, window, count| UserClicks {
            user_id: user.clone(),
            window_start: window.start,
            window_end: window.end,
            count,
        },
    )
}
