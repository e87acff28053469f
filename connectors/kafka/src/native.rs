//! A consuming client whose errors all come to us.
//!
//! rdkafka's own consumer asks librdkafka for events in place of callbacks; then what is wrong with a
//! partition as a whole, such as a deleted topic, only ever shows as a line in the log, because batches of
//! messages are fetched past those events.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as sys;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::metadata::Metadata;
use rdkafka::types::{RDKafkaRespErr, RDKafkaType};

use crate::client::{Events, Peer};

/// A client for a [`Fetcher`](crate::fetch::Fetcher).
pub(crate) struct NativeConsumer(Client<Events>);

unsafe extern "C" fn on_error(
    _: *mut sys::rd_kafka_t,
    code: c_int,
    reason: *const c_char,
    events: *mut c_void,
) {
    let code = RDKafkaRespErr::try_from(code).unwrap_or(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN);
    // SAFETY: the context of the client that calls, and a C string.
    let (events, reason) = unsafe { (&*events.cast::<Events>(), CStr::from_ptr(reason)) };
    events.error(KafkaError::Global(code.into()), &reason.to_string_lossy());
}

unsafe extern "C" fn on_log(
    client: *const sys::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    text: *const c_char,
) {
    // SAFETY: the context of the client that calls, and C strings.
    let (events, facility, text) = unsafe {
        (&*sys::rd_kafka_opaque(client).cast::<Events>(), CStr::from_ptr(facility), CStr::from_ptr(text))
    };
    events.log(level_of(level), &facility.to_string_lossy(), &text.to_string_lossy());
}

// As in syslog.
fn level_of(level: c_int) -> RDKafkaLogLevel {
    match level {
        ..=3 => RDKafkaLogLevel::Error,
        4 => RDKafkaLogLevel::Warning,
        5 | 6 => RDKafkaLogLevel::Info,
        7.. => RDKafkaLogLevel::Debug,
    }
}

impl NativeConsumer {
    /// A client with these settings; connections follow in its own threads.
    ///
    /// # Errors
    /// When it does not accept its settings.
    pub(crate) fn new(config: &ClientConfig) -> KafkaResult<Self> {
        let native = config.create_native_config()?;
        // SAFETY: the settings are alive; `Client` makes its context, an `Events`, the argument of both
        // callbacks.
        unsafe {
            sys::rd_kafka_conf_set_error_cb(native.ptr(), Some(on_error));
            sys::rd_kafka_conf_set_log_cb(native.ptr(), Some(on_log));
        }
        Client::new(config, native, RDKafkaType::RD_KAFKA_CONSUMER, Events::reported()).map(Self)
    }

    /// The client itself.
    pub(crate) fn as_ptr(&self) -> *mut sys::rd_kafka_t {
        self.0.native_ptr()
    }

    /// The oldest offset of a partition and the one behind its newest message.
    ///
    /// # Errors
    /// When no broker answers in time.
    pub(crate) fn range(&self, topic: &str, partition: i32, timeout: Duration) -> KafkaResult<(i64, i64)> {
        self.0.fetch_watermarks(topic, partition, timeout)
    }

    /// The oldest offset of a partition that is being fetched and the one behind its newest message, as the
    /// last answer of its broker said. Sends no request.
    pub(crate) fn known_range(&self, topic: &str, partition: i32) -> Option<(i64, i64)> {
        let topic = CString::new(topic).ok()?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client and the name are alive, and there is room for both numbers.
        let code = unsafe {
            sys::rd_kafka_get_watermark_offsets(
                self.as_ptr(),
                topic.as_ptr(),
                partition,
                &raw mut low,
                &raw mut high,
            )
        };
        (code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some((low.max(0), high))
    }

    /// Stops or goes on fetching partitions. What was fetched of them and not taken yet is dropped, to be
    /// fetched again.
    ///
    /// # Errors
    /// When the client does not know one of them.
    pub(crate) fn pause(&self, partitions: &TopicPartitionList, paused: bool) -> KafkaResult<()> {
        // SAFETY: client and list are alive.
        let code = unsafe {
            if paused {
                sys::rd_kafka_pause_partitions(self.as_ptr(), partitions.ptr())
            } else {
                sys::rd_kafka_resume_partitions(self.as_ptr(), partitions.ptr())
            }
        };
        match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
            code => Err(KafkaError::Global(code.into())),
        }
    }
}

impl Peer for NativeConsumer {
    fn events(&self) -> &Events {
        self.0.context()
    }
    fn attend(&self, time: Duration) {
        let milliseconds = c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the client is alive.
        unsafe { sys::rd_kafka_poll(self.as_ptr(), milliseconds) };
    }
    fn metadata(&self, topic: &str, timeout: Duration) -> KafkaResult<Metadata> {
        self.0.fetch_metadata(Some(topic), timeout)
    }
}
