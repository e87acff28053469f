//! How a record type says which fields it wants, and takes their values.

use std::borrow::Cow;

use millstream_record::Record;
use millstream_stage::time::{MIN_TIME, Time};

use crate::bad::Bad;
use crate::cursor::{Kind, Slot};
use crate::text::unescape;
use crate::time::Times;
use crate::value::{FromValue, Value};

/// A record type that can be read from JSON objects. `#[derive(FromJson)]` writes it; the decoder looks for
/// these fields alone.
pub trait FromJson: Record {
    /// The fields, in the order that [`from_values`](Self::from_values) numbers them; 64 at most.
    const FIELDS: &'static [FieldSpec];

    /// Builds the record.
    ///
    /// # Errors
    /// A value that is missing or does not fit.
    fn from_values(values: &mut Values<'_>) -> Result<Self, Bad>;
}

/// One field of a record type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// Its key in the message, unless [`JsonOptions::fields`](crate::JsonOptions::fields) gives another.
    pub name: &'static str,
    /// Other keys that it may have; a message with two of them is refused.
    pub aliases: &'static [&'static str],
}

/// The wanted values of one message.
#[derive(Debug)]
pub struct Values<'a> {
    pub(crate) fields: &'static [FieldSpec],
    pub(crate) data: &'a [u8],
    pub(crate) slots: &'a [Slot],
    /// Bit n: whether the message has field n.
    pub(crate) seen: u64,
    pub(crate) times: &'a Times,
    pub(crate) event_time: Time,
}

impl<'a> Values<'a> {
    /// The value of field `index`.
    ///
    /// # Errors
    /// It is missing (and required), or does not fit.
    #[inline]
    pub fn get<T: FromValue>(&self, index: usize) -> Result<T, Bad> {
        match self.slot(index) {
            Some(slot) => T::from_value(self.value(index, slot)?).map_err(|reason| self.bad(index, reason)),
            None => T::missing().ok_or_else(|| self.required(index)),
        }
    }

    /// The value of field `index`, which is a time in the declared unit and range; it becomes the record's
    /// event time. Zero is no special value.
    ///
    /// # Errors
    /// It is missing, no time, or not plausible.
    #[inline]
    pub fn time(&mut self, index: usize) -> Result<Time, Bad> {
        self.optional_time(index)?.ok_or_else(|| self.required(index))
    }

    /// The same for a field that may be missing: the record then has no event time.
    ///
    /// # Errors
    /// It is no time, or not plausible.
    #[inline]
    pub fn optional_time(&mut self, index: usize) -> Result<Option<Time>, Bad> {
        let Some(slot) = self.slot(index) else { return Ok(None) };
        let value = self.value(index, slot)?;
        let time = self.times.read(&value).map_err(|reason| self.bad(index, reason))?;
        self.event_time = time;
        Ok(Some(time))
    }

    /// Whether this message has the field: slots of others hold what an earlier message left there.
    #[inline]
    fn has(&self, index: usize) -> bool {
        self.seen.checked_shr(index as u32).is_some_and(|seen| seen & 1 == 1)
    }

    #[inline]
    fn slot(&self, index: usize) -> Option<Slot> {
        let slot = self.slots[index];
        (self.has(index) && slot.kind != Kind::Null).then_some(slot)
    }

    #[inline(always)]
    fn value(&self, index: usize, slot: Slot) -> Result<Value<'a>, Bad> {
        let bytes = &self.data[slot.start as usize..slot.end as usize];
        // SAFETY: the walk over this very message has put the slot there, and has checked the text of strings
        // to be UTF-8; the rest of JSON is ASCII. Checking twice costs a tenth of all time.
        let text = unsafe { std::str::from_utf8_unchecked(bytes) };
        Ok(match slot.kind {
            Kind::Text => Value::Text(Cow::Borrowed(text)),
            Kind::Number => Value::Number(text),
            Kind::Escaped => {
                let text = unescape(bytes).map_err(|reason| self.bad(index, reason.into()))?;
                Value::Text(Cow::Owned(text))
            }
            Kind::Nested => Value::Nested(text),
            Kind::True | Kind::False | Kind::Null => Value::Bool(slot.kind == Kind::True),
        })
    }

    #[cold]
    fn bad(&self, index: usize, reason: String) -> Bad {
        Bad::new(reason).in_field(self.fields[index].name).at(self.slots[index].start as usize)
    }

    #[cold]
    fn required(&self, index: usize) -> Bad {
        let name = self.fields[index].name;
        if self.has(index) {
            return self.bad(index, "is null".into());
        }
        Bad::new("is missing").in_field(name)
    }

    pub(crate) fn new(
        fields: &'static [FieldSpec],
        data: &'a [u8],
        slots: &'a [Slot],
        seen: u64,
        times: &'a Times,
    ) -> Self {
        Self { fields, data, slots, seen, times, event_time: MIN_TIME }
    }
}
