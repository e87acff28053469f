//! Where a consumer group stands.

use std::collections::BTreeMap;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::asking::{Offsets, Partition};
use crate::client::{Consumer, Events, Patience, SLICE, group_config};
use crate::config::KafkaSourceOptions;
use crate::retry::{ConnectorError, is_forbidden};

/// The offsets that a group has for these partitions; those without one are left out.
///
/// # Errors
/// When they may not be read, or no broker answers in time.
pub(crate) fn group_offsets(
    options: &KafkaSourceOptions,
    job: &str,
    partitions: &[Partition],
    patience: &Patience,
) -> Result<Offsets, ConnectorError> {
    let group = options.group_id.as_deref().unwrap_or_default();
    let config = group_config(&options.brokers, group, &options.client, job);
    let client: Consumer =
        config.create_with_context(Events::default()).map_err(ConnectorError::of_creation)?;
    loop {
        match ask(&client, partitions) {
            Ok(offsets) => return Ok(offsets),
            Err(error) if error.rdkafka_error_code().is_some_and(is_forbidden) => {
                return Err(ConnectorError::GroupNotAllowed {
                    name: group.to_owned(),
                    reason: error.to_string(),
                });
            }
            Err(error) => patience.go_on_after(&client, &error)?,
        }
    }
}

fn ask(client: &Consumer, partitions: &[Partition]) -> KafkaResult<Offsets> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, number) in partitions {
        list.add_partition(topic, *number);
    }
    let mut offsets = BTreeMap::new();
    for element in client.committed_offsets(list, SLICE)?.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            offsets.insert((element.topic().to_owned(), element.partition()), offset);
        }
    }
    Ok::<_, KafkaError>(offsets)
}
