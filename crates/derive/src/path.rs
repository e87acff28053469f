//! The path by which generated code names Millstream: the user may depend on the facade alone, or on the
//! rooms themselves.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::Ident;

/// `millstream-record`: directly, or by way of the facade.
pub(crate) fn record() -> TokenStream {
    room("millstream-record", "millstream_record", "record")
}

/// `millstream-json`: directly, or by way of the facade.
pub(crate) fn json() -> TokenStream {
    room("millstream-json", "millstream_json", "json")
}

// A crate that names itself has `extern crate self as ...`, so that its own path is good within it, its tests
// and examples.
fn room(package: &str, own: &str, module: &str) -> TokenStream {
    let module = Ident::new(module, Span::call_site());
    match (crate_name(package), crate_name("millstream")) {
        (Ok(FoundCrate::Name(name)), _) => path(&name, None),
        (Ok(FoundCrate::Itself), _) => path(own, None),
        (Err(_), Ok(FoundCrate::Name(name))) => path(&name, Some(&module)),
        (Err(_), _) => path("millstream", Some(&module)),
    }
}

fn path(name: &str, module: Option<&Ident>) -> TokenStream {
    let name = Ident::new(name, Span::call_site());
    let module = module.into_iter();
    quote!(::#name #(::__private::#module)*)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_that_depends_on_no_room_goes_by_the_facade() {
        // The manifest that is looked at is this crate's own.
        assert_eq!(json().to_string(), ":: millstream :: __private :: json");
        assert_eq!(record().to_string(), ":: millstream_record");
    }
}
