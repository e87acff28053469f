//! When a barrier has come on every channel of a subtask: a pure state machine, events in, decisions out.
//!
//! The rules are those of Flink's `SingleCheckpointBarrierHandler` with aligned barriers: a channel whose
//! barrier has come is held back until the barriers of all others have come; a channel that has ended counts
//! as if its barrier had come; a barrier with a higher id gives up the one before it.

use millstream_stage::snapshot::CheckpointId;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlignmentEvent {
    /// The coordinator started a checkpoint: known to every subtask, also to one without any open channel.
    Triggered(CheckpointId),
    /// A barrier came on a channel.
    Barrier(usize, CheckpointId),
    /// A channel ended.
    Ended(usize),
    /// The checkpoint will not complete.
    Aborted(CheckpointId),
    /// The subtask's part is frozen and the barrier went on.
    Passed(CheckpointId),
}

/// What follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlignmentDecision {
    /// Give this checkpoint up.
    pub abandon: Option<CheckpointId>,
    /// Every channel is there: freeze, then pass the barrier on.
    pub begin: Option<CheckpointId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Flowing,
    Held,
    Ended,
}

/// The state of one subtask's alignment.
#[derive(Clone, Debug)]
pub struct Alignment {
    // Whether a channel whose barrier has come waits for the others.
    holds: bool,
    channels: Vec<Channel>,
    current: Option<Current>,
    // The highest id that was ever begun, passed or aborted: older barriers mean nothing any more.
    last: CheckpointId,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    id: CheckpointId,
    begun: bool,
}

impl Alignment {
    /// For a subtask with so many channels; none for a source.
    pub fn new(channels: usize) -> Self {
        Self { holds: true, channels: vec![Channel::Flowing; channels], current: None, last: 0 }
    }

    /// For a subtask that takes part at least once: no channel waits for another, so what follows a barrier
    /// may be in the snapshot.
    #[must_use]
    pub fn without_holding(self) -> Self {
        Self { holds: false, ..self }
    }

    /// Whether a checkpoint is under way whose barrier has not come on every channel.
    pub fn is_waiting(&self) -> bool {
        self.current.is_some_and(|current| !current.begun)
    }

    /// Whether elements of this channel must wait.
    pub fn is_held(&self, channel: usize) -> bool {
        self.holds && self.channels[channel] == Channel::Held
    }

    /// Whether this checkpoint is the one under way here: known, and its barrier not yet passed on.
    pub fn is_under_way(&self, id: CheckpointId) -> bool {
        self.current.is_some_and(|current| current.id == id)
    }

    /// Takes an event.
    pub fn on(&mut self, event: AlignmentEvent) -> AlignmentDecision {
        let mut decision = AlignmentDecision::default();
        match event {
            AlignmentEvent::Triggered(id) => decision.abandon = self.know(id),
            AlignmentEvent::Barrier(channel, id) => {
                decision.abandon = self.know(id);
                if self.current.is_some_and(|current| current.id == id) {
                    self.channels[channel] = Channel::Held;
                }
            }
            AlignmentEvent::Ended(channel) => self.channels[channel] = Channel::Ended,
            AlignmentEvent::Aborted(id) => decision.abandon = self.give_up(id),
            AlignmentEvent::Passed(id) => {
                self.give_up(id);
            }
        }
        decision.begin = self.begin();
        decision
    }

    // A new checkpoint replaces the current one.
    fn know(&mut self, id: CheckpointId) -> Option<CheckpointId> {
        if id <= self.last {
            return None;
        }
        let given_up = self.current.and_then(|current| self.give_up(current.id));
        self.current = Some(Current { id, begun: false });
        self.last = id;
        given_up
    }

    fn give_up(&mut self, id: CheckpointId) -> Option<CheckpointId> {
        self.last = self.last.max(id);
        let given_up = self.current.take_if(|current| current.id <= id)?;
        for channel in &mut self.channels {
            if *channel == Channel::Held {
                *channel = Channel::Flowing;
            }
        }
        Some(given_up.id)
    }

    fn begin(&mut self) -> Option<CheckpointId> {
        let complete = !self.channels.contains(&Channel::Flowing);
        let current = self.current.as_mut().filter(|current| complete && !current.begun)?;
        current.begun = true;
        Some(current.id)
    }
}

#[cfg(test)]
mod tests {
    use super::AlignmentEvent::*;
    use super::*;

    const NOTHING: AlignmentDecision = AlignmentDecision { abandon: None, begin: None };

    fn begin(id: CheckpointId) -> AlignmentDecision {
        AlignmentDecision { abandon: None, begin: Some(id) }
    }

