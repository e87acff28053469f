//! `#[derive(Key)]`: the hash of the canonical (Avro) bytes.

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    let name = &input.ident;
    let room = crate::path::record();
    quote! {
        impl #room::Key for #name {
            fn key_hash(&self) -> u64 {
                #room::key::hash_bytes(&#room::record::to_bytes(self))
            }
        }
    }
}
