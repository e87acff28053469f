//! What can go wrong, and what is to be done about it: the client's errors are mapped here, once.

use std::time::Duration;

use millstream_record::{Error, ErrorKind};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::properties::is_secret;
use crate::topic_id::TopicId;

/// Everything that this connector reports.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectorError {
    #[error(
        "no Kafka broker answered at {brokers} within {seconds} s: check `brokers`, that Kafka runs, and that \
         `security.protocol` fits its listener{last}"
    )]
    NoBroker { brokers: String, seconds: u64, last: Last },
    #[error(
        "Kafka at {brokers} refuses the login: check `sasl.mechanism`, `sasl.username` and `sasl.password` under \
         `client` ({reason})"
    )]
    Login { brokers: String, reason: String },
    #[error("Kafka at {brokers} refuses the login while the job runs ({reason})")]
    LoginLost { brokers: String, reason: String },
    #[error("topic {topic} does not exist at {brokers}: create it, or correct `topic`")]
    UnknownTopic { topic: String, brokers: String },
    #[error(
        "topic {topic} has no leader for every partition after {seconds} s: bring the missing brokers back"
    )]
    NoLeader { topic: String, seconds: u64 },
    #[error(
        "Kafka answers at {brokers}, but the brokers that have the partitions are not reached within {seconds} s: Kafka \
         names them by `advertised.listeners`, and this machine must resolve and reach those names; correct that setting, \
         or the names and routes here{last}"
    )]
    Unreached { brokers: String, seconds: u64, last: Last },
    #[error("Kafka does not let this user {verb} topic {topic}: grant it ({reason})")]
    NotAllowed { topic: String, verb: &'static str, reason: String },
    #[error("the Kafka client does not accept `client` property {name}: {reason}")]
    Property { name: String, reason: String },
    #[error("the Kafka client does not start with these `client` properties: {reason}")]
    Client { reason: String },
    #[error("{split}: the state of this split is none of the Kafka source")]
    State { split: String },
    #[error(
        "{split}: offset {offset} is not in the topic, which holds {low} up to {high}. Its retention has deleted it or the \
         topic was created anew, so messages are lost to this job: to go on all the same set `on-missing-offset` to \
         `earliest` or `latest`, or start it without this state to go on from `start`"
    )]
    OutOfRange { split: String, offset: i64, low: i64, high: i64 },
    #[error(
        "{split}: the topic was deleted and created anew: offset {offset} belongs to the one with id {was}, and this one has id \
         {is}. What the old one held behind it is lost to this job: to go on with the new one set `on-missing-offset` \
         to `earliest` or `latest`, or start it without this state to go on from `start`"
    )]
    Anew { split: String, offset: i64, was: TopicId, is: TopicId },
    #[error(
        "{split}: consumer group {group} has no offset for this partition: check `group-id`, or set \
         `on-missing-group-offset` to `earliest` or `latest`"
    )]
    NoGroupOffset { group: String, split: String },
    #[error("{split}: the Kafka client does not fetch from offset {offset} ({code})")]
    NotStarted { split: String, offset: i64, code: Code },
    #[error("{split}: the partition is gone: the topic was deleted or created anew")]
    PartitionGone { split: String },
    #[error(
        "{split}: the batch at offset {offset} cannot be read, also not a second time ({reason}): it is damaged, or packed by a codec \
         that this client does not know, or unpacks to more than `receive.message.max.bytes` under `client` allows"
    )]
    Damaged { split: String, offset: i64, reason: String },
    #[error("the Kafka client gave up for good: {reason}")]
    Fatal { reason: String },
    #[error(
        "topic {topic}: a message was not acknowledged within `delivery-timeout` ({reason}): see that all partitions \
         have leaders and enough replicas in sync, and that this machine can resolve and reach the brokers by their \
         `advertised.listeners`"
    )]
    NotDelivered { topic: String, reason: String },
    #[error(
        "topic {topic}: a transaction was not committed within `delivery-timeout`, {seconds} s ({reason}): see that \
         all partitions, also those of __transaction_state and __consumer_offsets, have leaders and enough replicas"
    )]
    NotCommitted { topic: String, seconds: u64, reason: String },
    #[error(
        "transactional id {id}: attempt {newer} of this job writes, so this attempt, {attempt}, must not"
    )]
    Fenced { id: String, attempt: u64, newer: u64 },
    #[error(
        "transactional id {id} was taken over ({reason}): if this job runs once only, see that no other one has the \
         same name, sink and `transactional-id-prefix`"
    )]
    TakenOver { id: String, reason: String },
    #[error(
        "Kafka does not let this user write in transactions as {id}: grant Write and Describe on the transactional id, \
         Write on the topic, and Read on the consumer groups that begin with that id ({reason})"
    )]
    TransactionsNotAllowed { id: String, reason: String },
    #[error("Kafka does not let this user use consumer group {name}: grant Read ({reason})")]
    GroupNotAllowed { name: String, reason: String },
    #[error(
        "`transaction-timeout` is {timeout} s, which is longer than the brokers allow: shorten it to at most their \
         `transaction.max.timeout.ms` (15 min unless changed), or raise that"
    )]
    TimeoutTooLong { timeout: u64 },
    #[error(
        "the brokers no longer know whether the output up to checkpoint {checkpoint} was written by {id} to topic \
         {topic}: `offsets.retention.minutes` is over, or the topic was created anew. Look at the topic's end and set \
         `on-missing-marker` to `write` or `skip`"
    )]
    MarkerGone { id: String, topic: String, checkpoint: u64 },
    #[error(
        "Kafka at {brokers} answers, but knows no settled offset of group {group} after {seconds} s: a transaction that a broker has not \
         completed. Where that lasts, restart the broker that coordinates the group"
    )]
    Unsettled { brokers: String, group: String, seconds: u64 },
    #[error("the state of this sink is none of the Kafka sink")]
    SinkState,
    #[error(
        "output of subtask {owner} was restored by subtask {subtask} of {parallelism}, which must not write it"
    )]
    Misdealt { owner: u16, subtask: u16, parallelism: u16 },
    #[error("the writer was closed while it started")]
    Closed,
}

