//! Records: what they are, how they are encoded, what may change in them.
//!
//! A [`Record`] is a struct with an Avro schema and Avro's binary encoding, a [`Key`] is a record with a
//! stable hash, [`schema`] resolves data that was written with another version of a record's type. Every
//! crate of Millstream depends on this one, so the [`Error`] that all of them return is here too.

#[cfg(feature = "decimal")]
mod decimal;
pub mod error;
pub mod key;
pub mod key_group;
pub mod record;
pub mod schema;
pub mod varint;

pub use error::{Error, ErrorKind, Result};
pub use key::Key;
pub use key_group::KeyGroup;
pub use millstream_derive::{Key, Record};
pub use record::{Data, Record};
