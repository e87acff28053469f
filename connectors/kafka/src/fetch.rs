//! Messages in whole batches: the one call of librdkafka for which there is no safe wrapper.
//!
//! Handing out one message per call costs half as much again.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};
use std::slice;
use std::task::Waker;

use millstream_stage::time::{MIN_TIME, Time};
use rdkafka::bindings as sys;
use rdkafka::error::RDKafkaErrorCode;

use crate::identity::Identity;
use crate::native::NativeConsumer;
use crate::partition::Partition;
use crate::waking::WakingQueue;

/// Tells topics of one [`Fetcher`] apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TopicHandle(NonNull<sys::rd_kafka_topic_t>);

// SAFETY: only compared; librdkafka's handles may be used from any thread.
unsafe impl Send for TopicHandle {}

/// Fetches partitions of its own choice into one queue, without a consumer group.
pub(crate) struct Fetcher {
    topics: BTreeMap<String, TopicHandle>,
    started: Vec<(TopicHandle, i32)>,
    batch: Vec<*mut sys::rd_kafka_message_t>,
    messages: WakingQueue,
    events: WakingQueue,
    identity: Identity,
    // Last: the others must go before the client does.
    client: NativeConsumer,
}

// SAFETY: handles of librdkafka may be used from any thread, and `batch` is empty between calls.
unsafe impl Send for Fetcher {}

impl Fetcher {
    /// A fetcher that wakes a subtask whenever there is something new.
    pub(crate) fn new(client: NativeConsumer, waker: &Waker) -> Self {
        // SAFETY: the client is alive.
        let queue = unsafe { sys::rd_kafka_queue_new(client.as_ptr()) };
        Self {
            topics: BTreeMap::new(),
            started: Vec::new(),
            batch: Vec::new(),
            messages: WakingQueue::new(queue, waker),
            events: WakingQueue::of_events(client.as_ptr(), waker),
            identity: Identity::new(&client, waker),
            client,
        }
    }

    /// The client.
    pub(crate) fn client(&self) -> &NativeConsumer {
        &self.client
    }

    /// Whether topics are still those whose offsets positions count.
    pub(crate) fn identity(&mut self) -> &mut Identity {
        &mut self.identity
    }

    /// Asks for the ids of topics where that is due.
    pub(crate) fn ask_for_ids<'a>(
        &mut self,
        now: Time,
        partitions: impl Iterator<Item = &'a Partition> + Clone,
    ) {
        self.identity.ask(&self.client, now, partitions);
    }

    /// How many events of the client itself wait to be looked at.
    pub(crate) fn waiting_events(&self) -> usize {
        self.events.len()
    }

    /// Starts fetching a partition from an offset.
    ///
    /// # Errors
    /// The client's reason, which lies in the arguments.
    pub(crate) fn start(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<TopicHandle, RDKafkaErrorCode> {
        let handle = self.topic(topic)?;
        // SAFETY: topic and queue are alive.
        let code = unsafe {
            sys::rd_kafka_consume_start_queue(handle.0.as_ptr(), partition, offset, self.messages.as_ptr())
        };
        if code != 0 {
            return Err(last_error());
        }
        self.started.push((handle, partition));
        Ok(handle)
    }

    fn topic(&mut self, topic: &str) -> Result<TopicHandle, RDKafkaErrorCode> {
        if let Some(handle) = self.topics.get(topic) {
            return Ok(*handle);
        }
        let name = CString::new(topic).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
        // SAFETY: the client is alive; without settings of its own a topic takes those of the client.
        let handle = unsafe { sys::rd_kafka_topic_new(self.client.as_ptr(), name.as_ptr(), ptr::null_mut()) };
        let handle = TopicHandle(NonNull::new(handle).ok_or_else(last_error)?);
        self.topics.insert(topic.to_owned(), handle);
        Ok(handle)
    }

    /// Stops fetching a partition. The client's main thread, which does little else, is told and answers.
    pub(crate) fn stop(&mut self, topic: TopicHandle, partition: i32) {
        let Some(index) = self.started.iter().position(|started| *started == (topic, partition)) else {
            return;
        };
        self.started.swap_remove(index);
        // SAFETY: the topic is alive.
        unsafe { sys::rd_kafka_consume_stop(topic.0.as_ptr(), partition) };
    }

    /// Takes up to `max` messages that are there; never waits.
    pub(crate) fn fetch(&mut self, max: usize) -> Messages<'_> {
        self.batch.clear();
        self.batch.reserve(max);
        // SAFETY: the vector has room for `max` pointers, of which the call writes as many as it returns.
        unsafe {
            let queue = self.messages.as_ptr();
            let count = sys::rd_kafka_consume_batch_queue(queue, 0, self.batch.as_mut_ptr(), max);
            self.batch.set_len(usize::try_from(count).unwrap_or(0));
        }
        Messages { batch: &mut self.batch }
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        while let Some((topic, partition)) = self.started.last().copied() {
            self.stop(topic, partition);
        }
        for topic in self.topics.values() {
            // SAFETY: made by `rd_kafka_topic_new`, and destroyed once.
            unsafe { sys::rd_kafka_topic_destroy(topic.0.as_ptr()) };
        }
    }
}

