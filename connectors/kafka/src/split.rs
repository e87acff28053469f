//! A split of the Kafka source: one partition, from a position up to another.

use millstream_record::Result;
use millstream_record::record::to_bytes;
use millstream_stage::source::{Split, split_state};

use crate::retry::ConnectorError;
use crate::topic_id::TopicId;

/// "From the oldest message on": its offset is not known until the broker is asked, and may change until
/// then.
pub(crate) const EARLIEST: i64 = rdkafka::bindings::RD_KAFKA_OFFSET_BEGINNING as i64;

/// What the reader needs to go on.
#[derive(Clone, Debug, PartialEq, Eq, millstream_record::Record)]
pub(crate) struct KafkaSplit {
    /// The topic.
    pub(crate) topic: String,
    /// The partition's number.
    pub(crate) partition: i32,
    /// The offset of the next message to read, or [`EARLIEST`].
    pub(crate) next: i64,
    /// The offset at which the split ends, if it does.
    pub(crate) stop: Option<i64>,
    /// The topic that the offsets belong to, and no other one of its name; unknown to the first version of
    /// this state, and where brokers give topics no ids.
    pub(crate) topic_id: Option<TopicId>,
}

// What the first version of this state holds: topic, partition, next, stop.
type First = (String, i32, i64, Option<i64>);

impl KafkaSplit {
    /// Its name, such as `clicks-3`.
    pub(crate) fn id(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }

    /// Whether its end is behind its position.
    pub(crate) fn is_empty(&self) -> bool {
        self.next != EARLIEST && self.stop.is_some_and(|stop| stop <= self.next)
    }

    pub(crate) fn encode(&self) -> Split {
        Split { id: self.id().into(), state: to_bytes(self) }
    }

    pub(crate) fn decode(split: &Split) -> Result<Self> {
        let state = split_state::<Self>(split).or_else(|error| Self::decode_first(split).ok_or(error));
        state.map_err(|error| {
            millstream_record::Error::from(ConnectorError::State { split: split.id.to_string() })
                .caused_by(error)
        })
    }

    fn decode_first(split: &Split) -> Option<Self> {
        let (topic, partition, next, stop) = split_state::<First>(split).ok()?;
        Some(Self { topic, partition, next, stop, topic_id: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_survives_its_state() {
        for (next, stop) in [(EARLIEST, None), (7, Some(9)), (0, Some(0))] {
            let topic_id = stop.and_then(|stop| TopicId::new(-5, stop));
            let split = KafkaSplit { topic: "clicks".into(), partition: 3, next, stop, topic_id };
            assert_eq!(KafkaSplit::decode(&split.encode()).unwrap(), split);
            assert_eq!(&*split.encode().id, "clicks-3");
        }
        let foreign = Split { id: "lines-0".into(), state: vec![0xff] };
        let error = KafkaSplit::decode(&foreign).unwrap_err();
        assert!(error.to_string().contains("lines-0"), "{error}");
    }

    // As the first version wrote it: a savepoint is read for ever.
    #[test]
    fn a_state_without_a_topics_id_is_read() {
        let state = [12, b'c', b'l', b'i', b'c', b'k', b's', 6, 14, 2, 18];
        let split = KafkaSplit::decode(&Split { id: "clicks-3".into(), state: state.to_vec() }).unwrap();
        let expected =
            KafkaSplit { topic: "clicks".into(), partition: 3, next: 7, stop: Some(9), topic_id: None };
        assert_eq!(split, expected);
        let unbounded = [&state[..9], &[0]].concat();
        let split = KafkaSplit::decode(&Split { id: "clicks-3".into(), state: unbounded }).unwrap();
        assert_eq!(split, KafkaSplit { stop: None, ..expected });
    }

    #[test]
    fn a_split_that_ends_where_it_starts_is_empty() {
        let split = |next, stop| KafkaSplit { topic: "t".into(), partition: 0, next, stop, topic_id: None };
        assert!(split(5, Some(5)).is_empty());
        assert!(!split(4, Some(5)).is_empty());
        assert!(!split(EARLIEST, Some(5)).is_empty());
        assert!(!split(5, None).is_empty());
    }
}
