//! `#[derive(Key)]`: the hash of the canonical (Avro) bytes.

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    let name = &input.ident;
    quote! {
        impl ::millstream_core::Key for #name {
            fn key_hash(&self) -> u64 {
                ::millstream_core::key::hash_bytes(&::millstream_core::record::to_bytes(self))
            }
        }
    }
}
