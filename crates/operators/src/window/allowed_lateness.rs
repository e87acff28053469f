//! When a window, or a record, is too late: the rules of Flink's `WindowOperator`, written once.

use millstream_stage::time::Time;

use super::Window;

/// The time at which a window's state is dropped, as `WindowOperator.cleanupTime`.
pub fn cleanup_time(window: &Window, allowed_lateness: Time) -> Time {
    window.max_timestamp().saturating_add(allowed_lateness)
}

/// Whether nothing may be added to a window any more, as `WindowOperator.isWindowLate`.
pub fn is_window_late(window: &Window, allowed_lateness: Time, watermark: Time) -> bool {
    cleanup_time(window, allowed_lateness) <= watermark
}

/// Whether a window's end has passed: a record for it fires it again at once.
pub fn has_fired(window: &Window, watermark: Time) -> bool {
    window.max_timestamp() <= watermark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_late_from_its_last_millisecond_plus_the_allowance_on() {
        let window = Window { start: 0, end: 1000 };
        assert!(!is_window_late(&window, 0, 998));
        assert!(is_window_late(&window, 0, 999));
        assert!(!is_window_late(&window, 500, 1498));
        assert!(is_window_late(&window, 500, 1499));
        assert!(!is_window_late(&window, Time::MAX, Time::MAX - 1), "no overflow");
        assert!(is_window_late(&Window::GLOBAL, 0, Time::MAX));
    }
}
