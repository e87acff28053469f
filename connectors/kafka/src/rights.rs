//! Whether a user who sees a topic may also read it, or write to it. Kafka's answer about a topic needs no more
//! than the right to describe it.

use std::iter::once;
use std::task::Waker;
use std::time::Duration;

use millstream_stage::time::MIN_TIME;
use rdkafka::bindings as sys;

use crate::describe::{Describer, Description, Descriptions, Rights};
use crate::retry::ConnectorError;

/// An answer comes in any case, before this time is over.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be done with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// To read it.
    Read,
    /// To write to it.
    Write,
}

/// Asks the brokers for the rights of this client's user. Blocks.
///
/// # Errors
/// When the right is missing. Where no broker says so, nothing is refused: the first request will tell.
pub(crate) fn check(client: *mut sys::rd_kafka_t, topic: &str, right: Right) -> Result<(), ConnectorError> {
    let mut describer = Describer::new(client, Waker::noop()).with_rights();
    describer.ask(client, once(topic), MIN_TIME);
    let descriptions = describer.answer(PATIENCE).and_then(Result::ok).unwrap_or_default();
    judge(&descriptions, topic, right)
}

fn judge(descriptions: &Descriptions, topic: &str, right: Right) -> Result<(), ConnectorError> {
    let Some(Description::Topic { rights: Some(Rights { read, write }), .. }) = descriptions.get(topic)
    else {
        return Ok(());
    };
    let (granted, verb, name) = match right {
        Right::Read => (read, "read", "Read"),
        Right::Write => (write, "write to", "Write"),
    };
    if *granted {
        return Ok(());
    }
    let reason = format!("{name} is not among its operations on this topic");
    Err(ConnectorError::NotAllowed { topic: topic.to_owned(), verb, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_right_that_is_known_to_be_missing_is_missed() {
        let judged = |rights, right| {
            let description = Description::Topic { id: None, partitions: 1, rights };
            judge(&Descriptions::from([("clicks".to_owned(), description)]), "clicks", right)
        };
        let reads = Some(Rights { read: true, write: false });
        assert!(judged(reads, Right::Read).is_ok());
        let told = judged(reads, Right::Write).unwrap_err().to_string();
        assert!(told.contains("write to topic clicks: grant it (Write is not among"), "{told}");
        let writes = Some(Rights { read: false, write: true });
        assert!(judged(writes, Right::Write).is_ok() && judged(writes, Right::Read).is_err());
        assert!(judged(None, Right::Read).is_ok(), "old brokers do not say");
        assert!(judge(&Descriptions::new(), "clicks", Right::Read).is_ok());
    }
}
