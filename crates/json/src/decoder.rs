//! The decoder: messages in, records or dead letters out.

use std::marker::PhantomData;

use millstream_record::Result;
use millstream_stage::Rows;
use millstream_stage::decode::{BYTE_ORDER_MARK, Decoder, Refused, Shape};
use millstream_stage::raw::RawBatch;
use millstream_stage::time::{MIN_TIME, PlausibleTimes, Time};

use crate::bad::Bad;
use crate::cursor::{Cursor, Slot};
use crate::keys::Keys;
use crate::options::JsonOptions;
use crate::record::{FromJson, Values};
use crate::time::Times;
use crate::walk::{names, walk};

/// Reads one JSON object per message into a record type: see the [crate's documentation](crate) for what is
/// accepted.
///
/// ```
/// use millstream_record::Record;
/// use millstream_json::{FromJson, JsonDecoder, JsonOptions};
///
/// #[derive(Clone, Debug, PartialEq, Record, FromJson)]
/// struct Click {
///     #[json(name = "userId", alias = "user_id")]
///     user: String,
///     #[json(time)]
///     timestamp: i64,
/// }
///
/// let mut decoder = JsonDecoder::<Click>::new(&JsonOptions::default())?;
/// let now = 1_511_700_000_000;
/// let message = br#"{"user_id": 42, "page": "/cart", "timestamp": 1511658000000}"#;
/// let (click, event_time) = decoder.decode_message(message, now).unwrap();
/// assert_eq!(click, Click { user: "42".into(), timestamp: 1_511_658_000_000 });
/// assert_eq!(event_time, click.timestamp);
///
/// let bad = decoder.decode_message(br#"{"userId": "a", "timestamp": "soon"}"#, now).unwrap_err();
/// assert_eq!(bad.to_string(), "field timestamp: wants milliseconds since 1970, has \"soon\", at byte 30");
/// # Ok::<(), millstream_record::Error>(())
/// ```
#[derive(Debug)]
pub struct JsonDecoder<T> {
    keys: Keys,
    /// One per field, and one for values that nobody wants.
    slots: Box<[Slot]>,
    times: Times,
    plausible: PlausibleTimes,
    advice: Option<Advice>,
    record: PhantomData<fn() -> T>,
}

/// What to say to a message that lacks a field, from the keys that it has.
pub type Advice = fn(&[String]) -> Option<&'static str>;

impl<T> Clone for JsonDecoder<T> {
    fn clone(&self) -> Self {
        Self { keys: self.keys.clone(), slots: self.slots.clone(), record: PhantomData, ..*self }
    }
}

impl<T: FromJson> JsonDecoder<T> {
    /// A decoder by these options.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when the options name fields
    /// that the record type does not have, or give two fields the same key.
    pub fn new(options: &JsonOptions) -> Result<Self> {
        let wanted = options.keys(T::FIELDS)?;
        let plausible = PlausibleTimes { earliest: options.earliest, max_ahead: options.max_ahead };
        Ok(Self {
            keys: Keys::new(wanted.into_iter(), T::FIELDS.len() as u8),
            slots: vec![Slot::default(); T::FIELDS.len() + 1].into(),
            times: Times { unit: options.time_unit, plausible: plausible.at(0) },
            plausible,
            advice: None,
            record: PhantomData,
        })
    }

    /// Adds advice to the reason for which a message is refused that lacks a field: what the function says to
    /// the message's keys.
    #[must_use]
    pub fn with_advice(self, advice: Advice) -> Self {
        Self { advice: Some(advice), ..self }
    }

    /// One message and its event time ([`MIN_TIME`] where the record has none). It is copied: a whole
    /// [`RawBatch`] is faster.
    ///
    /// # Errors
    /// Why it is no such record.
    pub fn decode_message(&mut self, message: &[u8], now: Time) -> Result<(T, Time), Bad> {
        let mut batch = RawBatch::new("".into());
        batch.push(message, 0, MIN_TIME);
        let (padded, length) = batch.padded(0);
        self.times.plausible = self.plausible.at(now);
        let mut rows = Rows::default();
        if let Err(bad) = self.one(padded, length, &mut rows) {
            self.once_more(padded, length, &mut rows, bad)?;
        }
        Ok((rows.rec.remove(0), rows.ts[0]))
    }

    /// The same for a message that was refused: without its byte order mark, if it has one, it may be a good
    /// one.
    #[cold]
    fn once_more(&mut self, padded: &[u8], length: usize, rows: &mut Rows<T>, bad: Bad) -> Result<(), Bad> {
        let message = &padded[..length];
        if message.starts_with(BYTE_ORDER_MARK) {
            let text = &padded[BYTE_ORDER_MARK.len()..];
            return self.one(text, length - BYTE_ORDER_MARK.len(), rows);
        }
        Err(with_hint(bad, padded, length, self.advice))
    }

    /// Appends one message, at the start of a buffer that goes on for
    /// [`PADDING`](millstream_stage::raw::PADDING) bytes behind it.
    #[inline]
    fn one(&mut self, padded: &[u8], length: usize, rows: &mut Rows<T>) -> Result<(), Bad> {
        let mut cursor = Cursor::new(padded, length);
        let seen = walk(&mut cursor, &mut self.keys, &mut self.slots, T::FIELDS)?;
        let mut values = Values::new(T::FIELDS, padded, &self.slots, seen, &self.times);
        rows.rec.push(T::from_values(&mut values)?);
        rows.ts.push(values.event_time);
        Ok(())
    }
}

// What the message is instead, or which keys it has where a wanted one is missing.
fn with_hint(bad: Bad, padded: &[u8], length: usize, advice: Option<Advice>) -> Bad {
    match Shape::of(&padded[..length]) {
        Some(Shape::Json) if bad.field().is_some() && bad.position().is_none() => {
            let names = names(padded, length);
            let advice = advice.and_then(|advice| advice(&names));
            match (names.join(", "), advice) {
                (names, _) if names.is_empty() => bad,
                (names, None) => bad.with_hint(format_args!("the message has {names}")),
                (names, Some(advice)) => bad.with_hint(format_args!("the message has {names}: {advice}")),
            }
        }
        None | Some(Shape::Json) => bad,
        Some(shape) => bad.with_hint(shape),
    }
}

impl<T: FromJson> Decoder<T> for JsonDecoder<T> {
    fn decode(&mut self, batch: &RawBatch, now: Time, rows: &mut Rows<T>, refused: &mut Refused<'_>) {
        self.times.plausible = self.plausible.at(now);
        rows.rec.reserve(batch.len());
        rows.ts.reserve(batch.len());
        for (index, message) in batch.iter().enumerate() {
            let (padded, length) = batch.padded(index);
            let decoded = self.one(padded, length, rows);
            let decoded = decoded.or_else(|bad| self.once_more(padded, length, rows, bad));
            if let Err(bad) = decoded {
                refused.push(message, bad);
            }
        }
    }

    fn fresh(&self) -> Box<dyn Decoder<T>> {
        Box::new(self.clone())
    }
}
