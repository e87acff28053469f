//! Says when most records of a decoder or of a sink are refused: a misconfiguration turns nearly everything
//! into dead letters, and each of them looks harmless for itself.
//!
//! [`Window`] decides, without I/O and by the host's clock alone, whether the records of a span of time were
//! mostly refused; [`Troubles`](crate::trouble::Troubles) says it once for all subtasks of an operator, with
//! the commonest reason and a sample, now and then while it lasts, and once when it is over. Page and metrics
//! show it with the other troubles.
//!
//! ```
//! use millstream_stage::refusals::Refusal;
//! use millstream_stage::trouble::Troubles;
//!
//! let (second, troubles) = (1_000_000_000, Troubles::default());
//! let parse = troubles.refusals("parse");
//! let refusal = || Refusal { reason: "field userId is missing".into(), sample: "clicks-0 at 7: {}".into() };
//! parse.count(0, 200, 150, || vec![refusal()]);
//! // WARN most records are refused by parse: 150 of 200 within 1.0 s. The commonest reason: field userId is missing. …
//! parse.look(second);
//! assert_eq!(troubles.ongoing(second)[0].subject, "most records are refused by parse");
//! ```

mod reporter;

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

pub use self::reporter::Refusals;
use crate::dead_letter::DeadLetter;
use crate::time::{Nanos, nanos};

/// The longest span that is judged as one.
const SPAN: Duration = Duration::from_secs(10);
/// A span that is judged as soon as it has [`MANY`] refused records.
const SHORT: Duration = Duration::from_secs(1);
const MANY: u64 = 100;
/// Fewer records than this say nothing before the input ends.
const FEW: u64 = 10;
/// Reasons that are told apart.
const REASONS: usize = 8;
/// Refused records of one call that are looked at.
const LOOKED_AT: usize = 4;
/// Bytes of a sample.
const SHOWN: usize = 160;

/// Why a record was refused, and what it looked like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason of its dead letter.
    pub reason: String,
    /// Where it stood and its first bytes, for people.
    pub sample: String,
}

/// What becomes of each record that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A dead letter.
    DeadLetter,
    /// It is counted, and nothing else is kept of it.
    Dropped,
}

/// What became of the records of a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// More than half of them were refused.
    Most,
    /// Too many to call it over, too few to call it most.
    Some,
    /// Less than a quarter were refused.
    Few,
}

/// A span of time that was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What share was refused.
    pub share: Share,
    /// What there is to say about it.
    pub why: String,
}

/// Counts the records of a span of time until it can be judged, then those of the next one.
#[derive(Clone, Debug, Default)]
pub struct Window {
    since: Option<Nanos>,
    records: u64,
    refused: u64,
    reasons: Vec<Reason>,
}

#[derive(Clone, Debug)]
struct Reason {
    // Without digits: positions and times differ from record to record.
    pattern: String,
    times: u64,
    first: Refusal,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeadLetter => "Each of them is a dead letter",
            Self::Dropped => "They are counted, and nothing else is kept of them",
        })
    }
}

impl Refusal {
    /// The refusals behind the first few of these dead letters.
    pub fn of(letters: &[DeadLetter]) -> Vec<Self> {
        letters.iter().take(LOOKED_AT).map(Self::of_one).collect()
    }

    fn of_one(letter: &DeadLetter) -> Self {
        let raw = String::from_utf8_lossy(&letter.raw[..letter.raw.len().min(SHOWN)]);
        let raw = raw.escape_debug();
        let sample = match letter.position {
            ..0 => format!("{raw}"),
            position => format!("{} at {position}: {raw}", letter.split),
        };
        Self { reason: letter.reason.clone(), sample }
    }
}

impl Window {
    /// Adds records of which some were refused, and looks at a few of those.
    pub fn count(&mut self, now: Nanos, records: u64, refused: u64, refusals: Vec<Refusal>) {
        if records > 0 || refused > 0 {
            self.since.get_or_insert(now);
        }
        self.records += records.max(refused);
        self.refused += refused;
        refusals.into_iter().for_each(|refusal| self.note(refusal));
    }

    fn note(&mut self, refusal: Refusal) {
        let pattern: String = refusal.reason.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        if let Some(known) = self.reasons.iter_mut().find(|reason| reason.pattern == pattern) {
            known.times += 1;
        } else if self.reasons.len() < REASONS {
            self.reasons.push(Reason { pattern, times: 1, first: refusal });
        }
    }

    /// When it can be judged, if something is to be judged. Of a span with nothing refused that is only
    /// wanted while a trouble `lasts`.
    pub fn judge_at(&self, lasts: bool) -> Option<Nanos> {
        let since = self.since?;
        let soon = self.refused >= MANY && self.share() == Share::Most;
        let wanted = soon || self.records >= FEW && (self.refused > 0 || lasts);
        wanted.then(|| since.saturating_add(if soon { nanos(SHORT) } else { nanos(SPAN) }))
    }

    /// Judges the span if it is long enough, and begins the next one.
    pub fn judge(&mut self, now: Nanos) -> Option<Judged> {
        let due = self.judge_at(true).is_some_and(|at| at <= now);
        if due { self.judge_last(now) } else { None }
    }

    /// Judges what there is: nothing follows.
    pub fn judge_last(&mut self, now: Nanos) -> Option<Judged> {
        let since = self.since?;
        let share = self.share();
        let why = self.why(Duration::from_nanos(now.saturating_sub(since)));
        *self = Self::default();
        Some(Judged { share, why })
    }

    fn share(&self) -> Share {
        match self.refused {
            refused if refused * 2 > self.records => Share::Most,
            refused if refused * 4 >= self.records && refused > 0 => Share::Some,
            _ => Share::Few,
        }
    }

    fn why(&self, span: Duration) -> String {
        let span = crate::trouble::rounded(span);
        let commonest = self.reasons.iter().rev().max_by_key(|reason| reason.times);
        let example = commonest.map_or_else(String::new, |Reason { first, .. }| {
            format!(". The commonest reason: {}. For example {}", first.reason, first.sample)
        });
        format!("{} of {} within {span}{example}", self.refused, self.records)
    }
}
