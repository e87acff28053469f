//! `#[derive(Key)]`: the hash of the canonical (Avro) bytes.

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    let name = &input.ident;
    let core = crate::path::core();
    quote! {
        impl #core::Key for #name {
            fn key_hash(&self) -> u64 {
                #core::key::hash_bytes(&#core::record::to_bytes(self))
            }
        }
    }
}
