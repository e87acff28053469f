//! Counts of tests.

use std::ops::AddAssign;

/// How many tests passed and failed, and where.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) failures: Vec<String>,
}

impl Tally {
    /// Counts one failure that no test program reported.
    pub(super) fn fail(&mut self, what: &str) {
        self.failed += 1;
        self.failures.push(what.to_owned());
    }

    /// Sums what the test harness reported. A program that fails without saying how often counts once; an
    /// ignored test counts as failed, since nobody would look for it.
    pub(super) fn of(name: &str, output: &str, success: bool) -> Self {
        let mut tally = Self::default();
        for line in output.lines().filter_map(|line| line.trim_start().strip_prefix("test result: ")) {
            tally.passed += count(line, "passed");
            tally.failed += count(line, "failed");
            let ignored = count(line, "ignored");
            if ignored > 0 {
                tally.failed += ignored;
                tally.failures.push(format!("{name}: {ignored} ignored"));
            }
        }
        tally.failures.extend(failures(name, output));
        if !success && tally.failed == 0 {
            tally.fail(&format!("{name}: it ended badly"));
        }
        tally
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
    }
}

/// The number before `word` in "ok. 3 passed; 0 failed; ...".
fn count(line: &str, word: &str) -> u64 {
    let words: Vec<&str> = line.split([' ', ';']).filter(|word| !word.is_empty()).collect();
    words.windows(2).find(|pair| pair[1] == word).and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

fn failures<'a>(name: &'a str, output: &'a str) -> impl Iterator<Item = String> + 'a {
    let failed = |line: &'a str| line.strip_prefix("test ")?.strip_suffix(" ... FAILED");
    output.lines().filter_map(failed).map(move |test| format!("{name}: {test}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "test a ... ok\ntest result: ok. 6 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
    const BAD: &str = "test b ... FAILED\ntest result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured";

    #[test]
    fn results_are_summed() {
        let tally = Tally::of("core", &format!("{GOOD}\n{BAD}"), false);
        assert_eq!((tally.passed, tally.failed), (8, 1));
        assert_eq!(tally.failures, ["core: b"]);
    }

    #[test]
    fn a_program_that_dies_fails_once() {
        assert_eq!(Tally::of("core", "", false).failed, 1);
        assert_eq!(Tally::of("core", BAD, false).failed, 1);
        assert_eq!(Tally::of("core", GOOD, true).failed, 0);
    }

    #[test]
    fn an_ignored_test_fails() {
        let tally = Tally::of("core", "test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured", true);
        assert_eq!((tally.passed, tally.failed), (1, 2));
    }
}