/// The last thing that the client said, if any, as the end of a sentence.
#[derive(Debug, Default)]
pub(crate) struct Last(pub(crate) Option<String>);

impl std::fmt::Display for Last {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |reason| write!(f, " (the client says: {reason})"))
    }
}

impl ConnectorError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoBroker { .. } | Self::NoLeader { .. } => ErrorKind::Restart,
            Self::Unreached { .. } | Self::Unsettled { .. } => ErrorKind::Restart,
            Self::Login { .. } | Self::UnknownTopic { .. } | Self::NotAllowed { .. } => {
                ErrorKind::Configuration
            }
            Self::Property { .. } | Self::Client { .. } => ErrorKind::Configuration,
            Self::LoginLost { .. } | Self::Fatal { .. } => ErrorKind::Restart,
            Self::PartitionGone { .. } => ErrorKind::Restart,
            Self::NotDelivered { .. } | Self::NotCommitted { .. } | Self::TakenOver { .. } => {
                ErrorKind::Restart
            }
            Self::Closed => ErrorKind::Restart,
            Self::Fenced { .. } => ErrorKind::Fenced,
            Self::TransactionsNotAllowed { .. } | Self::GroupNotAllowed { .. } => ErrorKind::Configuration,
            Self::TimeoutTooLong { .. } | Self::MarkerGone { .. } | Self::NoGroupOffset { .. } => {
                ErrorKind::Configuration
            }
            Self::NotStarted { .. } | Self::Misdealt { .. } => ErrorKind::Bug,
            Self::State { .. } | Self::SinkState => ErrorKind::Data,
            Self::OutOfRange { .. } | Self::Anew { .. } | Self::Damaged { .. } => ErrorKind::Data,
        }
    }

    /// Whether it is the network's or the brokers' own trouble, which passes.
    pub(crate) fn is_of_the_network(&self) -> bool {
        matches!(self, Self::NoBroker { .. } | Self::NoLeader { .. } | Self::Unreached { .. })
    }

    /// The same, after so much time in all.
    pub(crate) fn within(self, time: Duration) -> Self {
        let seconds = time.as_secs();
        match self {
            Self::NoBroker { brokers, last, .. } => Self::NoBroker { brokers, seconds, last },
            Self::NoLeader { topic, .. } => Self::NoLeader { topic, seconds },
            Self::Unreached { brokers, last, .. } => Self::Unreached { brokers, seconds, last },
            other => other,
        }
    }

    /// The same, when brokers have answered another question before.
    pub(crate) fn behind_the_first_answer(self) -> Self {
        match self {
            Self::NoBroker { brokers, seconds, last } => Self::Unreached { brokers, seconds, last },
            other => other,
        }
    }

    /// A message was refused, and no other would be taken.
    pub(crate) fn of_refusal(code: Code, topic: &str, brokers: &str) -> Self {
        let (topic, brokers, reason) = (topic.to_owned(), brokers.to_owned(), code.to_string());
        match delivery_verdict(code) {
            DeliveryVerdict::UnknownTopic => Self::UnknownTopic { topic, brokers },
            DeliveryVerdict::NotAllowed => Self::NotAllowed { topic, verb: "write to", reason },
            DeliveryVerdict::Refused
            | DeliveryVerdict::RefusedAlong
            | DeliveryVerdict::Closing
            | DeliveryVerdict::GaveUp => Self::NotDelivered { topic, reason },
        }
    }

    /// The client could not be made.
    pub(crate) fn of_creation(error: KafkaError) -> Self {
        match error {
            // librdkafka quotes the value in its text.
            KafkaError::ClientConfig(_, _, name, _) if is_secret(&name) => {
                Self::Property { name, reason: "its value is not valid".to_owned() }
            }
            KafkaError::ClientConfig(_, reason, name, _) => Self::Property { name, reason },
            KafkaError::ClientCreation(reason) => Self::Client { reason },
            other => Self::Client { reason: other.to_string() },
        }
    }
}

