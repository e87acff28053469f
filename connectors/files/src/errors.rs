//! Maps the errors of the operating system to what should be done about them.

use std::fmt::Display;
use std::io;

use millstream_record::{Error, ErrorKind};

use crate::damage::Damage;
use crate::split::FileSplit;

/// A file cannot be opened or looked at.
pub(crate) fn opening(path: impl Display, error: io::Error) -> Error {
    let (kind, advice) = match error.kind() {
        io::ErrorKind::NotFound => (ErrorKind::Configuration, "does not exist: check the path"),
        io::ErrorKind::PermissionDenied => {
            (ErrorKind::Configuration, "may not be read: check its permissions")
        }
        io::ErrorKind::Unsupported => (
            ErrorKind::Data,
            "is a stream: it cannot be read again from its middle. Write it to a file and read that",
        ),
        _ => (ErrorKind::Restart, "cannot be opened"),
    };
    Error::new(kind, format!("{path} {advice}")).caused_by(error)
}

/// A file cannot be read any further.
pub(crate) fn reading(path: impl Display, error: io::Error) -> Error {
    Error::restart(format!("{path} cannot be read")).caused_by(error)
}

/// A file that is damaged was read up to its last line that can be trusted.
pub(crate) fn damaged(at: &FileSplit, damage: &Damage) -> Error {
    let FileSplit { path, lines, .. } = at;
    let read = match lines {
        0 => "Nothing of it was read".to_owned(),
        lines => format!("Its first {lines} lines were read and are in the results"),
    };
    Error::data(format!(
        "{path} is damaged {damage}. {read}; repair the file, or take it out of the source's path"
    ))
}

/// A file or its directory cannot be made when a job starts. A path that leads nowhere stays wrong: unlike a
/// file that vanishes while a job runs, it is no reason to try again.
pub(crate) fn making(path: impl Display, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => {
            Error::configuration(format!("{path} cannot be made: check the path")).caused_by(error)
        }
        _ => writing(path, error),
    }
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
    fn a_path_that_leads_nowhere_is_no_reason_to_try_again() {
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::InvalidFilename, io::ErrorKind::NotADirectory] {
            assert_eq!(making("/proc/none", kind.into()).kind(), ErrorKind::Configuration, "{kind}");
        }
        assert_eq!(making("/data", io::ErrorKind::StorageFull.into()).kind(), ErrorKind::Restart);
        assert_eq!(writing("/data", io::ErrorKind::NotFound.into()).kind(), ErrorKind::Restart);
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
