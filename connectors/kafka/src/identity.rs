//! Whether a topic is still the one whose offsets a reader's positions count.

use std::task::Waker;
use std::time::Duration;

use millstream_stage::time::{MIN_TIME, Time};
use rdkafka::error::RDKafkaErrorCode;

use crate::describe::{Describer, Description, Descriptions};
use crate::native::NativeConsumer;
use crate::partition::{Doubt, Partition};
use crate::topic_id::TopicId;

/// How often the brokers are asked while nothing is in doubt.
const ASK_EVERY: Time = 5_000;

/// How soon they are asked again after an answer that settled nothing.
const ASK_AGAIN: Time = 100;

/// What follows from what a broker says about the topic of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TopicIdVerdict {
    /// It is the same one, as far as its brokers tell topics apart.
    Same(Option<TopicId>),
    /// The one that the position belongs to was deleted, and this one was created under its name.
    Anew {
        /// The id that belongs to the position.
        was: TopicId,
        /// The id that the topic has now.
        is: TopicId,
    },
    /// It is not there.
    Missing,
    /// The broker does not say.
    Unsaid,
}

/// Judges a topic by the id that is kept with a position.
pub(crate) fn judge(kept: Option<TopicId>, description: Option<&Description>) -> TopicIdVerdict {
    match (kept, description) {
        (Some(was), Some(Description::Topic { id: Some(is), .. })) if was != *is => {
            TopicIdVerdict::Anew { was, is: *is }
        }
        (_, Some(Description::Topic { id, .. })) => TopicIdVerdict::Same(id.or(kept)),
        (_, Some(Description::Missing)) => TopicIdVerdict::Missing,
        (_, Some(Description::Unsaid(_)) | None) => TopicIdVerdict::Unsaid,
    }
}

/// What is to be done about a partition's doubt after a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Nothing is in doubt.
    Nothing,
    /// The doubt stays: ask again.
    Open,
    /// It is the right topic.
    Confirmed,
    /// It is the right topic, and the position is not in it.
    OutOfRange,
    /// The partition is not there.
    Gone,
}

/// Settles a doubt that arose before the question to which this is the answer. `there`: the topic has a
/// partition of that number.
pub(crate) fn settle(doubt: Option<Doubt>, verdict: TopicIdVerdict, there: bool) -> Settled {
    match (doubt, verdict) {
        (None, _) => Settled::Nothing,
        (Some(Doubt::Gone), TopicIdVerdict::Missing) => Settled::Gone,
        (Some(Doubt::Gone), TopicIdVerdict::Same(_)) if !there => Settled::Gone,
        (Some(Doubt::Unasked | Doubt::Gone), TopicIdVerdict::Same(_)) => Settled::Confirmed,
        (Some(Doubt::OutOfRange), TopicIdVerdict::Same(_)) => Settled::OutOfRange,
        (Some(_), TopicIdVerdict::Missing | TopicIdVerdict::Unsaid | TopicIdVerdict::Anew { .. }) => {
            Settled::Open
        }
    }
}

/// Asks for the ids of topics: when something is in doubt, and now and then.
pub(crate) struct Identity {
    describer: Describer,
    asked_at: Time,
    ask_at: Time,
}

impl Identity {
    /// For a client, which must outlive it.
    pub(crate) fn new(client: &NativeConsumer, waker: &Waker) -> Self {
        Self { describer: Describer::new(client.as_ptr(), waker), asked_at: MIN_TIME, ask_at: MIN_TIME }
    }

    /// Asks where that is due.
    pub(crate) fn ask<'a>(
        &mut self,
        client: &NativeConsumer,
        now: Time,
        partitions: impl Iterator<Item = &'a Partition> + Clone,
    ) {
        let asked_at = self.asked_at;
        let newly = |partition: &Partition| partition.doubt.is_some_and(|(_, since)| since > asked_at);
        if !self.describer.may_ask(now) || (now < self.ask_at && !partitions.clone().any(newly)) {
            return;
        }
        let mut topics: Vec<_> = partitions.map(|partition| partition.split.topic.as_str()).collect();
        topics.sort_unstable();
        topics.dedup();
        self.describer.ask(client.as_ptr(), topics.into_iter(), now);
        (self.asked_at, self.ask_at) = (now, now.saturating_add(ASK_EVERY));
    }

    /// Asks at the next occasion: something new is in doubt.
    pub(crate) fn ask_at_once(&mut self) {
        self.ask_at = MIN_TIME;
    }

    /// Asks again soon: something is still in doubt.
    pub(crate) fn ask_again(&mut self, now: Time) {
        self.ask_at = self.ask_at.min(now.saturating_add(ASK_AGAIN));
    }

    /// What a broker has answered, and when it was asked.
    pub(crate) fn answer(&mut self) -> Option<(Time, Result<Descriptions, RDKafkaErrorCode>)> {
        Some((self.asked_at, self.describer.answer(Duration::ZERO)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_id_is_another_topic() {
        let [old, new] = [1, 2].map(|low| TopicId::new(7, low));
        let topic = |id| Description::Topic { id, partitions: 1, rights: None };
        assert_eq!(judge(old, Some(&topic(old))), TopicIdVerdict::Same(old));
        let (was, is) = (old.unwrap(), new.unwrap());
        assert_eq!(judge(old, Some(&topic(new))), TopicIdVerdict::Anew { was, is });
        assert_eq!(judge(None, Some(&topic(new))), TopicIdVerdict::Same(new), "from an old savepoint");
        assert_eq!(judge(old, Some(&topic(None))), TopicIdVerdict::Same(old), "old brokers have no ids");
        assert_eq!(judge(old, Some(&Description::Missing)), TopicIdVerdict::Missing);
        let unsaid = Description::Unsaid(RDKafkaErrorCode::TopicAuthorizationFailed);
        assert_eq!(judge(old, Some(&unsaid)), TopicIdVerdict::Unsaid);
        assert_eq!(judge(old, None), TopicIdVerdict::Unsaid);
    }

    #[test]
    fn a_doubt_stays_until_a_broker_knows_better() {
        for doubt in [Doubt::Unasked, Doubt::OutOfRange, Doubt::Gone] {
            assert_eq!(settle(Some(doubt), TopicIdVerdict::Unsaid, false), Settled::Open);
        }
        assert_eq!(
            settle(Some(Doubt::Gone), TopicIdVerdict::Same(None), true),
            Settled::Confirmed,
            "of another topic"
        );
        assert_eq!(settle(Some(Doubt::Gone), TopicIdVerdict::Same(None), false), Settled::Gone);
        assert_eq!(settle(Some(Doubt::Unasked), TopicIdVerdict::Same(None), true), Settled::Confirmed);
        assert_eq!(
            settle(Some(Doubt::Unasked), TopicIdVerdict::Missing, true),
            Settled::Open,
            "it may come back anew"
        );
        assert_eq!(settle(Some(Doubt::OutOfRange), TopicIdVerdict::Same(None), true), Settled::OutOfRange);
        assert_eq!(settle(Some(Doubt::Gone), TopicIdVerdict::Missing, true), Settled::Gone);
        assert_eq!(settle(None, TopicIdVerdict::Missing, true), Settled::Nothing);
    }
}
