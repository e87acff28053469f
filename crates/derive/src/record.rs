//! `#[derive(Record)]`: fields in order, as an Avro record; variants by index, as an Avro enum.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DataEnum, DeriveInput, Error, Field, Fields, FieldsNamed, Result};

use crate::path;

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &input.generics,
            "a record has no type parameters: its schema needs one name",
        ));
    }
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => structure(input, fields),
            _ => Err(Error::new_spanned(&data.fields, "a record's fields have names: its schema needs them")),
        },
        Data::Enum(data) => enumeration(input, data),
        Data::Union(_) => Err(Error::new_spanned(input, "a union cannot be a record")),
    }
}

fn structure(input: &DeriveInput, fields: &FieldsNamed) -> Result<TokenStream> {
    let core = path::core();
    let name = &input.ident;
    let text = name.to_string();
    let parts = fields.named.iter().map(Part::of).collect::<Result<Vec<_>>>()?;
    let schemas = parts.iter().map(Part::schema);
    let encodes = parts.iter().map(Part::encode);
    let decodes = parts.iter().map(Part::decode);
    let sizes = parts.iter().map(Part::heap_size);
    Ok(quote! {
        impl #core::Record for #name {
            fn schema(names: &mut #core::record::Names) -> ::std::string::String {
                if !names.first(#text) {
                    return ::std::format!("\"{}\"", #text);
                }
                let fields: ::std::vec::Vec<::std::string::String> = ::std::vec![#(#schemas),*];
                ::std::format!("{{\"type\":\"record\",\"name\":\"{}\",\"fields\":[{}]}}", #text, fields.join(","))
            }
            fn encode(&self, out: &mut ::std::vec::Vec<u8>) {
                #(#encodes)*
            }
            fn decode(bytes: &mut &[u8]) -> #core::Result<Self> {
                ::std::result::Result::Ok(Self { #(#decodes),* })
            }
            fn heap_size(&self) -> usize {
                0 #(+ #sizes)*
            }
        }
    })
}

/// One field with its codec: its type's own, or Avro `bytes` where `#[record(bytes)]` says so.
struct Part<'a> {
    field: &'a Field,
    bytes: bool,
    core: TokenStream,
}

impl<'a> Part<'a> {
    fn of(field: &'a Field) -> Result<Self> {
        let mut bytes = false;
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("record")) {
            attribute.parse_nested_meta(|meta| {
                bytes = meta.path.is_ident("bytes");
                if bytes { Ok(()) } else { Err(meta.error("a record's field knows `bytes` alone")) }
            })?;
        }
        Ok(Self { field, bytes, core: path::core() })
    }

    fn schema(&self) -> TokenStream {
        let (core, ty) = (&self.core, &self.field.ty);
        let name = self.field.ident.as_ref().map(|name| name.to_string().trim_start_matches("r#").to_owned());
        let schema =
            if self.bytes { quote!("\"bytes\"") } else { quote!(<#ty as #core::Record>::schema(names)) };
        quote!(::std::format!("{{\"name\":\"{}\",\"type\":{}}}", #name, #schema))
    }

    fn encode(&self) -> TokenStream {
        let (core, name) = (&self.core, &self.field.ident);
        if self.bytes {
            quote!(#core::record::encode_bytes(&self.#name, out);)
        } else {
            quote!(#core::Record::encode(&self.#name, out);)
        }
    }

    fn decode(&self) -> TokenStream {
        let (core, name) = (&self.core, &self.field.ident);
        if self.bytes {
            quote!(#name: ::std::convert::From::from(#core::record::decode_bytes(bytes)?))
        } else {
            quote!(#name: #core::Record::decode(bytes)?)
        }
    }

    fn heap_size(&self) -> TokenStream {
        let (core, name) = (&self.core, &self.field.ident);
        if self.bytes { quote!(self.#name.len()) } else { quote!(#core::Record::heap_size(&self.#name)) }
    }
}

fn enumeration(input: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    if let Some(variant) = data.variants.iter().find(|variant| !matches!(variant.fields, Fields::Unit)) {
        return Err(Error::new_spanned(
            variant,
            "an enum in a record has variants without fields (an Avro enum)",
        ));
    }
    let core = path::core();
    let name = &input.ident;
    let text = name.to_string();
    let variants: Vec<_> = data.variants.iter().map(|variant| &variant.ident).collect();
    let symbols = variants.iter().map(|variant| format!("\"{variant}\"")).collect::<Vec<_>>().join(",");
    let schema = format!("{{\"type\":\"enum\",\"name\":\"{text}\",\"symbols\":[{symbols}]}}");
    let indices: Vec<_> = (0..variants.len() as i64).collect();
    Ok(quote! {
        impl #core::Record for #name {
            fn schema(names: &mut #core::record::Names) -> ::std::string::String {
                if names.first(#text) { #schema.to_owned() } else { ::std::format!("\"{}\"", #text) }
            }
            fn encode(&self, out: &mut ::std::vec::Vec<u8>) {
                let index: i64 = match self { #(Self::#variants => #indices),* };
                #core::Record::encode(&index, out);
            }
            fn decode(bytes: &mut &[u8]) -> #core::Result<Self> {
                match <i64 as #core::Record>::decode(bytes)? {
                    #(#indices => ::std::result::Result::Ok(Self::#variants),)*
                    other => ::std::result::Result::Err(#core::Error::data(
                        ::std::format!("{} is no variant of {}", other, #text),
                    )),
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: &str) -> String {
        derive(&syn::parse_str(code).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn what_has_no_schema_does_not_compile_and_says_why() {
        for (code, reason) in [
            ("struct A<T> { a: T }", "no type parameters"),
            ("struct A(i64);", "fields have names"),
            ("struct A;", "fields have names"),
            ("enum A { B(i64) }", "variants without fields"),
            ("union A { b: i64 }", "a union cannot be a record"),
            ("struct A { #[record(byte)] b: Vec<u8> }", "knows `bytes` alone"),
        ] {
            let refusal = refusal(code);
            assert!(refusal.contains(reason), "{code}: {refusal}");
        }
    }
}
