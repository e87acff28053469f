//! The logs of a cluster's processes, for the message of a test that fails.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{cache, name};

/// Names of processes, and where each one's log is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logs(Vec<(String, PathBuf)>);

impl Logs {
    pub(crate) fn new(logs: Vec<(String, PathBuf)>) -> Self {
        Self(logs)
    }

    /// Copies them to the cache, as the homes of test clusters disappear with their test, and says where they
    /// are and what each one complains about last.
    pub(crate) fn keep(&self) -> String {
        self.copy().unwrap_or_else(|error| format!("The logs could not be kept: {error:#}"))
    }

    fn copy(&self) -> Result<String> {
        let all = cache::dir()?.join("logs");
        let dir = all.join(name::unique_name("flink"));
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        remove_all_but_latest(&all)?;
        let mut text = format!("The logs of the cluster are kept in {}.", dir.display());
        for (name, log) in &self.0 {
            let content = fs::read(log).unwrap_or_default();
            let kept = dir.join(format!("{name}.log"));
            fs::write(&kept, &content).with_context(|| format!("cannot write {}", kept.display()))?;
            text.push_str(&format!("\n{name}: {}", complaints(&String::from_utf8_lossy(&content))));
        }
        Ok(text)
    }
}

/// Names have the time in them, so they sort by it.
fn remove_all_but_latest(dir: &Path) -> Result<()> {
    const LATEST: usize = 20;
    let mut kept: Vec<PathBuf> = fs::read_dir(dir)?.flatten().map(|entry| entry.path()).collect();
    kept.sort();
    let surplus = kept.len().saturating_sub(LATEST);
    for old in &kept[..surplus] {
        let _ = fs::remove_dir_all(old); // another test may be at it
    }
    Ok(())
}

/// The last lines of a log that are warnings or worse. Those of the logging library about itself, whose times
/// have a `T`, are left out.
fn complaints(log: &str) -> String {
    const LAST: usize = 5;
    let grave = |line: &&str| {
        let levels = [" WARN ", " ERROR ", " FATAL "];
        line.get(10..11) == Some(" ") && levels.iter().any(|level| line.contains(level))
    };
    let mut lines: Vec<&str> = log.lines().rev().filter(grave).take(LAST).collect();
    lines.reverse();
    if lines.is_empty() { "no warnings".to_owned() } else { format!("\n  {}", lines.join("\n  ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_logs_are_kept() -> Result<()> {
        let dir = tempfile::tempdir()?;
        for number in 10..35 {
            fs::create_dir(dir.path().join(number.to_string()))?;
        }
        remove_all_but_latest(dir.path())?;
        assert_eq!(fs::read_dir(dir.path())?.count(), 20);
        assert!(!dir.path().join("14").exists() && dir.path().join("15").exists());
        Ok(())
    }

    #[test]
    fn the_last_warnings_are_shown_in_order() {
        let time = "2026-01-02 03:04:05,006";
        let log = format!(
            "{time} INFO  a\n{time} WARN  b\n2026-01-02T03:04 WARN c\n{time} INFO  d\n{time} ERROR e\n\tat f\n"
        );
        assert_eq!(complaints(&log), format!("\n  {time} WARN  b\n  {time} ERROR e"));
        assert_eq!(complaints("1 INFO  a\n"), "no warnings");
    }
}
