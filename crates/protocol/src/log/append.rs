//! Appends one entry to a job's log: asks the storage, is answered, and knows in the end whether the entry
//! stands.

use millstream_record::{Error, ErrorKind};
use millstream_stage::time::Time;

use super::entry::{LogEntry, LogEvent, Unreadable};
use super::{Base, Change};

/// How many entries are kept before the last one: for people, and so that a slow reader still finds what it
/// listed.
const KEPT: u64 = 100;

/// What [`Append`] wants to know or done.
#[derive(Debug)]
pub enum LogRequest {
    /// The numbers of all entries there are, in any order.
    List,
    /// An entry's bytes.
    Read(u64),
    /// Make this entry, if there is none of this number.
    Create(u64, Vec<u8>),
    /// It stands.
    Done(Done),
    /// It does not and will not: another attempt has taken over ([`ErrorKind::Fenced`]), or the log cannot be
    /// read.
    Refused(Error),
}

/// The entry that stands.
#[derive(Clone, Debug)]
pub struct Done {
    /// The entry.
    pub entry: LogEntry,
    /// Entries that are so old that they may be deleted; it does no harm if they are not.
    pub prune: Vec<u64>,
    /// Entries that were found damaged and passed over: to be logged as a warning, because their content
    /// is lost.
    pub damaged: Vec<u64>,
}

/// What the storage answers.
#[derive(Clone, Debug)]
pub enum LogResponse {
    /// These entries are there.
    Listed(Vec<u64>),
    /// The entry's bytes; none when there is no such entry.
    Read(Option<Vec<u8>>),
    /// The entry was made.
    Created,
    /// There is an entry of this number.
    Exists,
    /// No answer, or an error: it may have happened or not. The same is asked again; whoever waits may do so
    /// after a while, or give up, but then must not act as if the entry did not stand.
    Unknown,
}

/// The machine: look at [`ask`](Self::ask), do it, tell [`on`](Self::on).
#[derive(Clone, Debug)]
pub struct Append {
    writer: String,
    change: Change,
    now: Time,
    keep: u64,
    /// Whether a claim gives way to another writer's.
    yields: bool,
    /// What the proposal is built on.
    before: LogEntry,
    proposal: LogEntry,
    damaged: Vec<u64>,
    /// Entries above the proposal that mean nothing.
    void: Vec<u64>,
    at: At,
}

#[derive(Clone, Debug)]
enum At {
    /// Looks for the highest entry.
    Looking,
    /// Reads entries, highest first; so many could not be read.
    Finding { left: Vec<u64>, highest: u64, skipped: u64, torn_only: bool },
    /// Tries to make the entry.
    Creating,
    /// Somebody has made an entry of that number: whose?
    Contested,
    /// It is made; is anything above it?
    Confirming,
    /// Something is above it: can it be read? Highest last.
    Doubting { left: Vec<u64> },
    /// It stands.
    Stands { prune: Vec<u64> },
    /// It does not.
    Refused(ErrorKind, String),
}

impl Append {
    pub(super) fn claim(writer: &str, base: Base, now: Time) -> Self {
        let before = LogEntry::before_all();
        Self::new(writer, Change::Claim(base), now, before, At::Looking)
    }

    pub(super) fn after(last: &LogEntry, change: Change, now: Time) -> Self {
        Self::new(&last.writer, change, now, last.clone(), At::Creating)
    }

    fn new(writer: &str, change: Change, now: Time, before: LogEntry, at: At) -> Self {
        let proposal = before.then(&change, now);
        let writer = writer.to_owned();
        Self {
            writer,
            change,
            now,
            keep: KEPT,
            yields: false,
            before,
            proposal,
            damaged: Vec::new(),
            void: Vec::new(),
            at,
        }
    }

    pub(super) fn unless_taken_over(self) -> Self {
        Self { yields: true, ..self }
    }

    /// Keeps this many entries before the last one; the default is 100.
    #[must_use]
    pub fn keeping(self, keep: u64) -> Self {
        Self { keep, ..self }
    }

    /// The entry that is to stand.
    pub fn proposal(&self) -> &LogEntry {
        &self.proposal
    }

    /// What is to be done now; the same until an answer comes.
    pub fn ask(&self) -> LogRequest {
        match &self.at {
            At::Looking | At::Confirming => LogRequest::List,
            At::Finding { left, .. } | At::Doubting { left } => {
                left.last().map_or(LogRequest::List, |number| LogRequest::Read(*number))
            }
            At::Creating => LogRequest::Create(self.proposal.number, self.proposal.encode()),
            At::Contested => LogRequest::Read(self.proposal.number),
            At::Stands { prune } => LogRequest::Done(Done {
                entry: self.proposal.clone(),
                prune: prune.clone(),
                damaged: self.damaged.clone(),
            }),
            At::Refused(kind, why) => LogRequest::Refused(Error::new(*kind, why.clone())),
        }
    }

