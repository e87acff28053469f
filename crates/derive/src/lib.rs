//! The derives of Millstream: `Record` (Avro binary codec and schema), `Key` (stable hash) and `FromJson`
//! (fields of JSON objects).

use proc_macro::TokenStream;
use quote::quote;
use syn::{DeriveInput, parse_macro_input};

mod json;
mod key;
mod path;
mod record;
mod record_marks;

/// Writes `Record` for a struct with named fields or an enum without fields.
///
/// Marks of fields: `#[record(bytes)]` on a `Vec<u8>` or `Box<[u8]>` makes it Avro `bytes` instead of an
/// array of numbers; `default = expression` (or `default` alone: that of the type) is what the field becomes
/// in data that was written without it; `alias = "old"` is another name that it was written by; `name = "x"`
/// its name in the schema, where it is not the field's own. Options, vectors, maps and `bytes` are empty by
/// default without a word. Marks of types: `alias` and `name`. Marks of variants: `name`, and `default` for
/// the one that stands for variants that are removed.
#[proc_macro_derive(Record, attributes(record))]
pub fn record(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let code = record::derive(&input).unwrap_or_else(|error| error.to_compile_error());
    quote!(#code).into()
}

/// Writes `Key` for a struct or an enum that is a `Record` and has `Eq`, `Ord` and `Hash`.
#[proc_macro_derive(Key)]
pub fn key(input: TokenStream) -> TokenStream {
    key::derive(&parse_macro_input!(input as DeriveInput)).into()
}

/// Writes `FromJson` for a struct with named fields, `FromValue` for an enum without fields.
///
/// Marks of fields: `#[json(name = "userId")]`, the key in the message (the field's name where there is
/// none); `alias = "uid"`, another key that it may have; `time` for the event time (`i64` or `Option<i64>`,
/// milliseconds); `default` for a missing or `null` value. Marks of variants: `name` and `alias` likewise;
/// `other` for the variant that stands for every other text.
#[proc_macro_derive(FromJson, attributes(json))]
pub fn from_json(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    json::derive(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