fn last_error() -> RDKafkaErrorCode {
    // SAFETY: reads a thread-local number.
    unsafe { sys::rd_kafka_last_error() }.into()
}

/// What one call fetched; given back to the client on drop.
pub(crate) struct Messages<'a> {
    batch: &'a mut Vec<*mut sys::rd_kafka_message_t>,
}

impl Messages<'_> {
    /// All of them, in order per partition.
    pub(crate) fn as_slice(&self) -> &[Message<'_>] {
        // SAFETY: a `Message` is nothing but a reference; these pointers are not null and valid until `drop`.
        unsafe { slice::from_raw_parts(self.batch.as_ptr().cast(), self.batch.len()) }
    }
}

impl Drop for Messages<'_> {
    fn drop(&mut self) {
        for message in self.batch.drain(..) {
            // SAFETY: given to us by the client, and destroyed once.
            unsafe { sys::rd_kafka_message_destroy(message) };
        }
    }
}

/// A message, or an error in place of one.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Message<'a>(&'a sys::rd_kafka_message_t);

impl<'a> Message<'a> {
    /// What went wrong, if it is no message.
    pub(crate) fn error(self) -> Option<RDKafkaErrorCode> {
        (self.0.err != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| self.0.err.into())
    }

    /// The client's text for the error.
    pub(crate) fn reason(self) -> String {
        // SAFETY: the text lives as long as the message.
        let text = unsafe { sys::rd_kafka_message_errstr(self.0) };
        if text.is_null() {
            return String::new();
        }
        // SAFETY: C strings end in a zero.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }

    /// Whether it comes from, or is about, this partition.
    pub(crate) fn is_of(self, topic: TopicHandle, partition: i32) -> bool {
        self.0.partition == partition && ptr::eq(self.0.rkt, topic.0.as_ptr())
    }

    /// Where it stands in its partition.
    pub(crate) fn offset(self) -> i64 {
        self.0.offset
    }

    /// Whether it has no value at all, which says in a compacted topic that its key is deleted. An empty
    /// value is one.
    pub(crate) fn is_tombstone(self) -> bool {
        self.0.payload.is_null()
    }

    /// Its value; nothing for a tombstone.
    pub(crate) fn payload(self) -> &'a [u8] {
        if self.0.payload.is_null() {
            return &[];
        }
        // SAFETY: the client's pair of address and length, alive as long as the message.
        unsafe { slice::from_raw_parts(self.0.payload.cast(), self.0.len) }
    }

    /// Its own time stamp, [`MIN_TIME`] where it has none.
    pub(crate) fn time(self) -> Time {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive.
        let time = unsafe { sys::rd_kafka_message_timestamp(self.0, &raw mut kind) };
        if kind == sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE { MIN_TIME } else { time }
    }
}
