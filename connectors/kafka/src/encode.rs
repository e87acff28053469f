//! The message that a record becomes.

use millstream_stage::time::Time;

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

    /// Sends it to this partition, not to that of its key's hash (as Java producers compute it) or, without a
    /// key, to any.
    pub fn to_partition(&mut self, partition: i32) {
        self.partition = Some(partition);
    }

    /// Gives it this time stamp, in ms since 1970, and not that of its sending. Kafka refuses times that are
    /// further ahead than the topic's `message.timestamp.after.max.ms` (1 h by default), and its retention
    /// may delete old ones at once.
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
            key: self.has_key.then_some(self.key.as_slice()),
            value: &self.value,
            partition: self.partition,
            time: self.time,
        }
    }

    pub(crate) fn with_value(mut self, value: Vec<u8>) -> Self {
        self.value = value;
        self
    }

    pub(crate) fn into_value(self) -> Vec<u8> {
        self.value
    }
}

/// A message as the client wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: &'a [u8],
    pub(crate) partition: Option<i32>,
    pub(crate) time: Option<Time>,
}

const KEY: u8 = 1;
const PARTITION: u8 = 2;
const TIME: u8 = 4;

impl<'a> Parts<'a> {
    /// What counts against the buffer's size.
    pub(crate) fn size(&self) -> usize {
        self.key.map_or(0, <[u8]>::len) + self.value.len() + OVERHEAD
    }

    /// Appends the form in which it waits for its transaction and lies in snapshots: what there is, a byte in
    /// which bit 0 stands for a key, 1 for a partition and 2 for a time; then these, then the value; numbers
    /// little-endian, bytes behind their length.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let flag = |there: bool, bit: u8| if there { bit } else { 0 };
        out.push(
            flag(self.key.is_some(), KEY)
                | flag(self.partition.is_some(), PARTITION)
                | flag(self.time.is_some(), TIME),
        );
        if let Some(key) = self.key {
            put(key, out);
        }
        out.extend(self.partition.iter().flat_map(|partition| partition.to_le_bytes()));
        out.extend(self.time.iter().flat_map(|time| time.to_le_bytes()));
        put(self.value, out);
    }

    /// Takes the next one off `bytes`; `None`, and `bytes` as they were, where there is no whole one.
    pub(crate) fn decode(bytes: &mut &'a [u8]) -> Option<Self> {
        let mut rest = *bytes;
        let [flags] = number(&mut rest)?;
        let key = if flags & KEY == 0 { None } else { Some(take(&mut rest)?) };
        let partition =
            if flags & PARTITION == 0 { None } else { Some(i32::from_le_bytes(number(&mut rest)?)) };
        let time = if flags & TIME == 0 { None } else { Some(Time::from_le_bytes(number(&mut rest)?)) };
        let value = take(&mut rest)?;
        *bytes = rest;
        Some(Self { key, value, partition, time })
    }

    /// As a message of its own.
    pub(crate) fn to_message(self) -> Message {
        Message {
            key: self.key.unwrap_or_default().to_vec(),
            has_key: self.key.is_some(),
            value: self.value.to_vec(),
            partition: self.partition,
            time: self.time,
        }
    }
}

fn put(bytes: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(bytes.len()).expect("the client takes no message of 4 GiB");
    out.extend(length.to_le_bytes());
    out.extend_from_slice(bytes);
}

fn number<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*number)
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(number(bytes)?);
    let (taken, rest) = bytes.split_at_checked(length as usize)?;
    *bytes = rest;
    Some(taken)
}

/// What the client keeps about each message: without it, small messages would fill the memory behind our
/// back.
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
        assert_eq!(message.parts().key, Some([].as_slice()));
    }
}
