//! A source that reads files.

use std::sync::Arc;

use millstream_record::Result;
use millstream_stage::OpenContext;
use millstream_stage::raw::RawBatch;
use millstream_stage::sink::OutputLocation;
use millstream_stage::source::{Enumerator, Source, SplitReader};

use crate::config::FilesSourceOptions;
use crate::enumerator::{FilesEnumerator, find, names};
use crate::reader::FilesReader;

/// Reads files to their end, line by line: one line, without its end, is one message; its position is its
/// number, from 1.
///
/// - Each file is a split; a reader takes its files in turns, so that event time goes on in all of them
///   together. A file and the links to it are one.
/// - An empty line is no message, but it is counted. The last line needs no end. `\r\n` is an end too. Zeros
///   and a byte order mark before a line are no part of it.
/// - A line longer than [`max_line_size`](FilesSourceOptions::max_line_size) goes to the dead letter, cut.
/// - Gzip is read as it is, also when it consists of several members. Going on within it after a restore
///   means unpacking it up to there.
/// - Standard input and pipes are read as data comes; they cannot be read again after a restart.
///
/// What is read is settled when the job starts: a restored job finishes those files and takes no new ones.
#[derive(Clone, Debug)]
pub struct FilesSource {
    options: Arc<FilesSourceOptions>,
}

impl FilesSource {
    /// A source with these settings.
    pub fn new(options: FilesSourceOptions) -> Self {
        Self { options: Arc::new(options) }
    }

    /// A source of one file, directory or pattern, with the defaults for the rest.
    pub fn from_path(path: impl Into<String>) -> Self {
        Self::new(FilesSourceOptions { path: path.into().into(), ..FilesSourceOptions::default() })
    }

    /// The files that would be read now, as absolute paths: for progress bars.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when there are none.
    pub fn files(&self) -> Result<Vec<String>> {
        find(&self.options.path)
    }

    /// Whether it reads this file, or would if it were there.
    pub fn reads(&self, file: &str) -> bool {
        names(&self.options.path, file)
    }
}

impl Source for FilesSource {
    type Out = RawBatch;

    fn kind(&self) -> &'static str {
        "files"
    }

    fn validate(&self) -> Result<()> {
        self.options.validate()
    }

    fn reads_output(&self, output: &OutputLocation) -> bool {
        matches!(output, OutputLocation::File(path) if self.reads(path))
    }

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(FilesEnumerator::new(self.options.path.clone()))
    }

    fn reader(&self, _: &str, _: &mut OpenContext) -> Result<Box<dyn SplitReader<Out = RawBatch>>> {
        Ok(Box::new(FilesReader::new(Arc::clone(&self.options))))
    }
}
