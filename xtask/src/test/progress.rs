//! How far a run is: which step of how many, the time so far, and what remains.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream_testkit::wait::Stopwatch;

use super::part::Part;
use crate::console;

/// Seconds that the steps of the last whole run took, by title.
type Seconds = BTreeMap<String, u64>;

/// The steps of one run.
#[derive(Debug)]
pub(super) struct Progress {
    watch: Stopwatch,
    parts: Vec<Part>,
    last: Seconds,
    file: PathBuf,
}

impl Progress {
    /// Begins now. The times of the last run lie in the folder of the logs.
    pub(super) fn start(parts: &[Part], logs: &Path) -> Self {
        let file = logs.join("seconds.json");
        let last = fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let last = last.unwrap_or_default();
        Self { watch: Stopwatch::start(), parts: parts.to_vec(), last, file }
    }

    /// The time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.watch.elapsed()
    }

    /// What is said when a step begins.
    pub(super) fn heading(&self, step: usize) -> String {
        heading(&self.parts, step, self.elapsed(), &self.last)
    }

    /// A step has succeeded; the next run knows how long it takes.
    pub(super) fn took(&mut self, part: Part, time: Duration) {
        self.last.insert(part.title().to_owned(), time.as_secs());
        // Without the file the next run says nothing of the time that is left.
        if let Ok(text) = serde_json::to_vec(&self.last) {
            let _ = fs::write(&self.file, text);
        }
    }
}

fn heading(parts: &[Part], step: usize, elapsed: Duration, last: &Seconds) -> String {
    let mut text = format!("[{}/{}] {}", step + 1, parts.len(), parts[step].title());
    if elapsed.as_secs() > 0 {
        text += &format!(", {} so far", console::time(elapsed));
    }
    let left: Option<u64> = parts[step..].iter().map(|part| last.get(part.title()).copied()).sum();
    if let Some(left) = left.filter(|left| *left > 0) {
        text += &format!(", about {} left", console::time(Duration::from_secs(left)));
    }
    let then: Vec<_> = parts[step + 1..].iter().map(|part| part.title()).collect();
    if !then.is_empty() {
        text += &format!("; then {}", then.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_says_which_step_it_is_and_what_remains() {
        let parts = [Part::Format, Part::Unit, Part::Browser];
        let seconds = Duration::from_secs;
        let unknown = Seconds::new();
        assert_eq!(
            heading(&parts, 0, seconds(0), &unknown),
            "[1/3] format; then unit, rig and property tests, browser"
        );
        assert_eq!(heading(&parts, 2, seconds(185), &unknown), "[3/3] browser, 3 min 5 s so far");
        let mut known = unknown;
        known.insert(Part::Unit.title().to_owned(), 100);
        assert!(!heading(&parts, 1, seconds(12), &known).contains("left"), "the browser's time is unknown");
        known.insert(Part::Browser.title().to_owned(), 25);
        assert_eq!(
            heading(&parts, 1, seconds(12), &known),
            "[2/3] unit, rig and property tests, 12 s so far, about 2 min 5 s left; then browser"
        );
    }

    #[test]
    fn a_run_remembers_how_long_the_last_one_took() {
        let logs = tempfile::tempdir().unwrap();
        let mut first = Progress::start(&[Part::Unit], logs.path());
        assert!(!first.heading(0).contains("left"));
        first.took(Part::Unit, Duration::from_secs(90));
        let second = Progress::start(&[Part::Unit], logs.path());
        assert!(second.heading(0).contains("about 90 s left"), "{}", second.heading(0));
    }
}
