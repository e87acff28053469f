//! Changes the order of one split's records, within bounds.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::collections::binary_heap::{BinaryHeap, PeekMut};
use std::sync::Arc;

use millstream_stage::raw::RawRecord;
use millstream_stage::time::{MIN_TIME, Time, millis};

use super::config::ReplayOptions;
use super::format::Format;
use super::split::{Message, ReplaySplit};
use crate::chance::{Chance, Draw, For};

// What is held at most: an hour of shuffling may be more than fits into memory.
const MOST_BYTES: usize = 64 << 20;

// A record that is further ahead than this has a wrong time: nobody wants to wait for the year 2037, or lose
// the shuffle to it.
const LEAP: Time = 30 * 24 * 60 * 60 * 1000;

/// Gives each record a place in event time, from its own time to `shuffle` later at random, and gives the
/// records in the order of their places. Whoever is given before a record has a place before its place: it is
/// at most `shuffle` newer.
pub(crate) struct Shuffle {
    options: Arc<ReplayOptions>,
    format: Arc<dyn Format>,
    chance: Chance,
    // Moved here line by line, so that the order does not depend on how many were read at once.
    ready: VecDeque<Message>,
    pending: BinaryHeap<Reverse<Message>>,
    // In `pending`.
    bytes: usize,
    newest: Time,
    read: bool,
}

impl Shuffle {
    /// Goes on from a split's state; `stream` is the split's own chance.
    pub(crate) fn new(
        options: Arc<ReplayOptions>,
        format: Arc<dyn Format>,
        stream: u64,
        state: ReplaySplit,
    ) -> Self {
        Self {
            chance: Chance::new(options.seed, stream),
            bytes: state.pending.iter().map(|message| message.bytes.len()).sum(),
            ready: state.ready.into(),
            pending: state.pending.into_iter().map(Reverse).collect(),
            newest: state.newest,
            read: state.read,
            options,
            format,
        }
    }

    /// Takes a line. One that is more than a month ahead of all before it keeps its place in the file.
    pub(crate) fn push(&mut self, line: RawRecord<'_>) {
        let mut bytes = Vec::with_capacity(line.bytes.len() + 128);
        let time = self.format.convert(line.bytes, &mut bytes);
        let time = time.unwrap_or(self.newest);
        let leaps = self.newest != BEFORE_ALL && time > self.newest.saturating_add(LEAP);
        let known = if leaps { self.newest } else { time };
        self.newest = self.newest.max(known);
        let draw = self.chance.at(line.position as u64);
        let later = draw.below(For::Shuffle, millis(self.options.shuffle) as u64 + 1);
        let place = known.saturating_add(later as Time);
        let copy = self.broken_copy(&bytes, &draw);
        self.hold(Message { place, position: line.position, copy: false, time, bytes });
        if let Some(bytes) = copy {
            self.hold(Message { place, position: line.position, copy: true, time, bytes });
        }
        self.release();
    }

    fn broken_copy(&self, bytes: &[u8], draw: &Draw) -> Option<Vec<u8>> {
        let kinds = &self.options.broken_kinds;
        let kind = kinds.get(draw.below(For::FaultKind, kinds.len() as u64) as usize)?;
        (draw.unit(For::Fault) < self.options.broken).then(|| {
            let mut copy = Vec::with_capacity(bytes.len());
            kind.write(bytes, draw.word(For::FaultWhere), &mut copy);
            copy
        })
    }

    fn hold(&mut self, message: Message) {
        self.bytes += message.bytes.len();
        self.pending.push(Reverse(message));
    }

    fn release(&mut self) {
        while let Some(next) = self.pending.peek_mut() {
            if !self.read && next.0.place > self.newest && self.bytes <= MOST_BYTES {
                break;
            }
            let Reverse(message) = PeekMut::pop(next);
            self.bytes -= message.bytes.len();
            self.ready.push_back(message);
        }
    }

    /// The place of the next message, if it can be given already.
    pub(crate) fn next_place(&self) -> Option<Time> {
        self.ready.front().map(|message| message.place)
    }

    /// Takes the next message.
    pub(crate) fn pop(&mut self) -> Option<Message> {
        self.ready.pop_front()
    }

    /// No line follows.
    pub(crate) fn end(&mut self) {
        self.read = true;
        self.release();
    }

    /// Whether everything was read.
    pub(crate) fn is_read(&self) -> bool {
        self.read
    }

    /// Whether everything was given.
    pub(crate) fn is_finished(&self) -> bool {
        self.read && self.ready.is_empty()
    }

