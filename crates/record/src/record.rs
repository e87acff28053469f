//! What can travel between stages and live in state: records with a codec (Avro binary) and a schema (Avro).
//!
//! `#[derive(Record)]` writes the codec of a struct (an Avro record) or of an enum without fields (an Avro
//! enum). A field of `Vec<u8>` is an array of numbers; with `#[record(bytes)]` it is Avro `bytes`.
//!
//! What lives in state outlives the program that wrote it. A later version of the job reads it by
//! [`crate::schema`]'s rules: fields may be added (`#[record(default = 0)]`; options, lists and maps are
//! empty by themselves), removed, renamed (`#[record(alias = "old")]`) and widened (`i32` to `i64` to `f64`);
//! variants may be added, and removed where another is marked `#[record(default)]`.

use std::any::TypeId;
use std::collections::BTreeMap;

use compact_str::CompactString;

use crate::{Error, Result, varint};

/// What a chain can hand from one operator to the next.
pub trait Data: Clone + Send + 'static {}
impl<T: Clone + Send + 'static> Data for T {}

/// Data with one codec for edges and for state. `Sync`, because a snapshot is written out while the pipeline
/// goes on reading.
pub trait Record: Data + Sync {
    /// The Avro schema as JSON. A named type that `names` has already seen is given by its name alone.
    fn schema(names: &mut Names) -> String;
    /// Appends the Avro binary form.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads one value and moves `bytes` behind it.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) when the bytes end too early or are none of this type.
    fn decode(bytes: &mut &[u8]) -> Result<Self>;
    /// What a field of this type is, as JSON, in data that was written before there was such a field, unless
    /// the field says otherwise.
    fn natural_default() -> Option<String> {
        None
    }
    /// How many records this stands for in metrics: 1, but for a bundle of messages.
    fn weight(&self) -> usize {
        1
    }
    /// Bytes that the value holds outside of itself.
    fn heap_size(&self) -> usize {
        0
    }
}

/// The named types that a schema has defined so far: Avro wants each defined once.
#[derive(Debug, Default)]
pub struct Names {
    seen: BTreeMap<String, Option<TypeId>>,
    bare: bool,
}

impl Names {
    /// For a schema without the defaults of its fields: what a default itself is written by.
    pub(crate) fn bare() -> Self {
        Self { seen: BTreeMap::new(), bare: true }
    }

    /// Whether fields name their defaults.
    pub fn with_defaults(&self) -> bool {
        !self.bare
    }

    /// Whether this is the first time that the name is seen: for names that belong to one type alone.
    pub fn first(&mut self, name: &str) -> bool {
        self.seen.insert(name.to_owned(), None).is_none()
    }

    /// The name of a type within this schema, and whether it is seen for the first time. A second type of the
    /// same name (from another module) gets a number: `Total__2`.
    pub fn of<T: 'static>(&mut self, plain: &str) -> (String, bool) {
        let (mut name, mut number) = (plain.to_owned(), 1);
        loop {
            match self.seen.get(&name) {
                None => {
                    self.seen.insert(name.clone(), Some(TypeId::of::<T>()));
                    return (name, true);
                }
                Some(known) if *known == Some(TypeId::of::<T>()) => return (name, false),
                Some(_) => {
                    number += 1;
                    name = format!("{plain}__{number}");
                }
            }
        }
    }
}

/// The whole Avro schema of a record type, as JSON.
pub fn schema_of<T: Record>() -> String {
    T::schema(&mut Names::default())
}

/// The Avro binary form of a record.
pub fn to_bytes<T: Record>(record: &T) -> Vec<u8> {
    let mut out = Vec::new();
    record.encode(&mut out);
    out
}

/// A record from its Avro binary form, which must fill the bytes.
///
/// # Errors
/// [`ErrorKind::Data`](crate::ErrorKind::Data) when the bytes are none of this type.
pub fn from_bytes<T: Record>(mut bytes: &[u8]) -> Result<T> {
    let record = T::decode(&mut bytes)?;
    if bytes.is_empty() {
        Ok(record)
    } else {
        Err(Error::data(format!("{} bytes follow a record", bytes.len())))
    }
}

