//! Where a configuration comes from, so that messages can name the line or the change.

use std::path::{Path, PathBuf};

use millstream_record::Error;

use crate::places::Places;
use crate::strict::Mistake;

/// The file that a configuration was read from, if it was, and what `--set` has changed of it.
#[derive(Clone, Debug, Default)]
pub struct ConfigOrigin {
    file: Option<PathBuf>,
    places: Places,
    // The keys alone: a value may be a secret.
    changed: Vec<String>,
    // The key of the change that has caused a mistake.
    blamed: Option<String>,
}

impl ConfigOrigin {
    /// A text; from this file.
    pub(crate) fn of(text: &str, file: Option<&Path>) -> Self {
        Self { file: file.map(Path::to_owned), places: Places::of(text), ..Self::default() }
    }

    /// The same with these changes by `--set KEY=VALUE`.
    pub(crate) fn changed_by(self, set: &[String]) -> Self {
        Self { changed: set.iter().map(|change| key_of(change)).collect(), ..self }
    }

    /// The same for a mistake that this change has caused.
    pub(crate) fn of_change(&self, change: &str) -> Self {
        Self { blamed: Some(key_of(change)), ..self.clone() }
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

    /// An error of the whole file, or of a change.
    pub(crate) fn here(&self, error: Error) -> Error {
        match (&self.blamed, &self.file) {
            (Some(key), _) => error.at(format_args!("--set {key}")),
            (None, Some(file)) => error.at(file.display()),
            (None, None) => error,
        }
    }

    fn place_of(&self, part: &str, path: &[impl AsRef<str>]) -> String {
        match &self.blamed {
            Some(key) if key == part => format!("--set {key}"),
            Some(key) => format!("{part} in --set {key}"),
            None => {
                let changes = self.changed.iter().filter(|key| overlap(key, part));
                let changes: Vec<_> = changes.map(|key| format!("--set {key}")).collect();
                let place = self.place_in_file(part, path);
                if changes.is_empty() { place } else { format!("{place}, changed by {}", changes.join(", ")) }
            }
        }
    }

    fn place_in_file(&self, part: &str, path: &[impl AsRef<str>]) -> String {
        let Some(file) = &self.file else { return part.to_owned() };
        match self.places.line(path) {
            Some(line) => format!("{part} in {}, line {line}", file.display()),
            None => format!("{part} in {}", file.display()),
        }
    }
}

fn key_of(change: &str) -> String {
    change.split_once('=').map_or(change, |(key, _)| key).to_owned()
}

/// Whether one of two paths leads to the other.
fn overlap(one: &str, other: &str) -> bool {
    let leads_to = |part: &str, whole: &str| {
        whole.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    leads_to(one, other) || leads_to(other, one)
}
