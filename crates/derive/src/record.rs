//! `#[derive(Record)]`: fields in order, as an Avro record; variants by index, as an Avro enum.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DataEnum, DeriveInput, Error, Fields, FieldsNamed, Result};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &input.generics,
            "a record has no type parameters: its schema needs one name",
        ));
    }
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Ok(structure(input, fields)),
            _ => Err(Error::new_spanned(&data.fields, "a record's fields have names: its schema needs them")),
        },
        Data::Enum(data) => enumeration(input, data),
        Data::Union(_) => Err(Error::new_spanned(input, "a union cannot be a record")),
    }
}

fn structure(input: &DeriveInput, fields: &FieldsNamed) -> TokenStream {
    let name = &input.ident;
    let text = name.to_string();
    let idents: Vec<_> = fields.named.iter().filter_map(|field| field.ident.as_ref()).collect();
    let names = idents.iter().map(|ident| ident.to_string().trim_start_matches("r#").to_owned());
    let types: Vec<_> = fields.named.iter().map(|field| &field.ty).collect();
    quote! {
        impl ::millstream_core::Record for #name {
            fn schema(names: &mut ::millstream_core::record::Names) -> ::std::string::String {
                if !names.first(#text) {
                    return ::std::format!("\"{}\"", #text);
                }
                let fields: ::std::vec::Vec<::std::string::String> = ::std::vec![#(
                    ::std::format!(
                        "{{\"name\":\"{}\",\"type\":{}}}",
                        #names,
                        <#types as ::millstream_core::Record>::schema(names)
                    )
                ),*];
                ::std::format!("{{\"type\":\"record\",\"name\":\"{}\",\"fields\":[{}]}}", #text, fields.join(","))
            }
            fn encode(&self, out: &mut ::std::vec::Vec<u8>) {
                #(::millstream_core::Record::encode(&self.#idents, out);)*
            }
            fn decode(bytes: &mut &[u8]) -> ::millstream_core::Result<Self> {
                ::std::result::Result::Ok(Self { #(#idents: ::millstream_core::Record::decode(bytes)?),* })
            }
            fn heap_size(&self) -> usize {
                0 #(+ ::millstream_core::Record::heap_size(&self.#idents))*
            }
        }
    }
}

fn enumeration(input: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    if let Some(variant) = data.variants.iter().find(|variant| !matches!(variant.fields, Fields::Unit)) {
        return Err(Error::new_spanned(
            variant,
            "an enum in a record has variants without fields (an Avro enum)",
        ));
    }
    let name = &input.ident;
    let text = name.to_string();
    let variants: Vec<_> = data.variants.iter().map(|variant| &variant.ident).collect();
    let symbols = variants.iter().map(|variant| format!("\"{variant}\"")).collect::<Vec<_>>().join(",");
    let schema = format!("{{\"type\":\"enum\",\"name\":\"{text}\",\"symbols\":[{symbols}]}}");
    let indices: Vec<_> = (0..variants.len() as i64).collect();
    Ok(quote! {
        impl ::millstream_core::Record for #name {
            fn schema(names: &mut ::millstream_core::record::Names) -> ::std::string::String {
                if names.first(#text) { #schema.to_owned() } else { ::std::format!("\"{}\"", #text) }
            }
            fn encode(&self, out: &mut ::std::vec::Vec<u8>) {
                let index: i64 = match self { #(Self::#variants => #indices),* };
                ::millstream_core::Record::encode(&index, out);
            }
            fn decode(bytes: &mut &[u8]) -> ::millstream_core::Result<Self> {
                match <i64 as ::millstream_core::Record>::decode(bytes)? {
                    #(#indices => ::std::result::Result::Ok(Self::#variants),)*
                    other => ::std::result::Result::Err(::millstream_core::Error::data(
                        ::std::format!("{} is no variant of {}", other, #text),
                    )),
                }
            }
        }
    })
}
