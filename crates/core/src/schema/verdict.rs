//! What a user is told about a pair of schemas.

use std::fmt;

/// One finding, and where in the datum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The fields that lead there, joined by dots, `[]` for the items of an array: `cart.items[].price`. Empty for the datum itself.
    pub path: String,
    /// What is so there.
    pub text: String,
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
pub enum Verdict {
    /// As it is.
    Same,
    /// With these changes.
    Migrates(Vec<Note>),
    /// No, for these reasons.
    Incompatible(Vec<Note>),
}

impl fmt::Display for Verdict {
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
