//! Where a configuration comes from, so that messages can name the line.

use std::path::{Path, PathBuf};

use millstream_record::Error;

use crate::places::Places;
use crate::strict::Mistake;

/// The file that a configuration was read from, if it was.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    file: Option<PathBuf>,
    places: Places,
}

impl Origin {
    /// A text; from this file.
    pub(crate) fn of(text: &str, file: Option<&Path>) -> Self {
        Self { file: file.map(Path::to_owned), places: Places::of(text) }
    }

    /// A part of the configuration such as `sinks.1`, and where it stands.
    pub(crate) fn place(&self, part: &str) -> String {
        self.place_of(part, &part.split('.').collect::<Vec<_>>())
    }

    /// The error of a mistake in the configuration.
    pub(crate) fn mistake(&self, mistake: &Mistake) -> Error {
        let path = mistake.path();
        let error = Error::configuration(mistake.message());
        if path.is_empty() { self.here(error) } else { error.at(self.place_of(&path.join("."), &path)) }
    }

    /// An error of the whole file.
    pub(crate) fn here(&self, error: Error) -> Error {
        match &self.file {
            Some(file) => error.at(file.display()),
            None => error,
        }
    }

    fn place_of(&self, part: &str, path: &[impl AsRef<str>]) -> String {
        let Some(file) = &self.file else { return part.to_owned() };
        match self.places.line(path) {
            Some(line) => format!("{part} in {}, line {line}", file.display()),
            None => format!("{part} in {}", file.display()),
        }
    }
}
