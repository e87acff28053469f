//! Records that came too late: one dead letter for each, with its original bytes and position, however many
//! jobs it was late for.

use std::collections::{HashMap, VecDeque};
use std::marker::PhantomData;
use std::sync::Arc;

use millstream_record::{Record, Result};
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::metrics::Counter;
use millstream_stage::reasons::Reasons;
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::time::{Time, written};
use millstream_stage::{Budget, Context, End, OpenContext, Operator, Output, Rows, Step};

use crate::opened::Opened;

/// How long the first verdict on a record waits for those of other jobs, by the host's clock, in
/// milliseconds. The jobs are as far apart as their queues allow; at a barrier all verdicts on what lies
/// before it are there.
const WAITS: Time = 5000;
/// Records and bytes that wait at most.
const MOST_RECORDS: usize = 10_000;
const MOST_BYTES: usize = 8 << 20;

/// A record was late for one of the jobs that read its stream.
#[derive(Clone, Debug, PartialEq, Eq, millstream_record::Record)]
pub struct Late {
    /// The record, without a reason yet.
    pub letter: DeadLetter,
    /// Its event time.
    pub event_time: Time,
    /// The job.
    pub job: String,
}

/// Says of each record which job it was late for.
pub struct LateFor<T> {
    operator: String,
    job: String,
    of: PhantomData<fn(T)>,
}

impl<T> LateFor<T> {
    /// For a job that its users know by this name.
    pub fn new(job: &str) -> Self {
        Self { operator: String::new(), job: job.to_owned(), of: PhantomData }
    }
}

impl<T: Record> Operator for LateFor<T> {
    type In = T;
    type Out = Late;

    fn open(&mut self, name: &str, _: &mut OpenContext) -> Result<()> {
        name.clone_into(&mut self.operator);
        Ok(())
    }

    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut Rows<T>, out: &mut Output<Late>) -> Result<Step> {
        let origins = std::mem::take(&mut rows.origins);
        for (index, (record, ts)) in rows.drain().enumerate() {
            let letter = match origins.of(index) {
                Some(origin) => DeadLetter::of_message(
                    "late",
                    (origin.source, origin.split),
                    origin.message,
                    cx.now(),
                    "",
                ),
                None => {
                    let value = millstream_record::record::to_bytes(&record);
                    DeadLetter::of_value(&self.operator, "late", value, cx.now(), "")
                }
            };
            out.rows.push(Late { letter, event_time: ts, job: self.job.clone() }, ts);
        }
        Ok(Step::DONE)
    }
}

/// Makes one dead letter of all verdicts on one record. Runs in one subtask, which hears of all jobs.
///
/// Nothing of it is state: whatever waits goes out before a barrier. A verdict that comes more than 5 s after
/// the first one, with no barrier between them, is a letter of its own with the same id.
#[derive(Default)]
pub struct OneLetter {
    waiting: VecDeque<Waiting>,
    // By the letter's id: its number, counted from the first letter ever.
    numbers: HashMap<String, u64>,
    gone: u64,
    bytes: usize,
    counts: Opened<LetterCounts>,
}

struct LetterCounts {
    letters: Arc<Counter>,
    reasons: Arc<Reasons>,
}

struct Waiting {
    letter: DeadLetter,
    event_time: Time,
    jobs: Vec<String>,
    until: Time,
}

impl OneLetter {
    fn take(&mut self, Late { letter, event_time, job }: Late, now: Time, out: &mut Rows<DeadLetter>) {
        // Without a position two records of the same value are not told apart.
        if letter.position < 0 {
            return out.push(reasoned(letter, event_time, &mut [job]), event_time);
        }
        if let Some(number) = self.numbers.get(&letter.id) {
            let known = &mut self.waiting[(number - self.gone) as usize];
            if !known.jobs.contains(&job) {
                known.jobs.push(job);
            }
            return;
        }
        self.numbers.insert(letter.id.clone(), self.gone + self.waiting.len() as u64);
        self.bytes += letter.raw.len();
        let until = now.saturating_add(WAITS);
        self.waiting.push_back(Waiting { letter, event_time, jobs: vec![job], until });
    }

    fn let_go_until(&mut self, now: Time, out: &mut Rows<DeadLetter>) -> Step {
        while let Some(first) = self.waiting.front() {
            let too_many = self.waiting.len() > MOST_RECORDS || self.bytes > MOST_BYTES;
            if first.until > now && !too_many {
                return Step::wake_at(first.until);
            }
            self.let_one_go(out);
        }
        Step::DONE
    }

    fn let_one_go(&mut self, out: &mut Rows<DeadLetter>) {
        let Some(Waiting { letter, event_time, mut jobs, .. }) = self.waiting.pop_front() else { return };
        self.numbers.remove(&letter.id);
        self.gone += 1;
        self.bytes -= letter.raw.len();
        out.push(reasoned(letter, event_time, &mut jobs), event_time);
    }

