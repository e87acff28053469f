#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's own helpers")]
//! The job's log under races: several attempts at once, answers that are lost, late or come twice, torn
//! writes, pruned entries.

use std::collections::{BTreeMap, BTreeSet};

use millstream_protocol::checkpoint_stats::CheckpointKind;
use millstream_protocol::log::{
    Append, Base, Change, CheckpointRef, JobLog, LogEntry, LogRequest, LogResponse,
};
use millstream_record::ErrorKind;
use millstream_stage::snapshot::CheckpointId;
use proptest::prelude::*;

/// A storage with exclusive create, and what came of each create.
#[derive(Default)]
struct Store {
    entries: BTreeMap<u64, Vec<u8>>,
    /// Creates that are still on their way.
    late: Vec<(u64, Vec<u8>)>,
    /// Whole entries that were the highest when they were made, in order: the true history.
    history: Vec<LogEntry>,
    /// The state that the next entry of the history must go on from.
    highest_ever: u64,
}

impl Store {
    fn create(&mut self, number: u64, bytes: &[u8], torn: bool) -> LogResponse {
        if self.entries.contains_key(&number) {
            return LogResponse::Exists;
        }
        let kept = if torn { bytes.len() / 2 } else { bytes.len() };
        self.entries.insert(number, bytes[..kept].to_vec());
        if !torn && number > self.highest_ever {
            self.history.push(LogEntry::decode(bytes).unwrap());
        }
        self.highest_ever = self.highest_ever.max(number);
        LogResponse::Created
    }

    fn land(&mut self) {
        if let Some((number, bytes)) = self.late.pop() {
            self.create(number, &bytes, false);
        }
    }

    /// One call under chance; nobody hears of it when its answer is lost.
    fn answer(&mut self, ask: &LogRequest, luck: u8) -> LogResponse {
        match (ask, luck) {
            (LogRequest::Create(number, bytes), 0) => {
                self.late.push((*number, bytes.clone()));
                LogResponse::Unknown
            }
            (LogRequest::Create(number, bytes), 1) => {
                self.create(*number, bytes, false);
                LogResponse::Unknown
            }
            (LogRequest::Create(number, bytes), 2) => {
                self.create(*number, bytes, true);
                LogResponse::Unknown
            }
            (_, 3) => LogResponse::Unknown,
            (LogRequest::List, _) => LogResponse::Listed(self.entries.keys().rev().copied().collect()),
            (LogRequest::Read(number), _) => LogResponse::Read(self.entries.get(number).cloned()),
            (LogRequest::Create(number, bytes), _) => self.create(*number, bytes, false),
            (LogRequest::Done(_) | LogRequest::Refused(_), _) => unreachable!("it is over"),
        }
    }
}

/// One attempt to run the job.
struct RacingAttempt {
    append: Append,
    log: Option<JobLog>,
    over: bool,
}

impl RacingAttempt {
    fn new(number: u32) -> Self {
        let writer = format!("{number:032x}");
        let append = JobLog::claim(&writer, Base::Latest, 7).keeping(3);
        Self { append, log: None, over: false }
    }
}

#[derive(Default)]
struct RaceHistory {
    epochs: Vec<u64>,
    completed: BTreeSet<(CheckpointId, u64)>,
    fenced: u32,
}

fn step(store: &mut Store, attempt: &mut RacingAttempt, seen: &mut RaceHistory, (luck, what): (u8, u8)) {
    let ask = attempt.append.ask();
    let answer = store.answer(&ask, luck);
    attempt.append.on(answer.clone());
    if luck == 4 && matches!(answer, LogResponse::Created | LogResponse::Exists) {
        // The same answer once more: it answers nothing that was asked since.
        let before = format!("{:?}", attempt.append.ask());
        attempt.append.on(answer);
        assert_eq!(before, format!("{:?}", attempt.append.ask()));
    }
    // What is known is acted upon at once: in this model nothing lies between the last answer and the deed.
    match attempt.append.ask() {
        LogRequest::Done(done) => {
            done.prune.iter().for_each(|number| drop(store.entries.remove(number)));
            assert!(store.history.contains(&done.entry), "what stands was the highest when it was made");
            settle(attempt, seen, done.entry, what);
        }
        LogRequest::Refused(error) => {
            assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
            attempt.over = true;
            seen.fenced += 1;
        }
        _ => {}
    }
}

fn settle(attempt: &mut RacingAttempt, seen: &mut RaceHistory, entry: LogEntry, what: u8) {
    match &mut attempt.log {
        None => {
            seen.epochs.push(entry.epoch);
            attempt.log = Some(JobLog::new(entry));
        }
        Some(log) => {
            let highest = seen.epochs.iter().max().copied().unwrap_or(0);
            assert!(entry.epoch >= highest, "epoch {} completes after {highest} was claimed", entry.epoch);
            seen.completed.extend(entry.checkpoint.map(|id| (id, entry.epoch)));
            log.stands(entry);
        }
    }
    let Some(log) = &attempt.log else { return };
    let (id, epoch) = (log.last().next_checkpoint, log.last().epoch);
    let path = format!("chk-{id}-{epoch}");
    let checkpoint =
        CheckpointRef { id, epoch, kind: CheckpointKind::Checkpoint, path, time: 0, bytes: u64::from(what) };
    let change = match what % 8 {
        0 => Change::Retire(log.last().retained.iter().take(1).map(|kept| kept.id).collect()),
        1 => Change::Savepoint(id),
        2 => Change::Finish,
        _ => Change::Complete(checkpoint, usize::from(what % 3) + 1),
    };
    attempt.append = log.propose(change, i64::from(what)).keeping(3);
}

