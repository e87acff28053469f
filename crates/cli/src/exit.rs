//! How a program ends.

use std::process::ExitCode;

use millstream_record::{Error, ErrorKind};

/// What the codes mean, for `--help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  everything was read, or the job was stopped in order (SIGTERM, SIGINT)
  1  the job failed, was aborted, or could not write everything when it was stopped
  2  the command line or the configuration is wrong: change it before you try again
  3  a newer attempt of this job runs; this one has stopped
  4  stored data is damaged or does not fit";

/// The code of an error.
pub(crate) fn code(error: &Error) -> ExitCode {
    ExitCode::from(match error.kind() {
        ErrorKind::Configuration => 2,
        ErrorKind::Fenced => 3,
        ErrorKind::Data => 4,
        _ => 1,
    })
}
