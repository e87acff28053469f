//! Maps the errors of the operating system to what should be done about them.

use std::fmt::Display;
use std::io;

use millstream_core::{Error, ErrorKind};

use crate::split::FileSplit;

/// A file cannot be opened or looked at.
pub(crate) fn opening(path: impl Display, error: io::Error) -> Error {
    let (kind, advice) = match error.kind() {
        io::ErrorKind::NotFound => (ErrorKind::Configuration, "does not exist: check the path"),
        io::ErrorKind::PermissionDenied => {
            (ErrorKind::Configuration, "may not be read: check its permissions")
        }
        _ => (ErrorKind::Restart, "cannot be opened"),
    };
    Error::new(kind, format!("{path} {advice}")).caused_by(error)
}

/// A file cannot be read any further.
pub(crate) fn reading(at: &FileSplit, error: io::Error) -> Error {
    let FileSplit { path, lines, .. } = at;
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            Error::data(format!("{path} is damaged somewhere behind line {lines}: is it a whole gzip file?"))
        }
        _ => Error::restart(format!("{path} cannot be read behind line {lines}")),
    }
    .caused_by(error)
}

/// A file cannot be made or written.
pub(crate) fn writing(path: impl Display, error: io::Error) -> Error {
    let (kind, advice) = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            (ErrorKind::Configuration, "may not be written: check its permissions")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            (ErrorKind::Configuration, "is on a file system that is read-only")
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory | io::ErrorKind::AlreadyExists => {
            (ErrorKind::Configuration, "is no place for a file: check the path")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            (ErrorKind::Restart, "cannot grow: the disk is full, make room and start again")
        }
        io::ErrorKind::BrokenPipe => (ErrorKind::Restart, "was closed by its reader"),
        _ => (ErrorKind::Restart, "cannot be written"),
    };
    Error::new(kind, format!("{path} {advice}")).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_says_so() {
        let error = writing("out/a.csv", io::ErrorKind::StorageFull.into());
        assert_eq!(error.kind(), ErrorKind::Restart);
        assert!(error.to_string().starts_with("out/a.csv cannot grow: the disk is full"));
    }

    #[test]
    fn a_missing_file_is_a_matter_of_configuration() {
        let error = opening("a.csv", io::ErrorKind::NotFound.into());
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::Configuration, "a.csv does not exist: check the path")
        );
    }
}
