//! The bytes of one file, plain or gzip, from any position. Its calls block: they run where that is allowed.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};

use millstream_record::Result;

use crate::config::{Compression, STANDARD};
use crate::damage::Damage;
use crate::errors;
use crate::gzip::{Gunzip, HELD_BACK, MAGIC};
use crate::split::FileSplit;

/// An open file.
pub(crate) struct Input {
    from: Box<dyn Read + Send>,
    // A stream (standard input, a pipe) hands on what is there; a file fills the whole chunk.
    is_stream: bool,
    // Nothing of its text was read yet.
    at_start: bool,
    // What stopped the last read behind the bytes that it gave.
    stopped_by: Option<io::Error>,
}

impl Input {
    /// Opens a split's file at its position.
    ///
    /// # Errors
    /// A [`Damage`] as well as those of the file, as an error of the operating system.
    pub(crate) fn open(split: &FileSplit, compression: Compression) -> io::Result<Self> {
        if split.path == STANDARD {
            return Self::of_stream(io::stdin(), split, compression);
        }
        let file = File::open(&split.path)?;
        match file.metadata()?.is_file() {
            true => Self::of_file(file, split, compression),
            false => Self::of_stream(file, split, compression),
        }
    }

    fn new(from: impl Read + Send + 'static, is_stream: bool, at_start: bool) -> Self {
        Self { from: Box::new(from), is_stream, at_start, stopped_by: None }
    }

    fn of_file(mut file: File, split: &FileSplit, compression: Compression) -> io::Result<Self> {
        let start = first_bytes(&mut file)?;
        file.seek(SeekFrom::Start(0))?;
        let at_start = split.offset == 0;
        if !compression.unpacks(&split.path, &start) {
            if file.metadata()?.len() < split.offset {
                return Err(shorter(split));
            }
            file.seek(SeekFrom::Start(split.offset))?;
            return Ok(Self::new(file, false, at_start));
        }
        // An empty file is no gzip, but it is empty packed or not.
        let mut from = Gunzip::new(file, HELD_BACK);
        let skipped = io::copy(&mut from.by_ref().take(split.offset), &mut io::sink())?;
        if skipped < split.offset {
            return Err(shorter(split));
        }
        Ok(Self::new(from, false, at_start))
    }

    fn of_stream(
        from: impl Read + Send + 'static,
        split: &FileSplit,
        compression: Compression,
    ) -> io::Result<Self> {
        if split.offset > 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(match compression.is_gzip(&split.path) {
            true => Self::new(Gunzip::new(from, 0), true, true),
            false => Self::new(from, true, true),
        })
    }

    /// Reads up to `size` bytes into `chunk`, replacing what is there. Nothing means: the end.
    ///
    /// # Errors
    /// Returns the same errors as [`open`](Self::open). What could be read before the error was returned by
    /// earlier calls.
    pub(crate) fn read(&mut self, chunk: &mut Vec<u8>, size: usize) -> io::Result<()> {
        chunk.clear();
        if let Some(error) = self.stopped_by.take() {
            return Err(error);
        }
        chunk.resize(size, 0);
        let (filled, stopped_by) = self.fill(chunk);
        chunk.truncate(filled);
        match stopped_by {
            Some(error) if filled == 0 => return Err(error),
            stopped_by => self.stopped_by = stopped_by,
        }
        match Damage::of_text(chunk).filter(|_| std::mem::take(&mut self.at_start)) {
            Some(damage) => Err(damage.into()),
            None => Ok(()),
        }
    }

    fn fill(&mut self, chunk: &mut [u8]) -> (usize, Option<io::Error>) {
        let mut filled = 0;
        while filled < chunk.len() && !(self.is_stream && filled > 0) {
            match self.from.read(&mut chunk[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (filled, Some(error)),
            }
        }
        (filled, None)
    }
}

fn shorter(split: &FileSplit) -> io::Error {
    Damage::new(split.offset, "it is shorter than it was when it was read up to here").into()
}

fn first_bytes(file: &mut File) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    file.take(MAGIC.len() as u64).read_to_end(&mut start)?;
    Ok(start)
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
