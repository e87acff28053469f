//! `#[derive(Record)]`: fields in order, as an Avro record; variants by index, as an Avro enum.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DataEnum, DeriveInput, Error, Field, Fields, FieldsNamed, Ident, Result};

use crate::path;
use crate::record_marks::{Absent, FieldMarks, TypeMarks, VariantMarks};

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

/// A field's or variant's name without the `r#` of a keyword.
fn plain(name: &Ident) -> String {
    name.to_string().trim_start_matches("r#").to_owned()
}

fn structure(input: &DeriveInput, fields: &FieldsNamed) -> Result<TokenStream> {
    let room = path::record();
    let name = &input.ident;
    let TypeMarks { name: renamed, aliases } = TypeMarks::of(input)?;
    let text = renamed.unwrap_or_else(|| plain(name));
    let parts = fields.named.iter().map(Part::of).collect::<Result<Vec<_>>>()?;
    let schemas = parts.iter().map(Part::schema);
    let encodes = parts.iter().map(Part::encode);
    let decodes = parts.iter().map(Part::decode);
    let sizes = parts.iter().map(Part::heap_size);
    Ok(quote! {
        impl #room::Record for #name {
            fn schema(names: &mut #room::record::Names) -> ::std::string::String {
                let (name, first) = names.of::<Self>(#text);
                if !first {
                    return ::std::format!("\"{}\"", name);
                }
                let fields = ::std::vec![#(#schemas),*];
                #room::schema::write::record(&name, &[#(#aliases),*], &fields)
            }
            fn encode(&self, out: &mut ::std::vec::Vec<u8>) {
                #(#encodes)*
            }
            fn decode(bytes: &mut &[u8]) -> #room::Result<Self> {
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
    marks: FieldMarks,
    room: TokenStream,
}

impl<'a> Part<'a> {
    fn of(field: &'a Field) -> Result<Self> {
        Ok(Self { field, marks: FieldMarks::of(field)?, room: path::record() })
    }

    fn schema(&self) -> TokenStream {
        let (room, ty) = (&self.room, &self.field.ty);
        let (aliases, default) = (&self.marks.aliases, self.default());
        let name = self.marks.name.clone().or_else(|| self.field.ident.as_ref().map(plain));
        let of = if self.marks.bytes {
            quote!(|_| "\"bytes\"".to_owned())
        } else {
            quote!(<#ty as #room::Record>::schema)
        };
        quote!(#room::schema::write::field(names, #name, &[#(#aliases),*], #of, || #default))
    }

    // The value is an expression of the field's own type, so that the compiler checks it.
    fn default(&self) -> TokenStream {
        let (room, ty, bytes) = (&self.room, &self.field.ty, self.marks.bytes);
        let value = match &self.marks.default {
            Absent::Natural if bytes => return quote!(::std::option::Option::Some("\"\"".to_owned())),
            Absent::Natural => return quote!(<#ty as #room::Record>::natural_default()),
            Absent::OfType => quote!(::std::default::Default::default()),
            Absent::Text(text) => quote!(::std::convert::From::from(#text)),
            Absent::Value(value) => quote!(#value),
        };
        let json = if bytes { quote!(default_bytes) } else { quote!(default) };
        quote!({
            let value: #ty = #value;
            ::std::option::Option::Some(#room::schema::write::#json(&value))
        })
    }

    fn encode(&self) -> TokenStream {
        let (room, name) = (&self.room, &self.field.ident);
        if self.marks.bytes {
            quote!(#room::record::encode_bytes(&self.#name, out);)
        } else {
            quote!(#room::Record::encode(&self.#name, out);)
        }
    }

    fn decode(&self) -> TokenStream {
        let (room, name) = (&self.room, &self.field.ident);
        if self.marks.bytes {
            quote!(#name: ::std::convert::From::from(#room::record::decode_bytes(bytes)?))
        } else {
            quote!(#name: #room::Record::decode(bytes)?)
        }
    }

    fn heap_size(&self) -> TokenStream {
        let (room, name) = (&self.room, &self.field.ident);
        if self.marks.bytes {
            quote!(self.#name.len())
        } else {
            quote!(#room::Record::heap_size(&self.#name))
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
    let room = path::record();
    let name = &input.ident;
    let TypeMarks { name: renamed, aliases } = TypeMarks::of(input)?;
    let text = renamed.unwrap_or_else(|| plain(name));
    let variants: Vec<_> = data.variants.iter().map(|variant| &variant.ident).collect();
    let (symbols, default) = symbols(data)?;
    let indices: Vec<_> = (0..variants.len() as i64).collect();
    Ok(quote! {
        impl #room::Record for #name {
            fn schema(names: &mut #room::record::Names) -> ::std::string::String {
                let (name, first) = names.of::<Self>(#text);
                if !first {
                    return ::std::format!("\"{}\"", name);
                }
                #room::schema::write::enumeration(&name, &[#(#aliases),*], &[#(#symbols),*], #default)
            }
            fn encode(&self, out: &mut ::std::vec::Vec<u8>) {
                let index: i64 = match self { #(Self::#variants => #indices),* };
                #room::Record::encode(&index, out);
            }
            fn decode(bytes: &mut &[u8]) -> #room::Result<Self> {
                match <i64 as #room::Record>::decode(bytes)? {
                    #(#indices => ::std::result::Result::Ok(Self::#variants),)*
                    other => ::std::result::Result::Err(#room::Error::data(
                        ::std::format!("{} is no variant of {}", other, #text),
                    )),
                }
            }
        }
    })
}

/// The variants' names in the schema, and as an expression the one that stands for unknown ones.
fn symbols(data: &DataEnum) -> Result<(Vec<String>, TokenStream)> {
    let mut symbols = Vec::new();
    let mut default = quote!(::std::option::Option::None);
    for variant in &data.variants {
        let marks = VariantMarks::of(variant)?;
        let symbol = marks.name.unwrap_or_else(|| plain(&variant.ident));
        if marks.default {
            default = quote!(::std::option::Option::Some(#symbol));
        }
        symbols.push(symbol);
    }
    Ok((symbols, default))
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
            ("struct A { #[record(byte)] b: Vec<u8> }", "knows `bytes`, `default`, `alias` and `name`"),
            ("struct A { #[record(alias = \"a-b\")] b: i64 }", "letters, digits and `_`"),
            ("#[record(default)] struct A { b: i64 }", "knows `alias` and `name`"),
            ("enum A { #[record(alias = \"C\")] B }", "knows `default` and `name`"),
        ] {
            let refusal = refusal(code);
            assert!(refusal.contains(reason), "{code}: {refusal}");
        }
    }
}
