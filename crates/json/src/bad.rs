//! Why a message is refused.

use std::borrow::Cow;
use std::fmt;

/// What is wrong with a message: the field where one is at fault, a reason, and the byte (counted from 0)
/// where there is one.
///
/// It prints as a sentence, such as `field timestamp: wants a whole number, has "soon", at byte 83`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad(Box<Inner>);

// Boxed: a result that carries it stays small, and only bad messages pay for it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    field: Option<&'static str>,
    reason: Cow<'static, str>,
    at: Option<usize>,
    hint: Option<String>,
}

impl Bad {
    /// Something wrong with the message as a whole.
    #[cold]
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { field: None, reason: reason.into(), at: None, hint: None }))
    }

    /// The same, at this byte of the message.
    #[must_use]
    pub fn at(mut self, byte: usize) -> Self {
        self.0.at = Some(byte);
        self
    }

    /// The same, about this field.
    #[must_use]
    pub fn in_field(mut self, name: &'static str) -> Self {
        self.0.field = Some(name);
        self
    }

    /// The same, with what its reader should know besides.
    #[must_use]
    pub fn with_hint(mut self, hint: impl fmt::Display) -> Self {
        self.0.hint = Some(hint.to_string());
        self
    }

    /// The field at fault, by the name that the record type gives it.
    pub fn field(&self) -> Option<&'static str> {
        self.0.field
    }

    /// The byte of the message, counted from 0.
    pub fn position(&self) -> Option<usize> {
        self.0.at
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(field) = self.0.field {
            write!(f, "field {field}: ")?;
        }
        f.write_str(&self.0.reason)?;
        if let Some(at) = self.0.at {
            write!(f, ", at byte {at}")?;
        }
        self.0.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for Bad {}
