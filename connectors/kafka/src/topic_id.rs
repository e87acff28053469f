//! Tells a topic from another one that was created under the same name after the first was deleted.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// The id that Kafka gives a topic when it is created, as the two halves of a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, millstream_record::Record)]
pub(crate) struct TopicId {
    /// The more significant half.
    pub(crate) high: i64,
    /// The less significant half.
    pub(crate) low: i64,
}

impl TopicId {
    /// `None` for the id that brokers before Kafka 2.8 give every topic.
    pub(crate) fn new(high: i64, low: i64) -> Option<Self> {
        (high != 0 || low != 0).then_some(Self { high, low })
    }
}

/// As Kafka's tools show it.
impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.high.to_be_bytes(), self.low.to_be_bytes()].concat();
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_shown_as_kafkas_tools_show_it() {
        let id = TopicId::new(1, 2).unwrap();
        assert_eq!(id.to_string(), "AAAAAAAAAAEAAAAAAAAAAg");
        assert_eq!(TopicId::new(0, 0), None);
    }
}
