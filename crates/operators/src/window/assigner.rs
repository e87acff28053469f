//! Which windows a record belongs to.

use std::time::Duration;

use millstream_record::{Error, Result};
use millstream_stage::time::{MIN_TIME, Time, millis};

use super::Window;

/// Assigns records to windows by event time, or by processing time where
/// [`is_event_time`](Self::is_event_time) says no.
pub trait WindowAssigner: Clone + Send + Sync + 'static {
    /// Appends the windows of a time, earliest start first. It is asked for every record: what takes long is
    /// to be kept for the next one.
    fn assign(&self, time: Time, windows: &mut Vec<Window>);
    /// The same, for one record after the other: what takes long may be kept for the next one.
    fn assign_next(&mut self, time: Time, windows: &mut Vec<Window>) {
        self.assign(time, windows);
    }
    /// Whether windows follow event time.
    fn is_event_time(&self) -> bool {
        true
    }
    /// Refuses sizes that make no sense.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration).
    fn validate(&self) -> Result<()> {
        Ok(())
    }
}

/// The start of the window of this size that holds `time`, as Flink's `TimeWindow.getWindowStartWithOffset`;
/// right for negative times and offsets too.
pub fn window_start(time: Time, offset: Time, size: Time) -> Time {
    time.saturating_sub(time.wrapping_sub(offset).rem_euclid(size))
}

/// Windows of one size, side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tumbling {
    size: Time,
    offset: Time,
    event_time: bool,
}

impl Tumbling {
    /// Event-time windows aligned to the epoch.
    pub fn of(size: Duration) -> Self {
        Self { size: millis(size), offset: 0, event_time: true }
    }

    /// Processing-time windows.
    pub fn of_processing_time(size: Duration) -> Self {
        Self { event_time: false, ..Self::of(size) }
    }

    /// Moves all borders into the future, by less than the size: days that begin eight hours before those of
    /// UTC have an offset of sixteen hours. For days and hours of a time zone see
    /// [`Calendar`](super::Calendar).
    #[must_use]
    pub fn with_offset(self, offset: Duration) -> Self {
        Self { offset: millis(offset), ..self }
    }
}

impl WindowAssigner for Tumbling {
    fn assign(&self, time: Time, windows: &mut Vec<Window>) {
        let start = window_start(time, self.offset, self.size);
        windows.push(Window { start, end: start.saturating_add(self.size) });
    }

    fn is_event_time(&self) -> bool {
        self.event_time
    }

    fn validate(&self) -> Result<()> {
        check(self.size > 0, "a tumbling window needs a size of at least 1 ms")?;
        check(self.offset < self.size, "a window's offset must be less than its size")
    }
}

/// Windows of one size that start every `slide`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sliding {
    size: Time,
    slide: Time,
    offset: Time,
    event_time: bool,
}

impl Sliding {
    /// Event-time windows aligned to the epoch.
    pub fn of(size: Duration, slide: Duration) -> Self {
        Self { size: millis(size), slide: millis(slide), offset: 0, event_time: true }
    }

    /// Processing-time windows.
    pub fn of_processing_time(size: Duration, slide: Duration) -> Self {
        Self { event_time: false, ..Self::of(size, slide) }
    }

    /// Moves all borders into the future, by less than the slide.
    #[must_use]
    pub fn with_offset(self, offset: Duration) -> Self {
        Self { offset: millis(offset), ..self }
    }
}

impl WindowAssigner for Sliding {
    fn assign(&self, time: Time, windows: &mut Vec<Window>) {
        let last = window_start(time, self.offset, self.slide);
        // A slide larger than the size leaves gaps: a record in one belongs to no window.
        let count = (self.size - 1 - (time - last)).div_euclid(self.slide) + 1;
        for back in (0..count).rev() {
            let start = last - back * self.slide;
            windows.push(Window { start, end: start + self.size });
        }
    }

    fn is_event_time(&self) -> bool {
        self.event_time
    }

    fn validate(&self) -> Result<()> {
        check(self.size > 0 && self.slide > 0, "a sliding window needs a size and a slide of at least 1 ms")?;
        check(self.offset < self.slide, "a window's offset must be less than its slide")
    }
}

/// Windows that all start at a multiple of `size` and end every `step` until the size is reached: totals so
/// far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cumulative {
    size: Time,
    step: Time,
    offset: Time,
}

impl Cumulative {
    /// For example of a day by steps of a minute.
    pub fn of(size: Duration, step: Duration) -> Self {
        Self { size: millis(size), step: millis(step), offset: 0 }
    }

    /// Moves all borders into the future, by less than the size.
    #[must_use]
    pub fn with_offset(self, offset: Duration) -> Self {
        Self { offset: millis(offset), ..self }
    }
}

