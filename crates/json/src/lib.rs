//! JSON messages to records: strict about the message, fast about the fields that the record type names.
//!
//! [`JsonDecoder`] is made for a record type with `#[derive(FromJson)]` and reads one object per message.
//!
//! **All of a message is checked**, also what nobody asks for: text that is cut off, anything but white space
//! behind the object, bytes that are not UTF-8, bad escapes and bad numbers are refused, with the byte where
//! they are. Nesting may be 127 levels deep, objects may be of any size; neither stack nor memory grows with
//! what a message holds.
//!
//! A byte order mark before the object is skipped. A message that is something else (CSV, UTF-16, gzip, a
//! schema registry's frame) says so in its reason, and one that lacks a required field names the keys that it
//! has.
//!
//! **Fields**
//! - Keys that the record type does not name are skipped. Of keys that it names, none may come twice (nor two
//!   names of one field): which one is meant cannot be known. Repeated keys that nobody asks for are no
//!   concern.
//! - `Option` fields take missing values and `null` as `None`, fields marked `default` as their default;
//!   others are required.
//! - Number fields take numbers, and strings that hold a JSON number, where nothing is lost: `15`, `"15"` and
//!   `1.5e1` are 15, `1.5` and `300` are no `u8`. `f64` rounds, as doubles do.
//! - Text fields take strings, and numbers: whole ones in plain digits however they are written (`42`, `42.0`
//!   and `4.2e1` are `"42"`, the same id), others as they came: `1.50` is `"1.50"`.
//! - Enums without fields take the names of their variants.
//! - The field marked `time` becomes the event time; it is declared in seconds, milliseconds or ISO-8601, and
//!   refused where it is not plausible. See [`JsonOptions`].
//!
//! **What differs from `serde_json`.** Half a surrogate pair (`\ud83d`) in a value or key that nobody asks
//! for is skipped: RFC 8259 allows it, and texts that a browser has cut off have it. In a wanted field it is
//! refused, as is a number too large for a double. Numbers of any size are skipped where nobody asks for
//! them.

mod bad;
mod cursor;
mod decoder;
mod keys;
mod nested;
mod number;
mod options;
mod quick;
mod record;
mod scan;
mod text;
mod time;
mod value;
mod walk;

pub use bad::Bad;
pub use decoder::{Advice, JsonDecoder};
pub use millstream_derive::FromJson;
pub use options::JsonOptions;
pub use record::{FieldSpec, FromJson, Values};
pub use time::TimeUnit;
pub use value::{FromValue, Value, unfit};
