#![allow(clippy::unwrap_used, reason = "a test's own source")]
//! The list for sources, on a small source that fetches in the background: the sound one passes, each broken
//! one is caught.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use millstream_record::Result;
use millstream_record::record::{from_bytes, to_bytes};
use millstream_sim::conformance::{
    self, Content, Message, Prepared, SourceFixture, UnboundedFixture, messages, unbounded_source_checks,
};
use millstream_stage::context::OpenContext;
use millstream_stage::io::Completions;
use millstream_stage::raw::RawBatch;
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::source::{
    Assignment, Enumerator, EnumeratorContext, EnumeratorEvent, Polled, Source, Split, SplitReader, deal,
};
use millstream_stage::split::SplitId;
use millstream_stage::time::MIN_TIME;
use millstream_stage::{Budget, Context, Rows};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    PositionBehind,
    PositionAhead,
    ForgetsUnread,
    ForgetsPaused,
    IgnoresPause,
    IgnoresBudget,
    NeverWakes,
    NeverEnds,
    SkipsFirst,
    ReversesBatch,
    PollSleeps,
    LastForOneReader,
    DealsAgain,
    IgnoresReturned,
    TickDealsAgain,
    SnapshotMoves,
    CompletedFails,
    ReplacesSplits,
    DropsEmpty,
}

struct Log {
    content: Arc<Content>,
    flaw: Flaw,
    bounded: bool,
}

struct Dealer {
    content: Arc<Content>,
    flaw: Flaw,
    bounded: bool,
}

struct Reader {
    content: Arc<Content>,
    flaw: Flaw,
    open: BTreeMap<SplitId, usize>,
    paused: BTreeSet<SplitId>,
    fetches: Completions<SplitId>,
    fetching: BTreeSet<SplitId>,
    fetched: BTreeSet<SplitId>,
}

impl Source for Log {
    type Out = RawBatch;
    fn kind(&self) -> &'static str {
        "log"
    }
    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(Dealer { content: Arc::clone(&self.content), flaw: self.flaw, bounded: self.bounded })
    }
    fn reader(&self, _: &str, _: &mut OpenContext) -> Result<Box<dyn SplitReader<Out = RawBatch>>> {
        Ok(Box::new(Reader {
            content: Arc::clone(&self.content),
            flaw: self.flaw,
            open: BTreeMap::new(),
            paused: BTreeSet::new(),
            fetches: Completions::default(),
            fetching: BTreeSet::new(),
            fetched: BTreeSet::new(),
        }))
    }
}

impl Dealer {
    fn all(&self) -> Vec<Split> {
        let split = |id: &String| Split { id: id.as_str().into(), state: to_bytes(&0_u64) };
        self.content.keys().map(split).collect()
    }
}

impl Enumerator for Dealer {
    fn on(&mut self, cx: &EnumeratorContext, event: EnumeratorEvent) -> Result<Vec<Assignment>> {
        let splits = match event {
            EnumeratorEvent::Start { restored: Some(_) } if self.flaw != Flaw::DealsAgain => Vec::new(),
            EnumeratorEvent::Start { .. } => self.all(),
            EnumeratorEvent::Tick if self.flaw == Flaw::TickDealsAgain => self.all(),
            EnumeratorEvent::Tick | EnumeratorEvent::ReaderReady { .. } => return Ok(Vec::new()),
            EnumeratorEvent::Returned { .. } if self.flaw == Flaw::IgnoresReturned => self.all(),
            EnumeratorEvent::Returned { splits } => splits,
        };
        let mut assignments = deal(splits, cx.parallelism, self.bounded);
        if self.flaw == Flaw::DropsEmpty {
            assignments.retain(|assignment| !assignment.splits.is_empty());
        }
        if self.flaw == Flaw::LastForOneReader {
            assignments.truncate(1);
        }
        Ok(assignments)
    }
    // So that it is its own care that every reader hears of its assignment.
    fn assigns_on_demand(&self) -> bool {
        !self.bounded
    }
    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }
}

