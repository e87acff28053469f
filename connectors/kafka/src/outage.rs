//! Brokers that are away while a job runs: one line in the log when that begins and one when it is over,
//! however many clients meet it.

use std::fmt::Display;

use millstream_stage::OpenContext;
use millstream_stage::time::{Nanos, Time};
use millstream_stage::trouble::Reporter;
use rdkafka::error::RDKafkaErrorCode;

use crate::client::{ClientError, Events};
use crate::lasting::Reminder;
use crate::retry::{ErrorClass, error_class};

/// Where one client of a job reports whether any broker answers it.
pub(crate) struct Outage {
    reporter: Reporter,
    failing: bool,
    // What the client has said of one broker, since any has answered.
    lost: Option<String>,
    reminder: Reminder,
}

impl Outage {
    /// Of these brokers.
    pub(crate) fn of(brokers: &str, cx: &OpenContext) -> Self {
        Self::new(cx.reporter_of(Self::subject(brokers)))
    }

    /// The name of these brokers in log lines and on the page.
    pub(crate) fn subject(brokers: &str) -> String {
        format!("Kafka at {brokers}")
    }

    fn new(reporter: Reporter) -> Self {
        Self { reporter, failing: false, lost: None, reminder: Reminder::default() }
    }

    /// The client has said this: it speaks of each broker that it loses, and then of that none is left.
    pub(crate) fn note(&mut self, nanos: Nanos, error: &ClientError, events: &Events) {
        if error.code == RDKafkaErrorCode::AllBrokersDown {
            self.failed(nanos, format_args!("no broker is reached{}", events.last()));
        } else if error_class(error.code) == ErrorClass::Passing && !self.failing {
            self.lost = Some(error.reason.clone());
        }
    }

    /// A question was not answered, for this reason.
    pub(crate) fn unanswered(&mut self, nanos: Nanos, code: RDKafkaErrorCode, events: &Events) {
        if error_class(code) == ErrorClass::Passing {
            self.failed(nanos, format_args!("no broker answers ({code}){}", events.last()));
        }
    }

    /// A broker has answered.
    pub(crate) fn answered(&mut self, nanos: Nanos) {
        self.failing = false;
        self.reporter.recovered(nanos);
        if let Some(reason) = self.lost.take()
            && self.reminder.is_due((nanos / 1_000_000) as Time)
        {
            tracing::warn!("one broker is not reached, and others are: {reason}");
        }
    }

    /// No broker is reached, for this reason.
    pub(crate) fn failed(&mut self, nanos: Nanos, why: impl Display) {
        (self.failing, self.lost) = (true, None);
        self.reporter.failed(nanos, why);
    }
}

#[cfg(test)]
mod tests {
    use millstream_stage::trouble::Troubles;

    use super::*;

    fn said(code: RDKafkaErrorCode) -> ClientError {
        ClientError { code, reason: "Connection refused".to_owned() }
    }

    #[test]
    fn a_broker_alone_is_lost_where_others_answer() {
        let (events, mut outage) = (Events::default(), Outage::new(Troubles::default().reporter("Kafka")));
        outage.note(0, &said(RDKafkaErrorCode::BrokerTransportFailure), &events);
        assert_eq!(outage.lost.as_deref(), Some("Connection refused"));
        outage.note(1, &said(RDKafkaErrorCode::AllBrokersDown), &events);
        outage.note(2, &said(RDKafkaErrorCode::BrokerTransportFailure), &events);
        assert!(outage.failing && outage.lost.is_none());
        outage.answered(3);
        assert!(!outage.failing);
        outage.unanswered(4, RDKafkaErrorCode::TopicAuthorizationFailed, &events);
        assert!(!outage.failing, "that is an answer");
        outage.unanswered(5, RDKafkaErrorCode::OperationTimedOut, &events);
        assert!(outage.failing);
    }
}