    /// Whether there is nothing to give, now or later, of what was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.pending.is_empty()
    }

    /// The newest time that was read.
    pub(crate) fn newest(&self) -> Time {
        self.newest
    }

    /// What can be given, in order.
    pub(crate) fn ready(&self) -> Vec<Message> {
        self.ready.iter().cloned().collect()
    }

    /// What must wait, in the order of places.
    pub(crate) fn pending(&self) -> Vec<Message> {
        let mut pending: Vec<_> = self.pending.iter().map(|Reverse(message)| message.clone()).collect();
        pending.sort();
        pending
    }
}

/// The time that a line has where nothing is known before it: earlier than any.
pub(crate) const BEFORE_ALL: Time = MIN_TIME;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::replay::format::TaobaoCsv;

    fn empty() -> ReplaySplit {
        ReplaySplit {
            inner: vec![],
            read: false,
            given: 0,
            newest: BEFORE_ALL,
            ready: vec![],
            pending: vec![],
        }
    }

    // (line, whether it is a broken copy, time), as given.
    fn shuffled(seconds: &[i64], options: ReplayOptions) -> Vec<(i64, bool, Time)> {
        let mut shuffle = Shuffle::new(Arc::new(options), Arc::new(TaobaoCsv), 0, empty());
        let mut given = Vec::new();
        let mut take = |shuffle: &mut Shuffle| {
            while shuffle.next_place().is_some() {
                let message = shuffle.pop().unwrap();
                given.push((message.position, message.copy, message.time));
            }
        };
        for (position, second) in (1..).zip(seconds) {
            let line = format!("1,2,3,pv,{second}");
            shuffle.push(RawRecord { bytes: line.as_bytes(), position, time: MIN_TIME });
            take(&mut shuffle);
        }
        shuffle.end();
        take(&mut shuffle);
        assert!(shuffle.is_finished());
        given
    }

    proptest! {
        #[test]
        fn all_come_once_and_none_is_further_behind_than_allowed(
            steps in proptest::collection::vec(0_i64..4, 1..200),
            bound in 0_u64..20,
            seed in any::<u64>(),
        ) {
            let seconds: Vec<_> = steps.iter().scan(1_511_658_000, |now, step| { *now += step; Some(*now) }).collect();
            let options = ReplayOptions { shuffle: Duration::from_secs(bound), seed, ..Default::default() };
            let given = shuffled(&seconds, options.clone());
            prop_assert_eq!(&given, &shuffled(&seconds, options));
            let mut newest = MIN_TIME;
            for (position, _, time) in &given {
                prop_assert_eq!(*time, seconds[*position as usize - 1] * 1000);
                newest = newest.max(*time);
                prop_assert!(newest - time <= bound as i64 * 1000);
            }
            let mut lines: Vec<_> = given.iter().map(|message| message.0).collect();
            if bound == 0 {
                prop_assert!(lines.is_sorted());
            }
            lines.sort_unstable();
            prop_assert_eq!(lines, (1..=seconds.len() as i64).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_record_of_the_future_keeps_its_place_and_spoils_nothing() {
        let (now, future) = (1_511_658_000, 2_114_380_800);
        let seconds = [now, now + 1, future, now + 2, now + 3, -now, now + 4];
        let given = shuffled(&seconds, ReplayOptions::default());
        assert_eq!(given.iter().map(|message| message.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(given[2].2, future * 1000);
        let options = ReplayOptions { shuffle: Duration::from_secs(2), ..ReplayOptions::default() };
        let mut shuffle = Shuffle::new(Arc::new(options), Arc::new(TaobaoCsv), 0, empty());
        for (position, second) in (1..).zip(seconds) {
            let line = format!("1,2,3,pv,{second}");
            shuffle.push(RawRecord { bytes: line.as_bytes(), position, time: MIN_TIME });
        }
        assert_eq!(shuffle.newest(), (now + 4) * 1000);
    }

    #[test]
    fn a_shuffle_really_shuffles_and_broken_copies_are_extra() {
        let seconds: Vec<_> = (0..2000).collect();
        let options =
            ReplayOptions { shuffle: Duration::from_secs(5), broken: 0.1, ..ReplayOptions::default() };
        let given = shuffled(&seconds, options);
        let lines: Vec<_> = given.iter().filter(|message| !message.1).map(|message| message.0).collect();
        let moved = lines.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!(lines.len() == 2000 && moved > 500, "{moved} of {}", lines.len());
        let copies = given.iter().filter(|message| message.1).count();
        assert!((150..250).contains(&copies), "{copies}");
    }
}