impl Reader {
    fn fetch(&mut self, cx: &Context<'_>) {
        let deaf = self.flaw == Flaw::IgnoresPause;
        let idle = self.open.keys().filter(|split| {
            (deaf || !self.paused.contains(*split))
                && !self.fetching.contains(*split)
                && !self.fetched.contains(*split)
        });
        for split in idle.cloned().collect::<Vec<_>>() {
            self.fetching.insert(split.clone());
            let sleep = cx.io().sleep(Duration::from_millis(3));
            let waker = if self.flaw == Flaw::NeverWakes { std::task::Waker::noop() } else { cx.waker() };
            self.fetches.spawn(cx.io().as_ref(), waker, async move {
                sleep.await;
                split
            });
        }
    }

    fn take(&mut self, split: &SplitId, budget: usize) -> Option<RawBatch> {
        let records = &self.content[&**split];
        let next = self.open.get_mut(split).unwrap();
        let count = if self.flaw == Flaw::IgnoresBudget { usize::MAX } else { budget.min(8) };
        let mut taken: Vec<_> = records.iter().enumerate().skip(*next).take(count).collect();
        if taken.is_empty() {
            return None;
        }
        if *next == 0 && self.flaw == Flaw::SkipsFirst {
            taken.remove(0);
        }
        *next += count.min(records.len() - *next);
        if self.flaw == Flaw::ReversesBatch {
            taken.reverse();
        }
        let mut batch = RawBatch::new(split.clone());
        taken.into_iter().for_each(|(number, text)| batch.push(text.as_bytes(), number as i64, MIN_TIME));
        Some(batch)
    }
}

impl SplitReader for Reader {
    type Out = RawBatch;

    fn add_splits(&mut self, splits: Vec<Split>) -> Result<()> {
        if self.flaw == Flaw::ReplacesSplits {
            self.open.clear();
        }
        for split in splits {
            self.open.insert(split.id.clone(), from_bytes::<u64>(&split.state)? as usize);
        }
        Ok(())
    }

    fn pause(&mut self, splits: &[SplitId]) {
        self.paused.extend(splits.iter().cloned());
    }

    fn resume(&mut self, splits: &[SplitId]) {
        self.paused.retain(|split| !splits.contains(split));
    }

    fn poll(&mut self, cx: &mut Context<'_>, budget: Budget, rows: &mut Rows<RawBatch>) -> Result<Polled> {
        for split in self.fetches.drain()? {
            self.fetching.remove(&split);
            self.fetched.insert(split);
        }
        let deaf = self.flaw == Flaw::IgnoresPause;
        let ready = self.fetched.iter().find(|split| deaf || !self.paused.contains(*split)).cloned();
        let Some(split) = ready else {
            if self.flaw == Flaw::PollSleeps && self.paused.len() == self.open.len() {
                #[allow(clippy::disallowed_methods, reason = "a deliberate flaw")]
                std::thread::sleep(Duration::from_millis(50));
            }
            self.fetch(cx);
            return Ok(Polled::Pending(None));
        };
        self.fetched.remove(&split);
        match self.take(&split, budget.records) {
            Some(batch) => {
                rows.push(batch, MIN_TIME);
                Ok(Polled::Rows(split))
            }
            None if self.flaw == Flaw::NeverEnds => Ok(Polled::Pending(None)),
            None => {
                self.open.remove(&split);
                Ok(Polled::Finished(split))
            }
        }
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<Split>> {
        let mut splits = Vec::new();
        for (id, next) in &mut self.open {
            let left_out = match self.flaw {
                Flaw::ForgetsUnread => *next == 0,
                Flaw::ForgetsPaused => self.paused.contains(id),
                _ => false,
            };
            if left_out {
                continue;
            }
            let position = match self.flaw {
                Flaw::PositionBehind => next.saturating_sub(1),
                Flaw::PositionAhead if *next > 0 => *next + 1,
                _ => *next,
            };
            if self.flaw == Flaw::SnapshotMoves {
                *next += 1;
            }
            splits.push(Split { id: id.clone(), state: to_bytes(&(position as u64)) });
        }
        Ok(splits)
    }

    fn completed(&mut self, id: CheckpointId) -> Result<()> {
        if self.flaw == Flaw::CompletedFails && id > 1 {
            return Err(millstream_record::Error::bug("no such checkpoint"));
        }
        Ok(())
    }
}

struct Fixture(Flaw);

impl SourceFixture for Fixture {
    type Source = Log;