    fn abandon(id: CheckpointId) -> AlignmentDecision {
        AlignmentDecision { abandon: Some(id), begin: None }
    }

    #[test]
    fn begins_when_every_channel_has_its_barrier() {
        let mut alignment = Alignment::new(2);
        assert_eq!(alignment.on(Barrier(1, 1)), NOTHING);
        assert!(alignment.is_held(1) && !alignment.is_held(0));
        assert_eq!(alignment.on(Triggered(1)), NOTHING, "the trigger tells nothing new");
        assert_eq!(alignment.on(Barrier(0, 1)), begin(1));
        assert!(alignment.is_held(0) && alignment.is_held(1), "held until the barrier went on");
        assert_eq!(alignment.on(Passed(1)), NOTHING);
        assert!(!alignment.is_held(0) && !alignment.is_held(1));
        assert_eq!(alignment.on(Triggered(1)), NOTHING, "it is over");
    }

    #[test]
    fn at_least_once_no_channel_waits_for_another() {
        let mut alignment = Alignment::new(2).without_holding();
        assert_eq!(alignment.on(Barrier(0, 1)), NOTHING);
        assert!(!alignment.is_held(0) && alignment.is_waiting());
        assert_eq!(alignment.on(Barrier(1, 1)), begin(1));
        assert!(!alignment.is_held(0) && !alignment.is_held(1) && !alignment.is_waiting());
    }

    #[test]
    fn a_source_begins_at_the_trigger() {
        let mut source = Alignment::new(0);
        assert_eq!(source.on(Triggered(3)), begin(3));
        assert_eq!(source.on(Passed(3)), NOTHING);
        assert_eq!(source.on(Triggered(4)), begin(4));
    }

    #[test]
    fn an_ended_channel_counts_as_there() {
        let mut alignment = Alignment::new(2);
        alignment.on(Ended(0));
        assert_eq!(alignment.on(Barrier(1, 1)), begin(1));
        alignment.on(Passed(1));
        assert_eq!(alignment.on(Triggered(2)), NOTHING, "channel 1 may still bring data");
        assert_eq!(alignment.on(Ended(1)), begin(2));
        alignment.on(Passed(2));
        assert_eq!(alignment.on(Triggered(3)), begin(3), "nothing flows: at once");
        assert!(!alignment.is_held(0), "an ended channel is never held");
    }

    #[test]
    fn the_end_of_the_last_channel_completes_the_alignment() {
        let mut alignment = Alignment::new(2);
        alignment.on(Barrier(0, 5));
        assert_eq!(alignment.on(Ended(1)), begin(5));
    }

    #[test]
    fn a_newer_barrier_gives_up_the_older_one() {
        let mut alignment = Alignment::new(2);
        alignment.on(Barrier(0, 1));
        assert_eq!(alignment.on(Barrier(1, 2)), abandon(1));
        assert!(!alignment.is_held(0), "what follows barrier 1 flows again");
        assert!(alignment.is_held(1));
        assert_eq!(alignment.on(Barrier(0, 2)), begin(2));
    }

    #[test]
    fn an_aborted_checkpoint_lets_go_and_its_late_barriers_mean_nothing() {
        let mut alignment = Alignment::new(2);
        alignment.on(Barrier(0, 1));
        assert_eq!(alignment.on(Aborted(1)), AlignmentDecision { abandon: Some(1), begin: None });
        assert_eq!(alignment.on(Barrier(1, 1)), NOTHING);
        assert!(!alignment.is_held(0) && !alignment.is_held(1));
        assert_eq!(alignment.on(Aborted(2)), NOTHING, "nothing was known of it");
        assert_eq!(alignment.on(Barrier(0, 2)), NOTHING);
        assert!(!alignment.is_held(0));
    }

    proptest::proptest! {
        // Barriers 1..=5 on every channel, channels interleaved at random; a held channel waits.
        #[test]
        fn every_barrier_begins_once_and_in_order(turns: Vec<u8>, channels in 1_usize..5) {
            let mut alignment = Alignment::new(channels);
            let mut sent = vec![0; channels];
            let mut begun = Vec::new();
            for turn in turns.into_iter().map(usize::from).chain((0..channels).cycle().take(channels * 6)) {
                let channel = turn % channels;
                if alignment.is_held(channel) || sent[channel] == 5 {
                    continue;
                }
                sent[channel] += 1;
                if let Some(id) = alignment.on(Barrier(channel, sent[channel])).begin {
                    assert!(sent.iter().all(|sent| *sent == id));
                    begun.push(id);
                    alignment.on(Passed(id));
                }
            }
            assert_eq!(begun, [1, 2, 3, 4, 5]);
        }
    }
}
