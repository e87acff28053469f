//! The compatibility on a pair of schemas, in words for users.

use std::fmt;

/// One finding, and where in the datum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The fields that lead there, joined by dots, `[]` for the items of an array: `cart.items[].price`.
    /// Empty for the datum itself.
    pub path: String,
    /// What is so there.
    pub text: String,
    /// What sort of change it is.
    pub kind: NoteKind,
}

/// Sorts of changes, as far as somebody acts on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// A field that the writer did not have.
    Added,
    /// A field that the reader does not have.
    Removed,
    /// The value stays what it was, byte by byte: another name, a wider integer, more symbols behind the
    /// known ones.
    Equal,
    /// Anything else.
    Other,
}

impl Note {
    /// Whether it is about this field of the datum, or about something within it.
    pub fn is_within(&self, field: &str) -> bool {
        let rest = self.path.strip_prefix(field);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.text)
        } else {
            write!(f, "`{}`: {}", self.path, self.text)
        }
    }
}

/// Whether stored data can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compatibility {
    /// As it is.
    Same,
    /// With these changes.
    Migrates(Vec<Note>),
    /// No, for these reasons.
    Incompatible(Vec<Note>),
}

impl Compatibility {
    pub(super) fn of(changes: Vec<Note>, refusals: Vec<Note>) -> Self {
        match (refusals.is_empty(), changes.is_empty()) {
            (false, _) => Self::Incompatible(refusals),
            (true, false) => Self::Migrates(changes),
            (true, true) => Self::Same,
        }
    }
}

impl fmt::Display for Compatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, notes) = match self {
            Self::Same => return f.write_str("same"),
            Self::Migrates(notes) => ("migrates", notes),
            Self::Incompatible(notes) => ("incompatible", notes),
        };
        let notes: Vec<_> = notes.iter().map(Note::to_string).collect();
        write!(f, "{word}: {}", notes.join("; "))
    }
}