    fn let_all_go(&mut self, out: &mut Rows<DeadLetter>) -> Step {
        while !self.waiting.is_empty() {
            self.let_one_go(out);
        }
        Step::DONE
    }

    // Counts the letters that go out in a call.
    fn counted(
        &mut self,
        out: &mut Output<DeadLetter>,
        call: impl FnOnce(&mut Self, &mut Rows<DeadLetter>) -> Step,
    ) -> Result<Step> {
        let before = out.rows.len();
        let step = call(self, &mut out.rows);
        let (counts, letters) = (self.counts.get()?, &out.rows.rec[before..]);
        counts.letters.add(letters.len() as u64);
        counts.reasons.count(letters);
        Ok(step)
    }
}

fn reasoned(letter: DeadLetter, event_time: Time, jobs: &mut [String]) -> DeadLetter {
    jobs.sort();
    let jobs = jobs.join(", ");
    let reason =
        format!("late for {jobs}: the windows of its event time {} were closed", written(event_time));
    DeadLetter { reason, ..letter }
}

impl Operator for OneLetter {
    type In = Late;
    type Out = DeadLetter;

    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        let metrics = cx.metrics_of(name);
        let (letters, reasons) = (metrics.counter("deadLetters"), Arc::clone(&metrics.reasons));
        self.counts.open(LetterCounts { letters, reasons });
        Ok(())
    }

    fn rows(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<Late>,
        out: &mut Output<DeadLetter>,
    ) -> Result<Step> {
        let now = cx.now();
        self.counted(out, |this, out| {
            rows.drain().for_each(|(late, _)| this.take(late, now, out));
            this.let_go_until(now, out)
        })
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, out: &mut Output<DeadLetter>) -> Result<Step> {
        self.counted(out, |this, out| this.let_go_until(cx.now(), out))
    }

    fn prepare(
        &mut self,
        _: &mut Context<'_>,
        _: CheckpointId,
        out: &mut Output<DeadLetter>,
    ) -> Result<Step> {
        self.counted(out, Self::let_all_go)
    }

    fn end(&mut self, _: &mut Context<'_>, _: End, out: &mut Output<DeadLetter>) -> Result<Step> {
        self.counted(out, Self::let_all_go)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(position: i64, job: &str) -> Late {
        let letter = DeadLetter {
            id: format!("clicks/a/{position}/late"),
            position,
            ..DeadLetter::of_value("late", "late", b"{}".to_vec(), 0, "")
        };
        Late { letter, event_time: 1_511_658_000_000, job: job.to_owned() }
    }

    fn opened() -> (OneLetter, Arc<Counter>) {
        let (mut one, letters) = (OneLetter::default(), Arc::<Counter>::default());
        one.counts.open(LetterCounts { letters: Arc::clone(&letters), reasons: Arc::default() });
        (one, letters)
    }

    fn reasons(rows: &mut Rows<DeadLetter>) -> Vec<String> {
        let reasons = rows.rec.iter().map(|letter| letter.reason.clone()).collect();
        rows.clear();
        reasons
    }

    #[test]
    fn all_jobs_are_in_one_letter_that_waits_for_a_while() {
        let (mut one, mut out) = (OneLetter::default(), Rows::default());
        for (position, job, now) in
            [(7, "pv-uv", 0), (8, "user-clicks", 10), (7, "user-clicks", 20), (7, "pv-uv", 30)]
        {
            one.take(late(position, job), now, &mut out);
        }
        assert_eq!(one.let_go_until(WAITS - 1, &mut out), Step::wake_at(WAITS));
        assert!(out.is_empty());
        assert_eq!(one.let_go_until(WAITS, &mut out), Step::wake_at(WAITS + 10));
        let reason =
            "late for pv-uv, user-clicks: the windows of its event time 2017-11-26T01:00:00Z were closed";
        assert_eq!(reasons(&mut out), [reason]);
        one.let_all_go(&mut out);
        assert_eq!(reasons(&mut out).len(), 1);
        assert_eq!((one.numbers.len(), one.bytes), (0, 0));
    }

    #[test]
    fn records_whose_place_is_not_known_are_never_taken_for_one() {
        let ((mut one, letters), mut out) = (opened(), Output::default());
        for _ in 0..2 {
            let step = one.counted(&mut out, |one, out| {
                one.take(late(-1, "pv-uv"), 0, out);
                Step::DONE
            });
            assert_eq!(step.unwrap(), Step::DONE);
        }
        assert_eq!((out.rows.len(), letters.get()), (2, 2));
    }

    #[test]
    fn what_waits_is_bounded() {
        let (mut one, mut out) = (OneLetter::default(), Rows::default());
        for position in 0..MOST_RECORDS as i64 + 5 {
            one.take(late(position, "pv-uv"), 0, &mut out);
            one.let_go_until(0, &mut out);
        }
        assert_eq!((one.waiting.len(), out.len()), (MOST_RECORDS, 5));
    }
}