    fn prepare(&self, place: &str, splits: usize, records: usize) -> Result<Prepared<Log>> {
        let text = |split, number| format!("{split}:{number}");
        let split =
            |split| (format!("{place}-{split}"), (0..records).map(|number| text(split, number)).collect());
        let content: Content = (0..splits).map(split).collect();
        let source = Log { content: Arc::new(content.clone()), flaw: self.0, bounded: true };
        Ok(Prepared { source, content })
    }

    fn messages(&self, rows: &Rows<RawBatch>) -> Vec<Message> {
        messages(rows)
    }
}

impl UnboundedFixture for Fixture {
    fn unbounded(&self, place: &str, splits: usize, records: usize) -> Result<Log> {
        Ok(Log { bounded: false, ..self.prepare(place, splits, records)?.source })
    }
}

#[test]
fn a_sound_source_passes() {
    conformance::source(&Fixture(Flaw::None)).unwrap();
    conformance::unbounded_source(&Fixture(Flaw::None)).unwrap();
}

#[test]
fn an_enumerator_that_drops_empty_assignments_is_caught() {
    let failures = conformance::unbounded_source(&Fixture(Flaw::DropsEmpty)).expect_err("it passes");
    let names: Vec<_> = unbounded_source_checks::<Fixture>().iter().map(|check| check.name).collect();
    assert_eq!(failures.names(), names, "{failures}");
}

#[test]
fn every_flaw_is_caught_by_the_check_for_it() {
    let flaws = [
        (Flaw::PositionBehind, "a new reader after every poll gives the rest exactly"),
        (Flaw::PositionAhead, "every snapshot of a run gives the rest exactly"),
        (Flaw::PositionAhead, "splits can change hands between readers"),
        (Flaw::ForgetsUnread, "a snapshot before the first poll has every split"),
        (Flaw::ForgetsPaused, "a snapshot has paused splits too"),
        (Flaw::IgnoresPause, "a paused split gives nothing until it is resumed"),
        (Flaw::IgnoresBudget, "a poll keeps to its budget, about"),
        (Flaw::NeverWakes, "one reader gives everything once and in order"),
        (Flaw::NeverEnds, "an empty input ends"),
        (Flaw::SkipsFirst, "three readers give everything once and in order"),
        (Flaw::ReversesBatch, "one reader gives everything once and in order"),
        (Flaw::PollSleeps, "a poll does not wait"),
        (Flaw::LastForOneReader, "every reader of a bounded source learns that nothing follows"),
        (Flaw::DealsAgain, "a restored enumerator deals nothing again"),
        (Flaw::IgnoresReturned, "returned splits are dealt again, at their positions"),
        (Flaw::TickDealsAgain, "ticks and ready readers of a bounded source get no split twice"),
        (Flaw::SnapshotMoves, "a snapshot changes nothing and is the same twice"),
        (Flaw::CompletedFails, "completed checkpoints are taken note of"),
        (Flaw::ReplacesSplits, "splits can be added while others are read"),
    ];
    for (flaw, name) in flaws {
        let failures = conformance::source(&Fixture(flaw)).expect_err(&format!("{flaw:?} passes"));
        assert!(failures.names().contains(&name), "{flaw:?} is not caught by \"{name}\":\n{failures}");
    }
}
