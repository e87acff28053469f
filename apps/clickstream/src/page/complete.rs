//! Which windows are shown. While a job runs, all of them are complete: the watermark has passed them. At the
//! end of the input those that were still open are written as well, with what there was; they look like a
//! crash of the shop and are not shown for the last hour or minute.

use std::collections::BTreeMap;

use millstream::time::Time;

use super::board::{Hot, Minute, Shown};

const MINUTE: Time = 60 * 1000;
const HOUR: Time = 60 * MINUTE;

/// What is shown of the windows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Windows {
    /// By start of the minute.
    pub(super) minutes: BTreeMap<Time, Minute>,
    /// The newest ranking.
    pub(super) hot_items: Option<Hot>,
    /// Until when there was data, where even that ranking is not complete.
    pub(super) data_until: Option<Time>,
}

/// The windows to show; `end` is the last event time where the input has ended. A window counts as complete
/// when not more than a sixtieth of it is missing, since the last event hardly ever comes with the last
/// millisecond.
pub(super) fn windows(shown: &Shown, end: Option<Time>) -> Windows {
    let Some(end) = end else {
        let hot_items = shown.rankings.last_key_value().map(|(_, hot)| hot.clone());
        return Windows { minutes: shown.minutes.clone(), hot_items, data_until: None };
    };
    let is_complete = |window_end: Time, size: Time| window_end <= end + size / 60;
    let mut minutes = shown.minutes.clone();
    minutes.retain(|start, _| is_complete(start + MINUTE, MINUTE));
    if minutes.is_empty() {
        minutes.clone_from(&shown.minutes);
    }
    let complete = shown.rankings.iter().rev().find(|(window_end, _)| is_complete(**window_end, HOUR));
    let fullest = shown.rankings.first_key_value();
    let data_until = (complete.is_none() && fullest.is_some()).then_some(end);
    Windows { minutes, hot_items: complete.or(fullest).map(|(_, hot)| hot.clone()), data_until }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(first: Time, minutes: Time, ends: impl IntoIterator<Item = Time>) -> Shown {
        let minute = |number: Time| (first + number * MINUTE, Minute { pv: 100, uv: 10 });
        let ranking = |end: Time| (end, Hot { window_end: end, items: Vec::new() });
        Shown {
            minutes: (0..minutes).map(minute).collect(),
            rankings: ends.into_iter().map(ranking).collect(),
            ..Shown::default()
        }
    }

    fn last(windows: &Windows) -> (Time, Option<Time>, Option<Time>) {
        let minute = *windows.minutes.last_key_value().unwrap().0;
        (minute / MINUTE, windows.hot_items.as_ref().map(|hot| hot.window_end / MINUTE), windows.data_until)
    }

    #[test]
    fn while_a_job_runs_the_newest_windows_are_shown() {
        let shown = shown(0, 90, (1..=18).map(|slide| slide * 5 * MINUTE));
        assert_eq!(last(&windows(&shown, None)), (89, Some(90), None));
    }

    #[test]
    fn at_the_end_the_last_complete_hour_and_minute_are_shown() {
        // Data until 01:31:30; the end of the input has written all windows that hold some of it, until
        // 02:30.
        let shown = shown(0, 92, (1..=30).map(|slide| slide * 5 * MINUTE));
        assert_eq!(last(&windows(&shown, Some(91 * MINUTE + 30_000))), (90, Some(90), None));
        // The last event of an hour is not in its last millisecond.
        assert_eq!(last(&windows(&shown, Some(92 * MINUTE - 300))), (91, Some(90), None));
        assert_eq!(last(&windows(&shown, Some(90 * MINUTE - 20_000))), (88, Some(90), None));
    }

    #[test]
    fn an_input_that_is_shorter_than_a_window_shows_what_there_is() {
        let end = 30_000;
        let shown = shown(0, 1, (1..=12).map(|slide| slide * 5 * MINUTE));
        assert_eq!(last(&windows(&shown, Some(end))), (0, Some(5), Some(end)));
    }
}
