//! Finds the files and deals them out: one split per file, all at the start.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use millstream_record::record::to_bytes;
use millstream_record::{Error, Result};
use millstream_stage::source::{Assignment, Enumerator, EnumeratorContext, EnumeratorEvent, Split, deal};

use crate::config::{Paths, STANDARD};
use crate::split::FileSplit;
use crate::{errors, input};

/// One per job.
pub(crate) struct FilesEnumerator {
    paths: Paths,
}

impl FilesEnumerator {
    pub(crate) fn new(paths: Paths) -> Self {
        Self { paths }
    }
}

impl Enumerator for FilesEnumerator {
    fn on(&mut self, cx: &EnumeratorContext, event: EnumeratorEvent) -> Result<Vec<Assignment>> {
        match event {
            EnumeratorEvent::Start { restored: None } => {
                let files = find(&self.paths)?;
                files.iter().filter(|path| *path != STANDARD).try_for_each(|path| input::check(path))?;
                Ok(deal(files.into_iter().map(split), cx.parallelism, true))
            }
            // What a job reads is decided when it starts for the first time: its readers have it in their
            // snapshots.
            EnumeratorEvent::Start { restored: Some(_) } => Ok(deal([], cx.parallelism, true)),
            EnumeratorEvent::Returned { splits } => Ok(deal(splits, cx.parallelism, true)),
            EnumeratorEvent::ReaderReady { .. } | EnumeratorEvent::Tick => Ok(Vec::new()),
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }
}

fn split(path: String) -> Split {
    let id = path.as_str().into();
    Split { id, state: to_bytes(&FileSplit::start_of(path)) }
}

/// The files that the paths name, each once, as absolute paths: they name the splits wherever the job goes
/// on.
pub(crate) fn find(paths: &Paths) -> Result<Vec<String>> {
    let (mut files, mut known) = (Vec::new(), BTreeMap::new());
    for path in &paths.0 {
        for file in find_one(path)? {
            match known.entry(real(Path::new(&file))) {
                Entry::Vacant(place) => {
                    place.insert(files.len());
                    files.push(file);
                }
                // A link and its file are one. Links are moved to other files, so the file's own name is
                // kept.
                Entry::Occupied(place) if !Path::new(&file).is_symlink() => files[*place.get()] = file,
                Entry::Occupied(_) => {}
            }
        }
    }
    Ok(files)
}

/// Whether the paths name this file, or would if it were there.
pub(crate) fn names(paths: &Paths, file: &str) -> bool {
    let (real_file, absolute_file) = (real(Path::new(file)), std::path::absolute(file));
    let within_components = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
    let named = |path: &String| {
        let real_path = real(Path::new(path));
        // What is there is no pattern.
        let pattern = if real_path.exists() { None } else { absolute(Path::new(path)).ok() };
        let pattern = pattern.and_then(|pattern| Pattern::new(&pattern).ok());
        let matches = |file: &PathBuf| {
            pattern.is_some_and(|pattern| pattern.matches_path_with(file, within_components))
        };
        real_path == real_file
            || real_path.is_dir() && real_file.parent() == Some(&real_path) && !is_hidden(&real_file)
            || absolute_file.as_ref().is_ok_and(matches)
    };
    file != STANDARD && paths.0.iter().any(named)
}

// Where links lead to. Of a file that is not there, its directory may be.
fn real(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let in_its_directory = || {
        let (directory, name) = (absolute.parent()?, absolute.file_name()?);
        Some(fs::canonicalize(directory).ok()?.join(name))
    };
    fs::canonicalize(path).ok().or_else(in_its_directory).unwrap_or(absolute)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn find_one(path: &str) -> Result<Vec<String>> {
    if path == STANDARD {
        return Ok(vec![STANDARD.to_owned()]);
    }
    // A file that is really called `a[1].csv` is no pattern.
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => files_in(path),
        Ok(_) => Ok(vec![absolute(Path::new(path))?]),
        Err(_) if path.contains(['*', '?', '[']) => matching(path),
        Err(error) => Err(errors::opening(path, error)),
    }
}

fn files_in(directory: &str) -> Result<Vec<String>> {
    let opening = |error| errors::opening(directory, error);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(opening)? {
        let path = entry.map_err(opening)?.path();
        if path.is_file() && !is_hidden(&path) {
            files.push(absolute(&path)?);
        }
    }
    if files.is_empty() {
        tracing::warn!(
            "there is no file in {directory}, and nothing of it is read: check the path, or name files further down by a pattern \
             such as {}",
            Path::new(directory).join("**/*").display()
        );
    }
    files.sort();
    Ok(files)
}

fn matching(pattern: &str) -> Result<Vec<String>> {
    let wrong = |error: glob::PatternError| {
        Error::configuration(format!("{pattern} is neither a file nor a pattern")).caused_by(error)
    };
    let mut files = Vec::new();
    for path in glob::glob(pattern).map_err(wrong)? {
        let path = path.map_err(|error| errors::opening(pattern, error.into()))?;
        if path.is_file() {
            files.push(absolute(&path)?);
        }
    }
    if files.is_empty() {
        return Err(Error::configuration(format!("no file matches {pattern}: check the path")));
    }
    Ok(files)
}

fn absolute(path: &Path) -> Result<String> {
    let absolute = std::path::absolute(path).map_err(|error| errors::opening(path.display(), error))?;
    let text = absolute.into_os_string().into_string();
    text.map_err(|path| {
        Error::configuration(format!("the name of {} is not UTF-8: rename it", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(paths: &[String]) -> Result<Vec<String>> {
        let found = find(&Paths(paths.to_vec()))?;
        Ok(found.iter().map(|path| path.rsplit('/').next().unwrap().to_owned()).collect())
    }

    #[test]
    fn files_directories_and_patterns() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.csv", "a.csv", "c.txt", ".hidden", "odd[1].csv"] {
            fs::write(directory.path().join(name), "x").unwrap();
        }
        fs::create_dir(directory.path().join("deeper")).unwrap();
        let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        assert_eq!(names(&[at("b.csv")]).unwrap(), ["b.csv"]);
        assert_eq!(names(&[at("")]).unwrap(), ["a.csv", "b.csv", "c.txt", "odd[1].csv"]);
        assert_eq!(names(&[at("?.csv"), at("a.csv"), at("c*")]).unwrap(), ["a.csv", "b.csv", "c.txt"]);
        assert_eq!(names(&[at("odd[1].csv")]).unwrap(), ["odd[1].csv"]);
        assert_eq!(names(&["-".to_owned()]).unwrap(), ["-"]);
        fs::create_dir(directory.path().join("empty")).unwrap();
        assert_eq!(names(&[at("empty")]).unwrap(), [""; 0]);
        fs::write(directory.path().join("deeper/d.csv"), "x").unwrap();
        assert_eq!(names(&[at("**/d*.csv")]).unwrap(), ["d.csv"]);
        for (missing, says) in [("none.csv", "does not exist"), ("*.json", "no file matches")] {
            let error = names(&[at(missing)]).unwrap_err();
            assert_eq!(error.kind(), millstream_record::ErrorKind::Configuration);
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn a_file_and_the_links_to_it_are_read_once_by_the_name_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        fs::write(at("today.csv"), "x").unwrap();
        for link in ["current.csv", "latest.csv"] {
            std::os::unix::fs::symlink(at("today.csv"), at(link)).unwrap();
        }
        assert_eq!(names(&[at("")]).unwrap(), ["today.csv"]);
        assert_eq!(names(&[at("*.csv"), at("today.csv")]).unwrap(), ["today.csv"]);
        assert_eq!(names(&[at("latest.csv")]).unwrap(), ["latest.csv"]);
    }

    #[test]
    fn a_file_that_is_not_there_yet_is_named_as_one_that_is() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let new = at("new.jsonl");
        for (path, named) in [
            ("", true),
            ("*.jsonl", true),
            ("**/*.jsonl", true),
            ("new.jsonl", true),
            ("./new.jsonl", true),
            ("*.csv", false),
            ("*/*.jsonl", false),
            ("old.jsonl", false),
        ] {
            assert_eq!(super::names(&Paths(vec![at(path)]), &new), named, "{path}");
        }
        assert!(!super::names(&Paths::from("-"), "-"));
        assert!(!super::names(&Paths(vec![at("")]), &at(".hidden")));
        std::os::unix::fs::symlink(&new, at("link.jsonl")).unwrap();
        fs::write(&new, "x").unwrap();
        assert!(super::names(&Paths(vec![at("link.jsonl")]), &new));
    }
}
