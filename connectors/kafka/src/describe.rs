//! Asks brokers about topics beside everything else that a client does: which id a topic has, and how many
//! partitions.
//!
//! The client knows both for itself, but tells only an administrator.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::NonNull;
use std::slice;
use std::task::Waker;
use std::time::Duration;

use millstream_stage::time::{MIN_TIME, Time};
use rdkafka::bindings as sys;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;

use crate::topic_id::TopicId;
use crate::waking::WakingQueue;

/// By name of a topic: what a broker says about it.
pub(crate) type Descriptions = BTreeMap<String, Description>;

/// What a broker says about one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Description {
    /// It is there.
    Topic {
        /// Its id, where the brokers give topics ids.
        id: Option<TopicId>,
        /// How many partitions it has.
        partitions: i32,
        /// What the user may do with it, where that was asked for and the broker says it.
        rights: Option<Rights>,
    },
    /// No topic of that name is there.
    Missing,
    /// The broker does not say, for this reason.
    Unsaid(RDKafkaErrorCode),
}

/// What a user may do with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rights {
    /// May read it.
    pub(crate) read: bool,
    /// May write to it.
    pub(crate) write: bool,
}

/// How long a question waits for its answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long the question after an unanswered one waits, and the time between the two in milliseconds. Both
/// grow with each further unanswered question. While a question waits and no broker is there, the client
/// connects again and again without a pause, which takes a whole core.
const SHORT_PATIENCE: Duration = Duration::from_millis(250);
const LONG_PAUSE: Time = 2_000;

/// Asks one question at a time and never waits for its answer, unless told to.
pub(crate) struct Describer {
    queue: WakingQueue,
    rights: bool,
    asked: bool,
    // Questions without an answer, since the last one that had one.
    unanswered: u32,
    ask_at: Time,
}

impl Describer {
    /// For a client, which must outlive it. An answer calls the waker.
    pub(crate) fn new(client: *mut sys::rd_kafka_t, waker: &Waker) -> Self {
        // SAFETY: the client is alive.
        let queue = unsafe { sys::rd_kafka_queue_new(client) };
        let queue = WakingQueue::new(queue, waker);
        Self { queue, rights: false, asked: false, unanswered: 0, ask_at: MIN_TIME }
    }

    /// Asks for the rights of the user, too.
    pub(crate) fn with_rights(mut self) -> Self {
        self.rights = true;
        self
    }

    /// Whether the answer to a question has not come yet.
    pub(crate) fn is_asking(&self) -> bool {
        self.asked
    }

    /// Whether the last question is answered, and the next one not too soon after it.
    pub(crate) fn may_ask(&self, now: Time) -> bool {
        !self.asked && now >= self.ask_at
    }

    /// Asks the client that this was made for about topics, which must differ. An answer comes in any case,
    /// within a few seconds.
    pub(crate) fn ask<'a>(
        &mut self,
        client: *mut sys::rd_kafka_t,
        topics: impl Iterator<Item = &'a str>,
        now: Time,
    ) {
        let (patience, pause) = rhythm(self.unanswered);
        self.ask_at = now.saturating_add(pause);
        // A name with a zero in it is no name of a topic.
        let names: Vec<_> = topics.filter_map(|topic| CString::new(topic).ok()).collect();
        let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        let milliseconds = c_int::try_from(patience.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: client and queue are alive; the call copies the names and the options, which are destroyed
        // once.
        unsafe {
            let options = sys::rd_kafka_AdminOptions_new(
                client,
                sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            );
            let (mut text, length) = ([0 as c_char; 256], 256);
            sys::rd_kafka_AdminOptions_set_request_timeout(options, milliseconds, text.as_mut_ptr(), length);
            let refused =
                sys::rd_kafka_AdminOptions_set_include_authorized_operations(options, self.rights.into());
            if !refused.is_null() {
                sys::rd_kafka_error_destroy(refused);
            }
            let topics = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            sys::rd_kafka_DescribeTopics(client, topics, options, self.queue.as_ptr());
            sys::rd_kafka_TopicCollection_destroy(topics);
            sys::rd_kafka_AdminOptions_destroy(options);
        }
        self.asked = true;
    }

    /// The answer, if it comes within `wait`.
    pub(crate) fn answer(&mut self, wait: Duration) -> Option<Result<Descriptions, RDKafkaErrorCode>> {
        let milliseconds = c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the queue is alive.
        let event = unsafe { sys::rd_kafka_queue_poll(self.queue.as_ptr(), milliseconds) };
        let answer = DescribeTopicsEvent(NonNull::new(event)?);
        let answer = answer.read();
        (self.asked, self.unanswered) = (false, if answer.is_ok() { 0 } else { self.unanswered + 1 });
        Some(answer)
    }
}

