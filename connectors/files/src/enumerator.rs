//! Finds the files and deals them out: one split per file, all at the start.

use std::fs;
use std::path::Path;

use millstream_core::record::to_bytes;
use millstream_core::source::{Assignment, Enumerator, EnumeratorContext, EnumeratorEvent, Split, deal};
use millstream_core::{Error, Result};

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
            // What a job reads is decided when it starts for the first time: its readers have it in their snapshots.
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

/// The files that the paths name, each once, as absolute paths: they name the splits wherever the job goes on.
pub(crate) fn find(paths: &Paths) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for path in &paths.0 {
        let found = find_one(path)?;
        files.extend(found.into_iter().filter(|file| !files.contains(file)).collect::<Vec<_>>());
    }
    Ok(files)
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
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.is_file() && !hidden {
            files.push(absolute(&path)?);
        }
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
        for (missing, says) in [("none.csv", "does not exist"), ("*.json", "no file matches")] {
            let error = names(&[at(missing)]).unwrap_err();
            assert_eq!(error.kind(), millstream_core::ErrorKind::Configuration);
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
