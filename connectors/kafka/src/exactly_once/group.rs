//! The consumer group that keeps the marker of a writer id.

use millstream_record::Result;
use rdkafka::consumer::{Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::marker::Marker;
use super::writer_id::WriterId;
use crate::client::{Consumer, Events, Patience, Peer as _, SLICE, group_config};
use crate::retry::{ConnectorError, is_forbidden};
use crate::sink_config::KafkaSinkOptions;

/// A client in the name of the group. Nobody consumes in it.
pub(crate) struct Group {
    name: String,
    topic: String,
    client: Consumer,
}

/// What a transaction needs to move the marker.
pub(crate) struct MarkerOffset {
    /// The group.
    pub(crate) group: ConsumerGroupMetadata,
    /// The topic whose partition 0 stands for the writer id.
    pub(crate) topic: String,
}

impl Group {
    /// The group of a writer id; connections follow.
    pub(crate) fn new(
        options: &KafkaSinkOptions,
        job: &str,
        writer_id: &WriterId,
    ) -> Result<Self, ConnectorError> {
        let name = writer_id.group();
        let config = group_config(&options.brokers, &name, &options.client, job);
        let created = config.create_with_context(Events::default());
        Ok(Self {
            client: created.map_err(ConnectorError::of_creation)?,
            name,
            topic: writer_id.topic.clone(),
        })
    }

    /// The marker as the brokers know it.
    ///
    /// # Errors
    /// When it may not be read, or nobody answers in time.
    pub(crate) fn read(&self, patience: &Patience) -> Result<Option<Marker>, ConnectorError> {
        loop {
            match self.ask() {
                Ok(marker) => return Ok(marker),
                Err(error) if error.rdkafka_error_code().is_some_and(is_forbidden) => {
                    let (name, reason) = (self.name.clone(), error.to_string());
                    return Err(ConnectorError::GroupNotAllowed { name, reason });
                }
                Err(error) => {
                    let waited = patience.go_on_after(&self.client, &error);
                    waited.map_err(|error| self.unless_they_answer(error))?;
                }
            }
        }
    }

    // Brokers that are there and know no offset have an open transaction on it, which they do not complete.
    fn unless_they_answer(&self, error: ConnectorError) -> ConnectorError {
        match error {
            ConnectorError::NoBroker { brokers, seconds, .. }
                if self.client.metadata(&self.topic, SLICE).is_ok() =>
            {
                ConnectorError::Unsettled { brokers, group: self.name.clone(), seconds }
            }
            other => other,
        }
    }

    fn ask(&self) -> Result<Option<Marker>, KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, 0);
        let answer = self.client.committed_offsets(list, SLICE)?;
        let Some(element) = answer.find_partition(&self.topic, 0) else { return Ok(None) };
        match element.error() {
            Ok(()) => {}
            Err(error) if error.rdkafka_error_code() == Some(Code::UnknownTopicOrPartition) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        let there = matches!(element.offset(), Offset::Offset(_));
        Ok(if there { Marker::parse(element.metadata()) } else { None })
    }

    /// What transactions need; it outlives the client.
    pub(crate) fn place(&self) -> Result<MarkerOffset, ConnectorError> {
        let none = || ConnectorError::Fatal { reason: "the client knows no consumer groups".to_owned() };
        let group = self.client.group_metadata().ok_or_else(none)?;
        Ok(MarkerOffset { group, topic: self.topic.clone() })
    }
}

impl MarkerOffset {
    /// The offset to commit.
    pub(crate) fn offsets(&self, marker: Marker) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        let mut element = list.add_partition(&self.topic, 0);
        let set = element.set_offset(Offset::Offset(marker.offset()));
        debug_assert!(set.is_ok(), "checkpoint ids are no negative numbers");
        element.set_metadata(marker.to_string());
        list
    }
}
