//! `#[derive(FromJson)]`: the fields of a struct with their keys; the variants of an enum by their names.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Data, DataEnum, DeriveInput, Error, Field, Fields, FieldsNamed, Ident, LitStr, Result};
use syn::{Type, Variant};

use crate::path;

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "a record has no type parameters"));
    }
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => structure(input, fields),
            _ => Err(Error::new_spanned(&data.fields, "a record's fields have names: JSON needs them")),
        },
        Data::Enum(data) => enumeration(input, data),
        Data::Union(_) => Err(Error::new_spanned(input, "a union cannot be a record")),
    }
}

/// What `#[json(...)]` says about a field or a variant.
#[derive(Default)]
struct Marks {
    name: Option<String>,
    aliases: Vec<String>,
    time: bool,
    default: bool,
    other: bool,
}

impl Marks {
    fn of(attributes: &[Attribute], known: &[&str]) -> Result<Self> {
        let mut marks = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("json")) {
            attribute.parse_nested_meta(|meta| marks.take(&meta, known))?;
        }
        Ok(marks)
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>, known: &[&str]) -> Result<()> {
        let mark = meta.path.get_ident().map(Ident::to_string).unwrap_or_default();
        if !known.contains(&mark.as_str()) {
            return Err(meta.error(format!("`json` knows {} here", known.join(", "))));
        }
        match mark.as_str() {
            "name" => self.name = Some(text(meta)?),
            "alias" => self.aliases.push(text(meta)?),
            "time" => self.time = true,
            "default" => self.default = true,
            _ => self.other = true,
        }
        Ok(())
    }

    /// The name in JSON: what is marked, or the name in Rust.
    fn name(&self, ident: &Ident) -> String {
        self.name.clone().unwrap_or_else(|| ident.unraw().to_string())
    }
}

fn text(meta: &ParseNestedMeta<'_>) -> Result<String> {
    Ok(meta.value()?.parse::<LitStr>()?.value())
}

fn structure(input: &DeriveInput, fields: &FieldsNamed) -> Result<TokenStream> {
    let (room, json) = (path::record(), path::json());
    let name = &input.ident;
    let parts = fields.named.iter().map(Part::of).collect::<Result<Vec<_>>>()?;
    if let Some(second) = parts.iter().filter(|part| part.marks.time).nth(1) {
        return Err(Error::new_spanned(second.field, "a record has one event time: mark one field `time`"));
    }
    let specs = parts.iter().map(|part| part.spec(&json));
    let values = parts.iter().enumerate().map(|(index, part)| part.value(index));
    Ok(quote! {
        impl #json::FromJson for #name {
            const FIELDS: &'static [#json::FieldSpec] = &[#(#specs),*];
            #[inline]
            fn from_values(values: &mut #json::Values<'_>) -> #room::Result<Self, #json::Bad> {
                ::std::result::Result::Ok(Self { #(#values),* })
            }
        }
    })
}

struct Part<'a> {
    field: &'a Field,
    name: &'a Ident,
    marks: Marks,
}

impl<'a> Part<'a> {
    fn of(field: &'a Field) -> Result<Self> {
        let name = field.ident.as_ref().ok_or_else(|| Error::new_spanned(field, "a field needs a name"))?;
        let marks = Marks::of(&field.attrs, &["name", "alias", "time", "default"])?;
        if marks.time && marks.default {
            return Err(Error::new_spanned(
                field,
                "a time that is missing has no default: make it an Option",
            ));
        }
        Ok(Self { field, name, marks })
    }

    fn spec(&self, json: &TokenStream) -> TokenStream {
        let name = self.marks.name(self.name);
        let aliases = &self.marks.aliases;
        quote!(#json::FieldSpec { name: #name, aliases: &[#(#aliases),*] })
    }

    fn value(&self, index: usize) -> TokenStream {
        let (name, ty) = (self.name, &self.field.ty);
        if self.marks.time {
            let read = if is_option(ty) { quote!(optional_time) } else { quote!(time) };
            quote!(#name: values.#read(#index)?)
        } else if self.marks.default {
            quote!(#name: values.get::<::std::option::Option<#ty>>(#index)?.unwrap_or_default())
        } else {
            quote!(#name: values.get::<#ty>(#index)?)
        }
    }
}

fn is_option(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    path.path.segments.last().is_some_and(|segment| segment.ident == "Option")
}

fn enumeration(input: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    let (room, json) = (path::record(), path::json());
    let name = &input.ident;
    let variants = data.variants.iter().map(Choice::of).collect::<Result<Vec<_>>>()?;
    let others: Vec<_> = variants.iter().filter(|choice| choice.other).collect();
    if let Some(second) = others.get(1) {
        return Err(Error::new_spanned(second.variant, "one variant alone can stand for all others"));
    }
    let arms = variants.iter().map(|choice| {
        let (variant, names) = (choice.variant, &choice.names);
        quote!(#(#names)|* => return ::std::result::Result::Ok(Self::#variant),)
    });
    let wanted = variants.iter().map(|choice| choice.names[0].as_str()).collect::<Vec<_>>().join(", ");
    let wanted = format!("one of {wanted}");
    let otherwise = match others.first() {
        Some(Choice { variant, .. }) => quote!(::std::result::Result::Ok(Self::#variant)),
        None => quote!(::std::result::Result::Err(#json::unfit(#wanted, &value))),
    };
    Ok(quote! {
        impl #json::FromValue for #name {
            fn from_value(value: #json::Value<'_>) -> #room::Result<Self, ::std::string::String> {
                let text = match &value {
                    #json::Value::Text(text) => ::std::convert::AsRef::<str>::as_ref(text),
                    #json::Value::Number(text) => *text,
                    _ => return ::std::result::Result::Err(#json::unfit(#wanted, &value)),
                };
                match text {
                    #(#arms)*
                    _ => #otherwise,
                }
            }
        }
    })
}

struct Choice<'a> {
    variant: &'a Ident,
    /// Its name in JSON, then its aliases.
    names: Vec<String>,
    other: bool,
}

impl<'a> Choice<'a> {
    fn of(variant: &'a Variant) -> Result<Self> {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(variant, "an enum in a record has variants without fields"));
        }
        let marks = Marks::of(&variant.attrs, &["name", "alias", "other"])?;
        let names = std::iter::once(marks.name(&variant.ident)).chain(marks.aliases).collect();
        Ok(Self { variant: &variant.ident, names, other: marks.other })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_does_not_compile_and_says_why() {
        for (code, reason) in [
            ("struct A<T> { a: T }", "no type parameters"),
            ("struct A(i64);", "fields have names"),
            ("union A { b: i64 }", "a union cannot"),
            ("enum A { B(i64) }", "variants without fields"),
            ("struct A { #[json(rename = \"b\")] b: i64 }", "`json` knows name, alias, time, default here"),
            ("enum A { #[json(time)] B }", "`json` knows name, alias, other here"),
            ("struct A { #[json(name = 1)] b: i64 }", "expected string literal"),
            ("struct A { #[json(time)] b: i64, #[json(time)] c: i64 }", "one event time"),
            ("struct A { #[json(time, default)] b: i64 }", "make it an Option"),
            ("enum A { #[json(other)] B, #[json(other)] C }", "one variant alone"),
        ] {
            let refusal = derive(&syn::parse_str(code).unwrap()).unwrap_err().to_string();
            assert!(refusal.contains(reason), "{code}: {refusal}");
        }
    }
}
