//! What can be set for files.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use millstream_record::{Error, Result};

use crate::gzip::MAGIC;

/// The name of standard input and of standard output.
pub(crate) const STANDARD: &str = "-";

/// How a file's bytes are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Files are unpacked where the name ends in `.gz` or the first bytes are those of gzip.
    #[default]
    Auto,
    /// Files are read and written as they are.
    None,
    /// Files are gzip, also of several members.
    Gzip,
}

impl Compression {
    /// Whether a file is to be read as gzip that has this name and begins with these bytes.
    pub(crate) fn unpacks(self, path: &str, start: &[u8]) -> bool {
        self.is_gzip(path) || self == Self::Auto && start.starts_with(&MAGIC)
    }

    /// Whether a file of this name is gzip.
    pub(crate) fn is_gzip(self, path: &str) -> bool {
        match self {
            Self::Auto => {
                Path::new(path).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
            }
            Self::None => false,
            Self::Gzip => true,
        }
    }
}

/// One or several paths: a file, a directory (the files in it), a pattern with `*`, `?` or `[…]`, or `-` for
/// standard input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "OneOrMany")]
pub struct Paths(pub Vec<String>);

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Paths {
    fn from(written: OneOrMany) -> Self {
        match written {
            OneOrMany::One(path) => Self(vec![path]),
            OneOrMany::Many(paths) => Self(paths),
        }
    }
}

impl<S: Into<String>> From<S> for Paths {
    fn from(path: S) -> Self {
        Self(vec![path.into()])
    }
}

/// Settings of a [`FilesSource`](crate::FilesSource).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FilesSourceOptions {
    /// The files to read: a file, a directory, a pattern, or a list of these; `-` is standard input.
    pub path: Paths,
    /// How the files are packed.
    pub compression: Compression,
    /// Whether the first line of each file names columns and is no message.
    pub header: bool,
    /// The size of the longest line. A longer one goes to the dead letter with its first 64 KiB.
    #[serde(with = "millstream_stage::options::size")]
    pub max_line_size: usize,
    /// How much is read at once. Each file that is open holds two of these.
    #[serde(with = "millstream_stage::options::size")]
    pub chunk_size: usize,
}

impl Default for FilesSourceOptions {
    fn default() -> Self {
        Self {
            path: Paths::default(),
            compression: Compression::default(),
            header: false,
            max_line_size: 16 << 20,
            chunk_size: 256 << 10,
        }
    }
}

impl FilesSourceOptions {
    pub(crate) fn validate(&self) -> Result<()> {
        if self.path.0.is_empty() || self.path.0.iter().any(String::is_empty) {
            return Err(Error::configuration(
                "path is empty: name a file, a directory, a pattern, or - for standard input",
            ));
        }
        within("max-line-size", self.max_line_size, 1, 1 << 30)?;
        within("chunk-size", self.chunk_size, 1, 1 << 28)
    }
}

/// What happens to a file that is there when a job starts afresh. A job that is restored always goes on
/// behind what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AtStart {
    /// The file is emptied, and holds the results of this run alone.
    #[default]
    Replace,
    /// New lines follow the old ones.
    Append,
    /// The job does not start.
    Refuse,
}

/// Settings of a [`FilesSink`](crate::FilesSink).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FilesSinkOptions {
    /// The file to write, or `-` for standard output. Its directory is made where it is missing.
    pub path: String,
    /// How it is packed. With gzip, every write is a member of its own: what was flushed can be read at any
    /// time.
    pub compression: Compression,
    /// How a file is treated that is there already.
    pub at_start: AtStart,
    /// Whether a flush waits until the disk has it (`fsync`), so that it survives a crash of the machine.
    pub sync: bool,
    /// How much one subtask buffers while the disk is busy; more blocks it.
    #[serde(with = "millstream_stage::options::size")]
    pub buffer_size: usize,
}

impl Default for FilesSinkOptions {
    fn default() -> Self {
        Self {
            path: String::new(),
            compression: Compression::default(),
            at_start: AtStart::default(),
            sync: true,
            buffer_size: 1 << 20,
        }
    }
}

impl FilesSinkOptions {
    /// The defaults for a file.
    pub fn to(path: impl Into<String>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if self.path.is_empty() {
            return Err(Error::configuration("path is empty: name a file, or - for standard output"));
        }
        within("buffer-size", self.buffer_size, 1, 1 << 30)
    }
}

fn within(name: &str, value: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::configuration(format!("{name} is {value}: choose {least} to {most} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_path_or_several() {
        let one: FilesSourceOptions =
            serde_json::from_str(r#"{"path": "a.csv", "max-line-size": "2mb"}"#).unwrap();
        assert_eq!((one.path, one.max_line_size), (Paths::from("a.csv"), 2 << 20));
        let two: FilesSourceOptions = serde_json::from_str(r#"{"path": ["a", "b"]}"#).unwrap();
        assert_eq!(two.path.0, ["a", "b"]);
    }

    #[test]
    fn mistyped_settings_are_refused() {
        let error =
            serde_json::from_str::<FilesSinkOptions>(r#"{"path": "a", "at-strat": "append"}"#).unwrap_err();
        assert!(error.to_string().contains("at-strat"), "{error}");
        let empty = FilesSourceOptions { path: Paths(vec![]), ..Default::default() };
        assert!(empty.validate().unwrap_err().to_string().contains("path is empty"));
        let tiny = FilesSinkOptions { buffer_size: 0, ..FilesSinkOptions::to("a") };
        assert!(tiny.validate().unwrap_err().to_string().contains("buffer-size is 0"));
    }

    #[test]
    fn gzip_is_known_by_its_name() {
        for (path, gzip) in
            [("a.csv.gz", true), ("a.GZ", true), ("a.csv", false), ("gz", false), ("-", false)]
        {
            assert_eq!(Compression::Auto.is_gzip(path), gzip, "{path}");
        }
    }
}