fn decode_varint(bytes: &mut &[u8]) -> Result<u64> {
    varint::take(bytes).ok_or_else(|| Error::data("a number ends too early or is longer than 10 bytes"))
}

pub(crate) fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (taken, rest) = bytes
        .split_at_checked(length)
        .ok_or_else(|| Error::data(format!("{length} bytes wanted, {} left", bytes.len())))?;
    *bytes = rest;
    Ok(taken)
}

impl Record for i64 {
    fn schema(_: &mut Names) -> String {
        "\"long\"".into()
    }
    fn encode(&self, out: &mut Vec<u8>) {
        varint::put(out, ((self << 1) ^ (self >> 63)) as u64);
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let value = decode_varint(bytes)?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

impl Record for u64 {
    fn schema(_: &mut Names) -> String {
        "\"long\"".into()
    }
    // Avro has no unsigned numbers: the bits travel as a long.
    fn encode(&self, out: &mut Vec<u8>) {
        (*self as i64).encode(out);
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        Ok(i64::decode(bytes)? as u64)
    }
}

macro_rules! as_long {
    ($($number:ty => $schema:literal),*) => {$(
        impl Record for $number {
            fn schema(_: &mut Names) -> String {
                $schema.into()
            }
            fn encode(&self, out: &mut Vec<u8>) {
                i64::from(*self).encode(out);
            }
            fn decode(bytes: &mut &[u8]) -> Result<Self> {
                let value = i64::decode(bytes)?;
                Self::try_from(value).map_err(|_| Error::data(format!("{value} is no {}", stringify!($number))))
            }
        }
    )*};
}
as_long!(i32 => "\"int\"", u32 => "\"long\"", u16 => "\"int\"", u8 => "\"int\"");

impl Record for f64 {
    fn schema(_: &mut Names) -> String {
        "\"double\"".into()
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let raw = take(bytes, 8)?;
        Ok(Self::from_le_bytes(raw.try_into().expect("take returns 8 bytes")))
    }
}

impl Record for bool {
    fn schema(_: &mut Names) -> String {
        "\"boolean\"".into()
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        match take(bytes, 1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            other => Err(Error::data(format!("{other:?} is no boolean"))),
        }
    }
}

impl Record for () {
    fn natural_default() -> Option<String> {
        Some("null".into())
    }
    fn schema(_: &mut Names) -> String {
        "\"null\"".into()
    }
    fn encode(&self, _: &mut Vec<u8>) {}
    fn decode(_: &mut &[u8]) -> Result<Self> {
        Ok(())
    }
}

/// Appends an Avro `bytes` (or `string`) value: length, then bytes. For `#[record(bytes)]`.
pub fn encode_bytes(value: &[u8], out: &mut Vec<u8>) {
    (value.len() as i64).encode(out);
    out.extend_from_slice(value);
}

/// Reads what [`encode_bytes`] wrote.
///
/// # Errors
/// [`ErrorKind::Data`](crate::ErrorKind::Data) when the bytes end too early.
pub fn decode_bytes<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8]> {
    let length = i64::decode(bytes)?;
    let length = usize::try_from(length).map_err(|_| Error::data(format!("{length} is no length")))?;
    take(bytes, length)
}

pub(crate) fn decode_text<'a>(bytes: &mut &'a [u8]) -> Result<&'a str> {
    std::str::from_utf8(decode_bytes(bytes)?)
        .map_err(|error| Error::data("a string is not UTF-8").caused_by(error))
}

impl Record for String {
    fn schema(_: &mut Names) -> String {
        "\"string\"".into()
    }
    fn encode(&self, out: &mut Vec<u8>) {
        encode_bytes(self.as_bytes(), out);
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        decode_text(bytes).map(Into::into)
    }
    fn heap_size(&self) -> usize {
        self.capacity()
    }
}

impl Record for CompactString {
    fn schema(_: &mut Names) -> String {
        "\"string\"".into()
    }
    fn encode(&self, out: &mut Vec<u8>) {
        encode_bytes(self.as_bytes(), out);
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        decode_text(bytes).map(Into::into)
    }
    fn heap_size(&self) -> usize {
        if self.is_heap_allocated() { self.capacity() } else { 0 }
    }
}

