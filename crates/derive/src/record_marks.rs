//! What `#[record(...)]` says on a type, a field or a variant.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, DeriveInput, Expr, ExprLit, Field, Lit, LitStr, Result, Token, Variant};

/// On a struct or an enum.
#[derive(Default)]
pub(crate) struct TypeMarks {
    pub(crate) name: Option<String>,
    pub(crate) aliases: Vec<String>,
}

/// On a field.
#[derive(Default)]
pub(crate) struct FieldMarks {
    pub(crate) bytes: bool,
    pub(crate) name: Option<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) default: Absent,
}

/// On a variant.
#[derive(Default)]
pub(crate) struct VariantMarks {
    pub(crate) name: Option<String>,
    pub(crate) default: bool,
}

/// What a field is in data that was written without it.
#[derive(Default)]
pub(crate) enum Absent {
    /// Nothing is said: what its type says, if it says anything.
    #[default]
    Natural,
    /// `default`: the type's `Default`.
    OfType,
    /// `default = "text"`.
    Text(LitStr),
    /// `default = expression`.
    Value(Box<Expr>),
}

impl TypeMarks {
    pub(crate) fn of(input: &DeriveInput) -> Result<Self> {
        let mut marks = Self::default();
        each(&input.attrs, |meta| {
            if meta.path.is_ident("alias") {
                marks.aliases.push(name(meta)?);
            } else if meta.path.is_ident("name") {
                marks.name = Some(name(meta)?);
            } else {
                return Err(meta.error("a record knows `alias` and `name`"));
            }
            Ok(())
        })?;
        Ok(marks)
    }
}

impl FieldMarks {
    pub(crate) fn of(field: &Field) -> Result<Self> {
        let mut marks = Self::default();
        each(&field.attrs, |meta| {
            if meta.path.is_ident("bytes") {
                marks.bytes = true;
            } else if meta.path.is_ident("alias") {
                marks.aliases.push(name(meta)?);
            } else if meta.path.is_ident("name") {
                marks.name = Some(name(meta)?);
            } else if meta.path.is_ident("default") {
                marks.default = default(meta)?;
            } else {
                return Err(meta.error("a record's field knows `bytes`, `default`, `alias` and `name`"));
            }
            Ok(())
        })?;
        Ok(marks)
    }
}

impl VariantMarks {
    pub(crate) fn of(variant: &Variant) -> Result<Self> {
        let mut marks = Self::default();
        each(&variant.attrs, |meta| {
            if meta.path.is_ident("default") {
                marks.default = true;
            } else if meta.path.is_ident("name") {
                marks.name = Some(name(meta)?);
            } else {
                return Err(meta.error("a record's variant knows `default` and `name`"));
            }
            Ok(())
        })?;
        Ok(marks)
    }
}

fn each(attributes: &[Attribute], mut mark: impl FnMut(&ParseNestedMeta<'_>) -> Result<()>) -> Result<()> {
    let ours = attributes.iter().filter(|attribute| attribute.path().is_ident("record"));
    ours.into_iter().try_for_each(|attribute| attribute.parse_nested_meta(|meta| mark(&meta)))
}

/// `= "name"`, as Avro allows names.
fn name(meta: &ParseNestedMeta<'_>) -> Result<String> {
    let literal: LitStr = meta.value()?.parse()?;
    let name = literal.value();
    let head = name.chars().next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    if head && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
        Ok(name)
    } else {
        Err(syn::Error::new(
            literal.span(),
            "a name in a schema has letters, digits and `_`, a digit not first",
        ))
    }
}

fn default(meta: &ParseNestedMeta<'_>) -> Result<Absent> {
    if !meta.input.peek(Token![=]) {
        return Ok(Absent::OfType);
    }
    Ok(match meta.value()?.parse()? {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Absent::Text(text),
        value => Absent::Value(Box::new(value)),
    })
}