impl From<ConnectorError> for Error {
    fn from(error: ConnectorError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

/// What an error that came in place of a message, or as an event of the client, means to a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorClass {
    /// The client tries again by itself.
    Passing,
    /// The password is wrong, or is no longer right.
    Login,
    /// May not read or write.
    NotAllowed,
    /// The position is not there.
    OutOfRange,
    /// The topic or partition is not there.
    Gone,
    /// Bytes that cannot be read.
    Damaged,
    /// This client cannot go on.
    Fatal,
}

/// Sorts the error codes that a consumer, or a client as a whole, reports.
pub(crate) fn error_class(code: Code) -> ErrorClass {
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
            ErrorClass::Login
        }
        Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::GroupAuthorizationFailed => ErrorClass::NotAllowed,
        Code::OffsetOutOfRange | Code::AutoOffsetReset => ErrorClass::OutOfRange,
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::InvalidTopic => {
            ErrorClass::Gone
        }
        Code::BadMessage | Code::BadCompression | Code::InvalidMessage | Code::NotImplemented => {
            ErrorClass::Damaged
        }
        Code::UnsupportedFeature | Code::UnsupportedCompressionType => ErrorClass::Damaged,
        Code::Fatal => ErrorClass::Fatal,
        _ => ErrorClass::Passing,
    }
}

/// What the failed delivery of a message means to a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeliveryVerdict {
    /// It can never be written, or shared a batch with one that cannot.
    Refused,
    /// It only shared a batch with one that cannot be written.
    RefusedAlong,
    /// The topic is not there.
    UnknownTopic,
    /// May not write.
    NotAllowed,
    /// It was thrown away because the sink is being closed.
    Closing,
    /// The client has tried until its time was up, or cannot keep its promise of order and single delivery.
    GaveUp,
}