impl<T: Record> Record for Option<T> {
    fn natural_default() -> Option<String> {
        Some("null".into())
    }
    fn schema(names: &mut Names) -> String {
        format!("[\"null\",{}]", T::schema(names))
    }
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            None => 0_i64.encode(out),
            Some(value) => {
                1_i64.encode(out);
                value.encode(out);
            }
        }
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        match i64::decode(bytes)? {
            0 => Ok(None),
            1 => T::decode(bytes).map(Some),
            other => Err(Error::data(format!("an optional value has no branch {other}"))),
        }
    }
    fn heap_size(&self) -> usize {
        self.as_ref().map_or(0, Record::heap_size)
    }
}

impl<T: Record> Record for Vec<T> {
    fn natural_default() -> Option<String> {
        Some("[]".into())
    }
    fn schema(names: &mut Names) -> String {
        format!("{{\"type\":\"array\",\"items\":{}}}", T::schema(names))
    }
    fn encode(&self, out: &mut Vec<u8>) {
        if !self.is_empty() {
            (self.len() as i64).encode(out);
            self.iter().for_each(|item| item.encode(out));
        }
        0_i64.encode(out);
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let mut items = Self::new();
        loop {
            let count = decode_block(bytes)?;
            if count == 0 {
                return Ok(items);
            }
            for _ in 0..count {
                items.push(T::decode(bytes)?);
            }
        }
    }
    fn heap_size(&self) -> usize {
        self.capacity() * size_of::<T>() + self.iter().map(Record::heap_size).sum::<usize>()
    }
}

// Avro arrays come in blocks; a negative count is followed by the block's size in bytes.
pub(crate) fn decode_block(bytes: &mut &[u8]) -> Result<u64> {
    let count = i64::decode(bytes)?;
    if count < 0 {
        i64::decode(bytes)?;
    }
    Ok(count.unsigned_abs())
}

macro_rules! tuple {
    ($name:literal, $($index:tt: $member:ident),*) => {
        impl<$($member: Record),*> Record for ($($member,)*) {
            fn schema(names: &mut Names) -> String {
                let fields = [$(format!("{{\"name\":\"f{}\",\"type\":{}}}", $index, $member::schema(names))),*];
                // Avro has no anonymous records: the name tells tuples of different members apart.
                let fields = fields.join(",");
                let name = format!("{}_{:x}", $name, xxhash_rust::xxh3::xxh3_64(fields.as_bytes()));
                if !names.first(&name) {
                    return format!("\"{name}\"");
                }
                format!("{{\"type\":\"record\",\"name\":\"{name}\",\"fields\":[{fields}]}}")
            }
            fn encode(&self, out: &mut Vec<u8>) {
                $(self.$index.encode(out);)*
            }
            fn decode(bytes: &mut &[u8]) -> Result<Self> {
                Ok(($($member::decode(bytes)?,)*))
            }
            fn heap_size(&self) -> usize {
                0 $(+ self.$index.heap_size())*
            }
        }
    };
}
tuple!("Pair", 0: A, 1: B);
tuple!("Triple", 0: A, 1: B, 2: C);
tuple!("Quadruple", 0: A, 1: B, 2: C, 3: D);

// As an array of pairs: Avro's own maps have text keys only.
impl<K: Record + Ord, V: Record> Record for BTreeMap<K, V> {
    fn natural_default() -> Option<String> {
        Some("[]".into())
    }
    fn schema(names: &mut Names) -> String {
        Vec::<(K, V)>::schema(names)
    }
    fn encode(&self, out: &mut Vec<u8>) {
        if !self.is_empty() {
            (self.len() as i64).encode(out);
        }
        for (key, value) in self {
            key.encode(out);
            value.encode(out);
        }
        0_i64.encode(out);
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        Vec::<(K, V)>::decode(bytes).map(|pairs| pairs.into_iter().collect())
    }
    fn heap_size(&self) -> usize {
        self.iter().map(|(key, value)| size_of::<(K, V)>() + key.heap_size() + value.heap_size()).sum()
    }
}
