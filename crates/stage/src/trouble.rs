//! Few log lines for a trouble that lasts: one when it begins, one now and then with a count, one when it is
//! over.
//!
//! A store that is away fails every request for minutes. [`Trouble`] decides, without I/O, which of these
//! failures is worth a line; [`Troubles`] shares that decision among all subtasks of a job, so that a store
//! that all of them miss is said to be away once.
//!
//! ```
//! use millstream_stage::trouble::Troubles;
//!
//! let (second, troubles) = (1_000_000_000, Troubles::default());
//! let mut reporter = troubles.reporter("Redis at redis://shop:6379");
//! // WARN Redis at redis://shop:6379: connection refused; it is tried again
//! reporter.failed(0, "connection refused");
//! // Nothing: it is the same trouble.
//! reporter.failed(second, "connection refused");
//! // WARN Redis at redis://shop:6379: still failing after 10 s, 3 attempts: connection refused
//! reporter.failed(10 * second, "connection refused");
//! // INFO Redis at redis://shop:6379: back again after 34 s, 3 attempts
//! reporter.recovered(34 * second);
//! assert!(troubles.ongoing(34 * second).is_empty());
//! ```

mod board;

#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::time::Duration;

pub use self::board::{Ongoing, Reporter, Troubles};
use crate::time::{Nanos, nanos};

/// How long after its beginning a trouble is said to go on. The pause doubles from line to line.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause between two lines.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Decides what a log says of one trouble that comes and goes.
///
/// A trouble that comes back soon after it was over is mentioned ever more rarely, unless it lasts: a store
/// that fails every other request must not fill the log with beginnings and ends.
#[derive(Clone, Debug)]
pub struct Trouble {
    now: Option<Lasting>,
    /// Until then the log does not say that the trouble begins, unless it lasts.
    calm_until: Nanos,
    /// How long to be calm after the next end.
    calm: Duration,
    over_at: Option<Nanos>,
    /// Troubles that came and went since the last line.
    unsaid: u64,
}

#[derive(Clone, Copy, Debug)]
struct Lasting {
    since: Nanos,
    attempts: u64,
    said: bool,
    next_line: Nanos,
    pause: Duration,
}

/// What the log should say now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// It begins.
    Began {
        /// How often it has come and gone since the last line.
        unsaid: u64,
    },
    /// It goes on.
    GoesOn {
        /// For how long it has lasted.
        lasts: Duration,
        /// Failures since it began.
        attempts: u64,
    },
    /// It is over.
    Over {
        /// How long it lasted.
        lasted: Duration,
        /// Failures since it began.
        attempts: u64,
    },
}

impl Default for Trouble {
    fn default() -> Self {
        Self { now: None, calm_until: 0, calm: FIRST_PAUSE, over_at: None, unsaid: 0 }
    }
}

impl Trouble {
    /// Something failed.
    pub fn failed(&mut self, now: Nanos) -> Option<Say> {
        let mut lasting = self.now.unwrap_or_else(|| self.begin(now));
        lasting.attempts += 1;
        let say = if lasting.said { lasting.goes_on(now) } else { self.began(&mut lasting, now) };
        self.now = Some(lasting);
        say
    }

    /// Something succeeded: the trouble is over, if there was one.
    pub fn recovered(&mut self, now: Nanos) -> Option<Say> {
        let Lasting { since, attempts, said, .. } = self.now.take()?;
        self.over_at = Some(now);
        if !said {
            self.unsaid += 1;
            return None;
        }
        self.calm_until = now.saturating_add(nanos(self.calm));
        Some(Say::Over { lasted: between(since, now), attempts })
    }

    /// How long it has lasted and how often something failed, if it lasts.
    pub fn lasts(&self, now: Nanos) -> Option<(Duration, u64)> {
        self.now.map(|lasting| (between(lasting.since, now), lasting.attempts))
    }

    fn begin(&mut self, now: Nanos) -> Lasting {
        let calm_for = self.over_at.map(|over_at| between(over_at, now));
        self.calm = match calm_for {
            Some(time) if time < self.calm * 2 => (self.calm * 2).min(LONGEST_PAUSE),
            _ => FIRST_PAUSE,
        };
        Lasting { since: now, attempts: 0, said: false, next_line: 0, pause: FIRST_PAUSE }
    }

    fn began(&mut self, lasting: &mut Lasting, now: Nanos) -> Option<Say> {
        if now < self.calm_until && between(lasting.since, now) < FIRST_PAUSE {
            return None;
        }
        lasting.said = true;
        lasting.next_line = now.saturating_add(nanos(lasting.pause));
        Some(Say::Began { unsaid: std::mem::take(&mut self.unsaid) })
    }
}

impl Lasting {
    fn goes_on(&mut self, now: Nanos) -> Option<Say> {
        if now < self.next_line {
            return None;
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.next_line = now.saturating_add(nanos(self.pause));
        Some(Say::GoesOn { lasts: between(self.since, now), attempts: self.attempts })
    }
}

impl Say {
    /// Writes the line. `subject` is what is in trouble, such as "Redis at redis://shop:6379"; `why` is its
    /// latest error.
    pub fn log(self, subject: impl Display, why: impl Display) {
        match self {
            Self::Began { unsaid: 0 } => tracing::warn!("{subject}: {why}; it is tried again"),
            Self::Began { unsaid } => tracing::warn!(
                "{subject}: {why}; it is tried again (it failed and recovered {} before, which was not logged)",
                counted(unsaid, "time")
            ),
            Self::GoesOn { lasts, attempts } => tracing::warn!(
                "{subject}: still failing after {}, {}: {why}",
                rounded(lasts),
                counted(attempts, "attempt")
            ),
            Self::Over { lasted, attempts } => tracing::info!(
                "{subject}: back again after {}, {}",
                rounded(lasted),
                counted(attempts, "attempt")
            ),
        }
    }
}

/// A duration as people say it: "0.3 s", "34 s", "5 min 12 s", "3 h 20 min".
pub fn rounded(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn between(since: Nanos, now: Nanos) -> Duration {
    Duration::from_nanos(now.saturating_sub(since))
}
