//! The derives of `millstream-core`: `Record` (Avro binary codec and schema) and `Key` (stable hash).

use proc_macro::TokenStream;
use quote::quote;
use syn::{DeriveInput, parse_macro_input};

mod key;
mod path;
mod record;

/// Writes `Record` for a struct with named fields or an enum without fields.
///
/// `#[record(bytes)]` on a `Vec<u8>` or `Box<[u8]>` makes it Avro `bytes` instead of an array of numbers.
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
