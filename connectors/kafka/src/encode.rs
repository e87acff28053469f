//! The message that a record becomes.

use millstream_core::time::Time;

/// What a sink's mapping fills for one record. It comes empty and its memory is used again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    key: Vec<u8>,
    has_key: bool,
    value: Vec<u8>,
    partition: Option<i32>,
    time: Option<Time>,
}

impl Message {
    /// Where to append the value.
    pub fn value(&mut self) -> &mut Vec<u8> {
        &mut self.value
    }

    /// Where to append the key. A message whose key is never asked for has none.
    pub fn key(&mut self) -> &mut Vec<u8> {
        self.has_key = true;
        &mut self.key
    }

    /// Sends it to this partition, not to that of its key's hash (as Java producers compute it) or, without a key, to any.
    pub fn to_partition(&mut self, partition: i32) {
        self.partition = Some(partition);
    }

    /// Gives it this time stamp, in ms since 1970, and not that of its sending. Kafka refuses times that are further ahead than
    /// the topic's `message.timestamp.after.max.ms` (1 h by default), and its retention may delete old ones at once.
    pub fn at(&mut self, time: Time) {
        self.time = Some(time);
    }

    pub(crate) fn clear(&mut self) {
        self.key.clear();
        self.value.clear();
        (self.has_key, self.partition, self.time) = (false, None, None);
    }

    pub(crate) fn parts(&self) -> Parts<'_> {
        Parts {
            key: self.has_key.then_some(&self.key),
            value: &self.value,
            partition: self.partition,
            time: self.time,
        }
    }

    pub(crate) fn into_value(self) -> Vec<u8> {
        self.value
    }
}

/// A message as the client wants it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) key: Option<&'a Vec<u8>>,
    pub(crate) value: &'a [u8],
    pub(crate) partition: Option<i32>,
    pub(crate) time: Option<Time>,
}

impl Parts<'_> {
    /// What counts against the buffer's size.
    pub(crate) fn size(&self) -> usize {
        self.key.map_or(0, Vec::len) + self.value.len() + OVERHEAD
    }
}

/// What the client keeps about each message: without it, small messages would fill the memory behind our back.
pub(crate) const OVERHEAD: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_last_message_is_left() {
        let mut message = Message::default();
        message.key().extend_from_slice(b"k");
        message.value().extend_from_slice(b"v");
        message.to_partition(3);
        message.at(7);
        message.clear();
        assert_eq!(message, Message::default());
        assert_eq!(message.parts().key, None);
    }

    #[test]
    fn an_empty_key_is_a_key() {
        let mut message = Message::default();
        message.key();
        assert_eq!(message.parts().key, Some(&Vec::new()));
    }
}
