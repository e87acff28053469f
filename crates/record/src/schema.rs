//! How state that an older version of a job wrote is read by a newer one: Avro's resolution of a writer's
//! schema to a reader's.
//!
//! [`Resolution::between`] compares two schemas once and answers two questions. [`Resolution::compatibility`] says
//! what a user wants to know before anything is restored: the same, migrates (how), or incompatible (why, and
//! what to do about it). [`Resolution::migrate`] turns one datum of the writer's into one of the reader's,
//! bytes to bytes, by a small program that was compiled from the pair.
//!
//! The rules are those of the Avro specification ("Schema Resolution"), with two additions. The names of
//! tuples are generated from their members (`Pair_<hash>`), so tuples are compared by their members alone.
//! And a union that is read as a plain type is accepted with a warning: a value of a branch that has no place
//! any more fails when it is met.
//!
//! ```
//! use millstream_record::Record;
//! use millstream_record::record::{from_bytes, schema_of, to_bytes};
//! use millstream_record::schema::Resolution;
//!
//! mod before {
//!     #[derive(Clone, millstream_record::Record)]
//!     pub struct Total {
//!         pub count: i32,
//!     }
//! }
//! #[derive(Clone, Debug, PartialEq, Record)]
//! struct Total {
//!     count: i64,
//!     #[record(default = 1.5)]
//!     price: f64,
//! }
//!
//! let resolution = Resolution::between(&schema_of::<before::Total>(), &schema_of::<Total>())?;
//! assert_eq!(resolution.compatibility().to_string(), "migrates: `count`: int widened to long; `price`: added with default 1.5");
//! let mut bytes = Vec::new();
//! resolution.migrate(&to_bytes(&before::Total { count: 7 }), &mut bytes)?;
//! assert_eq!(from_bytes::<Total>(&bytes)?, Total { count: 7, price: 1.5 });
//! # Ok::<(), millstream_record::Error>(())
//! ```

mod compatibility;
mod datum;
mod parse;
mod program;
mod record;
mod resolve;
#[doc(hidden)]
pub mod write;

pub use compatibility::{Compatibility, Note, NoteKind};

use program::Program;

use crate::{Error, Result};

/// How data of a writer's schema is read by a reader's.
#[derive(Debug)]
pub struct Resolution {
    changes: Vec<Note>,
    refusals: Vec<Note>,
    program: Program,
}

impl Resolution {
    /// Compares two schemas, both Avro as JSON. Whether they fit is the compatibility's matter.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) when one of them is no schema that Millstream writes.
    pub fn between(writer: &str, reader: &str) -> Result<Self> {
        let writer =
            parse::parse(writer).map_err(|error| error.in_context("the schema of the stored state"))?;
        let reader =
            parse::parse(reader).map_err(|error| error.in_context("the schema of the job's state"))?;
        Ok(resolve::resolve(writer, &reader))
    }

    /// The same, but a change of what this field of the datum holds is refused. For the key of keyed state:
    /// its bytes choose the key group, so that state under a changed key would be where no record looks for
    /// it.
    #[must_use]
    pub fn keeping(mut self, field: &str) -> Self {
        let changes =
            self.changes.iter().filter(|note| note.is_within(field) && note.kind != NoteKind::Equal);
        self.refusals.extend(changes.map(|note| Note {
            text: format!("{}: a key must stay what it is, or its records no longer find it", note.text),
            ..note.clone()
        }));
        self
    }

    /// What becomes of the data.
    pub fn compatibility(&self) -> Compatibility {
        Compatibility::of(self.changes.clone(), self.refusals.clone())
    }

    /// What becomes of one field of the datum.
    pub fn compatibility_of(&self, field: &str) -> Compatibility {
        let within = |notes: &[Note]| notes.iter().filter(|note| note.is_within(field)).cloned().collect();
        Compatibility::of(within(&self.changes), within(&self.refusals))
    }

    /// Whether data may be handed on as it is.
    pub fn is_same(&self) -> bool {
        self.changes.is_empty() && self.refusals.is_empty()
    }

    /// Appends the reader's form of one datum, which must fill `entry`.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) when the schemas are incompatible, when this datum has no
    /// place in the reader's schema (the compatibility warned of it), or when the bytes are none of the writer's.
    pub fn migrate(&self, entry: &[u8], out: &mut Vec<u8>) -> Result<()> {
        if !self.refusals.is_empty() {
            return Err(Error::data(self.compatibility().to_string()));
        }
        if self.changes.is_empty() {
            out.extend_from_slice(entry);
            return Ok(());
        }
        self.program.run(entry, out)
    }
}

/// A record schema's fields in order, each with the JSON of its default; none for any other schema.
///
/// # Errors
/// [`ErrorKind::Data`](crate::ErrorKind::Data) when it is no schema that Millstream writes.
pub fn fields(schema: &str) -> Result<Vec<(String, Option<String>)>> {
    let schema = parse::parse(schema)?;
    let default = |field: &parse::Field| field.default.as_ref().map(ToString::to_string);
    Ok(schema.root_fields().iter().map(|field| (field.name.clone(), default(field))).collect())
}
