//! The bytes of one file, plain or gzip, from any position. Its calls block: they run where that is allowed.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use flate2::bufread::MultiGzDecoder;

use millstream_core::{Error, Result};

use crate::config::{Compression, STANDARD};
use crate::errors;
use crate::split::FileSplit;

/// An open file.
pub(crate) struct Input {
    from: Box<dyn Read + Send>,
    // A stream (standard input, a pipe) hands on what is there; a file fills the whole chunk.
    is_stream: bool,
}

impl Input {
    /// Opens a split's file at its position.
    pub(crate) fn open(split: &FileSplit, compression: Compression) -> Result<Self> {
        if split.path == STANDARD {
            return Self::of_stream(io::stdin(), split, compression);
        }
        let opening = |error| errors::opening(&split.path, error);
        let file = File::open(&split.path).map_err(opening)?;
        match file.metadata().map_err(opening)?.is_file() {
            true => Self::of_file(file, split, compression).map_err(|error| errors::reading(split, error)),
            false => Self::of_stream(file, split, compression),
        }
    }

    fn of_file(mut file: File, split: &FileSplit, compression: Compression) -> io::Result<Self> {
        if !compression.is_gzip(&split.path) {
            file.seek(SeekFrom::Start(split.offset))?;
            return Ok(Self { from: Box::new(file), is_stream: false });
        }
        let mut from = unpacked(file)?;
        let skipped = io::copy(&mut from.by_ref().take(split.offset), &mut io::sink())?;
        if skipped < split.offset {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is shorter than it was"));
        }
        Ok(Self { from, is_stream: false })
    }

    fn of_stream(
        from: impl Read + Send + 'static,
        split: &FileSplit,
        compression: Compression,
    ) -> Result<Self> {
        if split.offset > 0 {
            let path = &split.path;
            return Err(Error::data(format!(
                "{path} is a stream: it cannot be read again from line {}. Write it to a file and read that",
                split.lines
            )));
        }
        let from = match compression.is_gzip(&split.path) {
            true => unpacked(from).map_err(|error| errors::reading(split, error))?,
            false => Box::new(from),
        };
        Ok(Self { from, is_stream: true })
    }

    /// Reads up to `size` bytes into `chunk`, replacing what is there. Nothing means: the end.
    pub(crate) fn read(&mut self, chunk: &mut Vec<u8>, size: usize) -> io::Result<()> {
        chunk.resize(size, 0);
        let mut filled = 0;
        while filled < size && !(self.is_stream && filled > 0) {
            match self.from.read(&mut chunk[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        chunk.truncate(filled);
        Ok(())
    }
}

// An empty file is no gzip, but it is empty packed or not.
fn unpacked(from: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut from = BufReader::with_capacity(64 << 10, from);
    if from.fill_buf()?.is_empty() {
        return Ok(Box::new(io::empty()));
    }
    Ok(Box::new(MultiGzDecoder::new(from)))
}

/// Whether a path can be read, found out before the job starts. A stream is not touched.
pub(crate) fn check(path: &str) -> Result<()> {
    let opening = |error| errors::opening(path, error);
    let metadata = fs::metadata(path).map_err(opening)?;
    if metadata.is_file() {
        File::open(path).map_err(opening)?;
    }
    Ok(())
}