    /// Takes the answer to what was asked last. One that does not fit came twice, and means nothing.
    pub fn on(&mut self, answer: LogResponse) {
        let at = std::mem::replace(&mut self.at, At::Looking);
        self.at = match (at, answer) {
            (At::Looking, LogResponse::Listed(numbers)) => self.found(numbers),
            (At::Finding { mut left, highest, skipped, torn_only }, LogResponse::Read(bytes)) => {
                let number = left.pop();
                match bytes.as_deref().map(LogEntry::decode) {
                    None => At::Looking,
                    Some(Ok(entry)) => self.go_on_from(entry, highest, skipped),
                    Some(Err(Unreadable::Newer(version))) => newer(version),
                    Some(Err(why)) => {
                        let torn = why == Unreadable::Torn;
                        self.damaged.extend(number.filter(|_| !torn));
                        self.pass_over(At::Finding {
                            left,
                            highest,
                            skipped: skipped + 1,
                            torn_only: torn_only && torn,
                        })
                    }
                }
            }
            (At::Creating, LogResponse::Created) => At::Confirming,
            (At::Creating, LogResponse::Exists) => At::Contested,
            (At::Contested, LogResponse::Read(bytes)) => self.contested(bytes.as_deref()),
            (At::Confirming, LogResponse::Listed(numbers)) => self.confirmed(numbers),
            (At::Doubting { mut left }, LogResponse::Read(bytes)) => {
                let number = left.pop();
                match bytes.as_deref().map(LogEntry::decode) {
                    None => At::Confirming,
                    Some(Ok(above)) => fenced(&self.proposal, &above),
                    Some(Err(Unreadable::Newer(version))) => newer(version),
                    Some(Err(_)) => {
                        self.void.extend(number);
                        // The last look must be at the list: somebody may have come while these were read.
                        if left.is_empty() { At::Confirming } else { At::Doubting { left } }
                    }
                }
            }
            (at, _) => at,
        };
    }

    fn found(&mut self, mut numbers: Vec<u64>) -> At {
        numbers.sort_unstable();
        self.damaged.clear();
        match numbers.last().copied() {
            None => self.go_on_from(LogEntry::before_all(), 0, 0),
            Some(highest) => At::Finding { left: numbers, highest, skipped: 0, torn_only: true },
        }
    }

    // An entry that cannot be read may have claimed an epoch: that one is passed over too.
    fn go_on_from(&mut self, last: LogEntry, highest: u64, skipped: u64) -> At {
        if self.yields && last.number > 0 && last.writer != self.writer {
            return fenced(&self.proposal, &last);
        }
        self.before = last;
        self.propose(highest + 1, skipped);
        At::Creating
    }

    fn propose(&mut self, number: u64, skipped: u64) {
        let claims = matches!(self.change, Change::Claim(_));
        let mut proposal = self.before.then(&self.change, self.now);
        proposal.number = number;
        if claims {
            proposal.epoch = self.before.epoch + 1 + skipped;
            proposal.writer.clone_from(&self.writer);
        }
        self.proposal = proposal;
    }

    fn pass_over(&mut self, at: At) -> At {
        match at {
            At::Finding { left, highest, skipped, torn_only } if left.is_empty() => {
                if torn_only {
                    return self.go_on_from(LogEntry::before_all(), highest, skipped);
                }
                let why = "no entry of the job's log can be read: its checkpoints are not known any more. \
                     Start the job under another name from a savepoint or from the folder of a checkpoint";
                At::Refused(ErrorKind::Data, why.into())
            }
            at => at,
        }
    }

    fn contested(&mut self, bytes: Option<&[u8]>) -> At {
        let claims = matches!(self.change, Change::Claim(_));
        match bytes.map(LogEntry::decode) {
            // Its answer was lost.
            Some(Ok(other)) if other == self.proposal => At::Confirming,
            Some(Err(Unreadable::Newer(version))) => newer(version),
            _ if claims => At::Looking,
            Some(Ok(other)) if other.epoch > self.proposal.epoch => fenced(&self.proposal, &other),
            // Made and pruned since: whoever did so is far ahead, which will show when it is made again.
            None => At::Creating,
            // Torn, or left by somebody who lost: the number is used up.
            Some(_) => {
                self.propose(self.proposal.number + 1, 0);
                At::Creating
            }
        }
    }

    fn confirmed(&mut self, mut numbers: Vec<u64>) -> At {
        numbers.sort_unstable();
        let mine = self.proposal.number;
        let above = numbers.iter().copied().filter(|number| *number > mine && !self.void.contains(number));
        let left: Vec<_> = above.collect();
        if !left.is_empty() {
            return At::Doubting { left };
        }
        At::Stands { prune: numbers.into_iter().filter(|number| number + self.keep < mine).collect() }
    }
}

fn fenced(mine: &LogEntry, other: &LogEntry) -> At {
    let claims = mine.event == LogEvent::Claimed;
    let what = if claims { "was started" } else { "has taken over" };
    let this = if claims { String::new() } else { format!(" (epoch {})", mine.epoch) };
    let why = format!(
        "a newer attempt (epoch {}, writer {}) of this job {what}: this one{this} stops and touches nothing more",
        other.epoch, other.writer
    );
    At::Refused(ErrorKind::Fenced, why)
}

fn newer(version: u32) -> At {
    let why = format!(
        "the job's log was written by a newer version of Millstream (format {version}): run the job with that one"
    );
    At::Refused(ErrorKind::Configuration, why)
}