// How long a question waits for its answer, and how soon the next one may be asked.
fn rhythm(unanswered: u32) -> (Duration, Time) {
    match unanswered.min(3) {
        0 => (PATIENCE, 0),
        times => (SHORT_PATIENCE * (1 << (times - 1)), LONG_PAUSE << (times - 1).min(1)),
    }
}

/// An answer as it came; given back to the client on drop.
struct DescribeTopicsEvent(NonNull<sys::rd_kafka_event_t>);

impl DescribeTopicsEvent {
    fn read(&self) -> Result<Descriptions, RDKafkaErrorCode> {
        let event = self.0.as_ptr();
        // SAFETY: the event is alive until `drop`, and with it all that the calls give.
        unsafe {
            let code = sys::rd_kafka_event_error(event);
            if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(code.into());
            }
            let result = sys::rd_kafka_event_DescribeTopics_result(event);
            if result.is_null() {
                return Err(RDKafkaErrorCode::Fail);
            }
            let mut count = 0;
            let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            let topics = if count == 0 { &[] } else { slice::from_raw_parts(topics, count) };
            Ok(topics.iter().map(|topic| described(*topic)).collect())
        }
    }
}

impl Drop for DescribeTopicsEvent {
    fn drop(&mut self) {
        // SAFETY: given to us by the client, and destroyed once.
        unsafe { sys::rd_kafka_event_destroy(self.0.as_ptr()) };
    }
}

// SAFETY: the caller has the description of a topic that is alive.
unsafe fn described(topic: *const sys::rd_kafka_TopicDescription_t) -> (String, Description) {
    // SAFETY: as above; the parts of a description live as long as it does.
    unsafe {
        let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic)).to_string_lossy().into_owned();
        let error = sys::rd_kafka_TopicDescription_error(topic);
        let code = if error.is_null() {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
        } else {
            sys::rd_kafka_error_code(error)
        };
        let description = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => there(topic),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => Description::Missing,
            other => Description::Unsaid(other.into()),
        };
        (name, description)
    }
}

// SAFETY: the caller has the description of a topic that is alive and without an error.
unsafe fn there(topic: *const sys::rd_kafka_TopicDescription_t) -> Description {
    // SAFETY: as above.
    unsafe {
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        let (high, low) =
            (sys::rd_kafka_Uuid_most_significant_bits(id), sys::rd_kafka_Uuid_least_significant_bits(id));
        let mut partitions = 0;
        sys::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        Description::Topic { id: TopicId::new(high, low), partitions, rights: rights(topic) }
    }
}

// Whoever is told about a topic may at least describe it: with no right at all, the broker does not say.
// SAFETY: the caller has the description of a topic that is alive and without an error.
unsafe fn rights(topic: *const sys::rd_kafka_TopicDescription_t) -> Option<Rights> {
    // SAFETY: as above; the array lives as long as the description.
    let operations = unsafe {
        let mut count = 0;
        let operations = sys::rd_kafka_TopicDescription_authorized_operations(topic, &raw mut count);
        if operations.is_null() || count == 0 {
            return None;
        }
        slice::from_raw_parts(operations, count)
    };
    let read = operations.contains(&sys::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_READ);
    let write = operations.contains(&sys::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_WRITE);
    Some(Rights { read, write })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_that_are_away_are_asked_rarely_and_briefly() {
        let rhythms = [0, 1, 2, 3, 9].map(|unanswered| {
            let (patience, pause) = rhythm(unanswered);
            (patience.as_millis(), pause)
        });
        assert_eq!(rhythms, [(3_000, 0), (250, 2_000), (500, 4_000), (1_000, 4_000), (1_000, 4_000)]);
    }
}