/// Each entry of the true history follows from the one before it: nothing that stood is lost, nothing retired
/// comes back.
fn check_history(history: &[LogEntry], seen: &RaceHistory) {
    for pair in history.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        assert!(before.number < after.number && before.epoch <= after.epoch);
        assert!(before.next_checkpoint <= after.next_checkpoint);
        let new = after.retained.iter().filter(|kept| !before.retained.contains(kept)).collect::<Vec<_>>();
        assert!(new.len() <= 1 && new.iter().all(|new| new.id == after.next_checkpoint - 1), "{pair:?}");
        assert!(new.iter().all(|new| new.epoch == after.epoch), "{pair:?}");
    }
    let mut retired = BTreeSet::new();
    for pair in history.windows(2) {
        retired.extend(pair[0].retired_by(&pair[1]).map(|old| (old.id, old.epoch)));
        assert!(pair[1].retained.iter().all(|kept| !retired.contains(&(kept.id, kept.epoch))));
    }
    for (id, epoch) in &seen.completed {
        let stands = |entry: &LogEntry| entry.epoch == *epoch && entry.checkpoint == Some(*id);
        assert!(
            history.iter().any(stands),
            "checkpoint {id} of epoch {epoch} was completed and is not there"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn epochs_are_unique_and_the_fenced_complete_nothing(
        turns in prop::collection::vec((0_u8..4, 0_u8..14, any::<u8>()), 50..600),
    ) {
        let mut store = Store::default();
        let mut seen = RaceHistory::default();
        let mut attempts: Vec<_> = (0..4).map(RacingAttempt::new).collect();
        let mut attempted = 4;
        for (who, luck, what) in turns {
            let attempt = &mut attempts[usize::from(who)];
            if luck == 13 && what % 4 == 0 {
                store.land();
            } else if attempt.over || (luck == 12 && what % 16 == 0) {
                // It is gone, or dies; another one comes.
                attempted += 1;
                *attempt = RacingAttempt::new(attempted);
            } else {
                step(&mut store, attempt, &mut seen, (luck, what));
            }
        }
        let unique: BTreeSet<_> = seen.epochs.iter().collect();
        prop_assert_eq!(unique.len(), seen.epochs.len(), "{:?}", seen.epochs);
        check_history(&store.history, &seen);
    }
}

/// Runs an append to its end on a store that works.
fn finish(store: &mut Store, append: &mut Append) -> LogRequest {
    loop {
        match append.ask() {
            over @ (LogRequest::Done(_) | LogRequest::Refused(_)) => return over,
            ask => append.on(store.answer(&ask, 9)),
        }
    }
}

fn claimed(store: &mut Store, number: u32) -> JobLog {
    match finish(store, &mut RacingAttempt::new(number).append) {
        LogRequest::Done(done) => JobLog::new(done.entry),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lost_acknowledgement_is_no_lost_race() {
    let mut store = Store::default();
    let log = claimed(&mut store, 1);
    let mut append = log.propose(Change::Savepoint(1), 5);
    append.on(store.answer(&append.ask(), 1));
    assert!(matches!(append.ask(), LogRequest::Create(2, _)), "asks again, the same");
    assert!(matches!(finish(&mut store, &mut append), LogRequest::Done(done) if done.entry.number == 2));
}

#[test]
fn whoever_slept_while_another_claimed_is_fenced() {
    let mut store = Store::default();
    let slept = claimed(&mut store, 1);
    let next = claimed(&mut store, 2);
    assert_eq!((slept.last().epoch, next.last().epoch), (1, 2));
    let mut late = slept.propose(Change::Savepoint(1), 5);
    assert!(
        matches!(finish(&mut store, &mut late), LogRequest::Refused(error) if error.kind() == ErrorKind::Fenced)
    );
    store.entries.remove(&2);
    let mut anew = slept.propose(Change::Savepoint(1), 6);
    store.create(3, &next.propose(Change::Savepoint(1), 6).proposal().encode(), false);
    let refused = finish(&mut store, &mut anew);
    assert!(
        matches!(refused, LogRequest::Refused(_)),
        "a pruned number is free again, but higher ones tell: {refused:?}"
    );
}

#[test]
fn a_torn_claim_fences_nobody_and_uses_its_epoch_up() {
    let mut store = Store::default();
    let log = claimed(&mut store, 1);
    let mut dies = RacingAttempt::new(2).append;
    while !matches!(dies.ask(), LogRequest::Create(..)) {
        dies.on(store.answer(&dies.ask(), 9));
    }
    store.answer(&dies.ask(), 2);
    let mut append = log.propose(Change::Savepoint(1), 5);
    assert!(matches!(finish(&mut store, &mut append), LogRequest::Done(done) if done.entry.number == 3));
    assert_eq!(claimed(&mut store, 3).last().epoch, 2, "below a whole entry a torn one means nothing");
    store.entries.insert(9, b"{".to_vec());
    assert_eq!(claimed(&mut store, 4).last().epoch, 4);
}

#[test]
fn a_damaged_entry_is_passed_over_loudly_and_a_log_of_nothing_else_refused() {
    let mut store = Store::default();
    claimed(&mut store, 1);
    let mut bytes = store.entries[&1].clone();
    bytes[3] ^= 1;
    store.entries.insert(2, bytes.clone());
    let LogRequest::Done(done) = finish(&mut store, &mut RacingAttempt::new(2).append) else {
        panic!("goes on")
    };
    assert_eq!((done.damaged, done.entry.number, done.entry.epoch), (vec![2], 3, 3));
    let mut store = Store::default();
    store.entries.insert(1, bytes);
    let refused = finish(&mut store, &mut RacingAttempt::new(3).append);
    assert!(matches!(refused, LogRequest::Refused(error) if error.kind() == ErrorKind::Data));
}