impl WindowAssigner for Cumulative {
    fn assign(&self, time: Time, windows: &mut Vec<Window>) {
        let start = window_start(time, self.offset, self.size);
        let mut end = window_start(time, start, self.step) + self.step;
        while end <= start + self.size {
            windows.push(Window { start, end });
            end += self.step;
        }
    }

    fn validate(&self) -> Result<()> {
        check(
            self.step > 0 && self.size > 0,
            "a cumulating window needs a size and a step of at least 1 ms",
        )?;
        check(self.size % self.step == 0, "a cumulating window's size must be a multiple of its step")?;
        check(self.offset < self.size, "a window's offset must be less than its size")
    }
}

/// One window for everything; needs a trigger, since it never ends. Its records need no event time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Global;

impl WindowAssigner for Global {
    fn assign(&self, _: Time, windows: &mut Vec<Window>) {
        windows.push(Window::GLOBAL);
    }

    // No time decides about the window, as in Flink's `GlobalWindows`.
    fn is_event_time(&self) -> bool {
        false
    }
}

/// Windows that end when a key was silent for `gap`; windows that touch merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    gap: Time,
    event_time: bool,
}

impl Session {
    /// Event-time sessions.
    pub fn with_gap(gap: Duration) -> Self {
        Self { gap: millis(gap), event_time: true }
    }

    /// Processing-time sessions.
    pub fn with_gap_of_processing_time(gap: Duration) -> Self {
        Self { event_time: false, ..Self::with_gap(gap) }
    }

    /// The window of a single record.
    pub fn window(&self, time: Time) -> Window {
        Window { start: time, end: time.saturating_add(self.gap) }
    }

    /// Whether sessions follow event time.
    pub fn is_event_time(&self) -> bool {
        self.event_time
    }

    /// Refuses a gap of nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration).
    pub fn validate(&self) -> Result<()> {
        check(self.gap > 0, "a session needs a gap of at least 1 ms")
    }
}

pub(super) fn check(right: bool, message: &str) -> Result<()> {
    if right { Ok(()) } else { Err(Error::configuration(message)) }
}

/// The error of a record without event time in an event-time window, as Flink's
/// `TumblingEventTimeWindows.assignWindows`.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for [`MIN_TIME`].
pub fn require_time(time: Time) -> Result<Time> {
    if time != MIN_TIME {
        return Ok(time);
    }
    Err(Error::configuration(
        "a record has no event time: call assign_timestamps_and_watermarks before the window, or use processing time",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(assigner: &impl WindowAssigner, time: Time) -> Vec<(Time, Time)> {
        let mut windows = Vec::new();
        assigner.assign(time, &mut windows);
        windows.into_iter().map(|window| (window.start, window.end)).collect()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn tumbling_as_in_flinks_tumbling_event_time_windows_test() {
        let plain = Tumbling::of(SECOND);
        assert_eq!(windows(&plain, 0), [(0, 1000)]);
        assert_eq!(windows(&plain, 999), [(0, 1000)]);
        assert_eq!(windows(&plain, -1), [(-1000, 0)]);
        assert_eq!(windows(&plain, -1000), [(-1000, 0)]);
        let moved = plain.with_offset(Duration::from_millis(900));
        assert_eq!(windows(&moved, 0), [(-100, 900)]);
        assert_eq!(windows(&moved, 900), [(900, 1900)]);
        assert_eq!(windows(&moved, -101), [(-1100, -100)]);
    }

    #[test]
    fn sliding_as_in_flinks_sliding_event_time_windows_test() {
        let sliding = Sliding::of(Duration::from_secs(5), SECOND);
        assert_eq!(
            windows(&sliding, 0),
            [(-4000, 1000), (-3000, 2000), (-2000, 3000), (-1000, 4000), (0, 5000)]
        );
        assert_eq!(windows(&sliding, -1)[4], (-1000, 4000));
        let gaps = Sliding::of(SECOND, Duration::from_secs(3));
        assert_eq!(windows(&gaps, 500), [(0, 1000)]);
        assert_eq!(windows(&gaps, 1500), []);
        assert_eq!(windows(&gaps, -2500), [(-3000, -2000)]);
    }

    #[test]
    fn cumulating_windows_share_their_start() {
        let cumulative = Cumulative::of(Duration::from_secs(3), SECOND);
        assert_eq!(windows(&cumulative, 1200), [(0, 2000), (0, 3000)]);
        assert_eq!(windows(&cumulative, -1), [(-3000, 0)]);
    }

    #[test]
    fn senseless_sizes_are_refused() {
        assert!(Tumbling::of(Duration::ZERO).validate().is_err());
        assert!(Tumbling::of(SECOND).with_offset(SECOND).validate().is_err());
        assert!(Sliding::of(SECOND, Duration::ZERO).validate().is_err());
        assert!(Cumulative::of(SECOND, Duration::from_millis(300)).validate().is_err());
        assert!(Session::with_gap(Duration::ZERO).validate().is_err());
        assert!(require_time(MIN_TIME).is_err());
    }
}