/// Sorts the error codes of delivery reports and of handing a message to the client.
pub(crate) fn delivery_verdict(code: Code) -> DeliveryVerdict {
    match code {
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
            DeliveryVerdict::Refused
        }
        Code::InvalidTimestamp | Code::InvalidRecord => DeliveryVerdict::Refused,
        Code::InvalidDifferentRecord => DeliveryVerdict::RefusedAlong,
        Code::UnknownPartition => DeliveryVerdict::Refused,
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::InvalidTopic => {
            DeliveryVerdict::UnknownTopic
        }
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => DeliveryVerdict::NotAllowed,
        Code::PurgeQueue | Code::PurgeInflight => DeliveryVerdict::Closing,
        _ => DeliveryVerdict::GaveUp,
    }
}

/// Whether a shorter message might be taken.
pub(crate) fn is_too_large(code: Code) -> bool {
    matches!(code, Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize)
}

/// What an error in a transaction asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransactionVerdict {
    /// The same call once more.
    Repeat,
    /// The transaction is to be aborted.
    Abort,
    /// Another producer has initialised the transactional id.
    Fenced,
    /// May not.
    NotAllowed,
    /// The brokers allow no transactions that long.
    TimeoutTooLong,
    /// This client cannot go on.
    Fatal,
}

/// Sorts the errors of transactional calls.
pub(crate) fn transaction_verdict(error: &KafkaError) -> TransactionVerdict {
    let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
    let KafkaError::Transaction(error) = error else {
        // A flush that is not through, and the like.
        return if code == Code::OperationTimedOut {
            TransactionVerdict::Repeat
        } else {
            TransactionVerdict::Abort
        };
    };
    match code {
        Code::InvalidTransactionTimeout => TransactionVerdict::TimeoutTooLong,
        _ if is_forbidden(code) => TransactionVerdict::NotAllowed,
        Code::Fenced | Code::ProducerFenced => TransactionVerdict::Fenced,
        Code::InvalidProducerEpoch if error.is_fatal() => TransactionVerdict::Fenced,
        _ if error.is_fatal() => TransactionVerdict::Fatal,
        _ if error.txn_requires_abort() => TransactionVerdict::Abort,
        _ if error.is_retriable() => TransactionVerdict::Repeat,
        _ => TransactionVerdict::Fatal,
    }
}

/// Whether it lacks a permission.
pub(crate) fn is_forbidden(code: Code) -> bool {
    matches!(
        code,
        Code::TransactionalIdAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_ends_nothing() {
        for code in [
            Code::BrokerTransportFailure,
            Code::AllBrokersDown,
            Code::Resolve,
            Code::OperationTimedOut,
            Code::RequestTimedOut,
            Code::NotLeaderForPartition,
            Code::LeaderNotAvailable,
            Code::SSL,
        ] {
            assert_eq!(error_class(code), ErrorClass::Passing, "{code}");
        }
        assert_eq!(error_class(Code::Authentication), ErrorClass::Login);
        assert_eq!(error_class(Code::AutoOffsetReset), ErrorClass::OutOfRange);
    }

    #[test]
    fn only_what_a_record_is_to_blame_for_is_a_dead_letter() {
        assert_eq!(delivery_verdict(Code::MessageSizeTooLarge), DeliveryVerdict::Refused);
        assert_eq!(delivery_verdict(Code::InvalidTimestamp), DeliveryVerdict::Refused);
        assert_eq!(delivery_verdict(Code::MessageTimedOut), DeliveryVerdict::GaveUp);
        assert_eq!(delivery_verdict(Code::NotEnoughReplicas), DeliveryVerdict::GaveUp);
        assert_eq!(delivery_verdict(Code::UnknownTopicOrPartition), DeliveryVerdict::UnknownTopic);
    }

    #[test]
    fn a_refused_secret_is_not_repeated() {
        let config = rdkafka::types::RDKafkaConfRes::RD_KAFKA_CONF_INVALID;
        let refused = |name: &str| {
            let reason = "Invalid value \"geheim\"".to_owned();
            ConnectorError::of_creation(KafkaError::ClientConfig(
                config,
                reason,
                name.into(),
                "geheim".into(),
            ))
            .to_string()
        };
        assert!(!refused("ssl.key.pem").contains("geheim"));
        assert!(refused("client.rack").contains("geheim"));
    }
}
