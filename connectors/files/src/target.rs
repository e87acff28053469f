//! The one file that all subtasks of a sink write to. Its calls block: they run where that is allowed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use parking_lot::Mutex;

use millstream_record::{Error, Result};

use crate::config::{AtStart, FilesSinkOptions, STANDARD};
use crate::errors;

/// Shared by the writers of a sink. What is done once per attempt, such as emptying the file, the first of
/// them does.
pub(crate) struct Target {
    options: FilesSinkOptions,
    begun: Mutex<Option<JobEpoch>>,
    stream_begun: Arc<Mutex<bool>>,
}

/// An attempt to run a job: its name and epoch.
pub(crate) type JobEpoch = (String, u64);

impl Target {
    pub(crate) fn new(options: FilesSinkOptions) -> Self {
        Self { options, begun: Mutex::default(), stream_begun: Arc::default() }
    }

    /// Opens the file for one writer. `restored`: what is there belongs to this job and stays.
    pub(crate) fn open(&self, attempt: JobEpoch, restored: bool) -> Result<Appender> {
        let path = &self.options.path;
        let gzip = self.options.compression.is_gzip(path);
        let to = match self.stream()? {
            Some(stream) => To::Stream(stream, Arc::clone(&self.stream_begun)),
            None => {
                let mut begun = self.begun.lock();
                let afresh = !restored && begun.as_ref() != Some(&attempt);
                let file = open_file(path, afresh.then_some(self.options.at_start))?;
                *begun = Some(attempt);
                end_torn_line(&file, gzip).map_err(|error| errors::writing(path, error))?;
                To::File(file)
            }
        };
        Ok(Appender { path: path.clone(), gzip, header: Vec::new(), to })
    }

    fn stream(&self) -> Result<Option<Box<dyn Write + Send>>> {
        let path = &self.options.path;
        if path == STANDARD {
            return Ok(Some(Box::new(io::stdout())));
        }
        if fs::metadata(path).map_or(true, |found| found.is_file() || found.is_dir()) {
            return Ok(None);
        }
        // Opening a pipe waits for its reader; the devices there are to write to are ready at once.
        let device = OpenOptions::new().write(true).open(path);
        device.map(|device| Some(Box::new(device) as _)).map_err(|error| errors::writing(path, error))
    }
}

fn open_file(path: &str, at_start: Option<AtStart>) -> Result<File> {
    let writing = |error| errors::writing(path, error);
    if let Some(directory) = Path::new(path).parent() {
        fs::create_dir_all(directory).map_err(|error| errors::making(directory.display(), error))?;
    }
    // It is read to compare the header and to see how the last line ends.
    let file = OpenOptions::new().read(true).append(true).create(true).open(path);
    let file = file.map_err(|error| errors::making(path, error))?;
    match at_start {
        Some(AtStart::Replace) => file.set_len(0).map_err(writing)?,
        Some(AtStart::Refuse) if length(&file).map_err(writing)? > 0 => {
            return Err(Error::configuration(format!(
                "{path} exists already: move it away, or set at-start to replace or append"
            )));
        }
        Some(AtStart::Append | AtStart::Refuse) | None => {}
    }
    Ok(file)
}

// A crash in mid-write leaves half a line: what follows must not be taken for its end.
fn end_torn_line(file: &File, gzip: bool) -> io::Result<()> {
    let mut file = Locked::new(file)?;
    if gzip || length(file.0)? == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.0.seek(SeekFrom::End(-1))?;
    file.0.read_exact(&mut last)?;
    if last == *b"\n" { Ok(()) } else { file.0.write_all(b"\n") }
}

/// One writer's way to the file. Blocks of several writers, also of several processes, follow each other
/// whole.
pub(crate) struct Appender {
    path: String,
    gzip: bool,
    // For a file that is made anew, or emptied.
    header: Vec<u8>,
    to: To,
}

enum To {
    File(File),
    // Whether the header was written; holding it keeps the blocks of the process apart.
    Stream(Box<dyn Write + Send>, Arc<Mutex<bool>>),
}

impl Appender {
    /// Appends whole lines and, where nothing is there, the `header` before them. Gives the bytes that it
    /// took. A file that somebody has moved away or deleted meanwhile is made anew: lines that are written to
    /// a deleted one would be lost.
    ///
    /// # Errors
    /// Also when what is there begins with another header.
    pub(crate) fn append(&mut self, header: Option<&[u8]>, lines: &[u8], sync: bool) -> Result<u64> {
        if let Some(header) = header {
            self.header = header.to_vec();
        }
        self.reopen_where_gone()?;
        let written = match &mut self.to {
            To::Stream(stream, begun) => write_stream(stream, &mut begun.lock(), self.gzip, header, lines),
            To::File(file) => {
                match write_file(file, self.gzip, &self.header, header.is_some(), lines, sync) {
                    Ok(Header::Fits(written)) => Ok(written),
                    Ok(Header::Differs(there)) => return Err(other_columns(&self.path, header, &there)),
                    Err(error) => Err(error),
                }
            }
        };
        written.map_err(|error| errors::writing(&self.path, error))
    }

    fn reopen_where_gone(&mut self) -> Result<()> {
        let To::File(file) = &mut self.to else { return Ok(()) };
        if is_at(file, &self.path).map_err(|error| errors::writing(&self.path, error))? {
            return Ok(());
        }
        tracing::warn!(
            path = self.path,
            "the file was moved away or deleted while the job writes to it: it is made anew"
        );
        *file = open_file(&self.path, None)?;
        Ok(())
    }
}

// Whether the path still leads to this file.
fn is_at(file: &File, path: &str) -> io::Result<bool> {
    let identity = |found: fs::Metadata| (found.dev(), found.ino());
    match fs::metadata(path) {
        Ok(there) => Ok(identity(there) == identity(file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        // It cannot be looked at; whether it can be written will show.
        Err(_) => Ok(true),
    }
}

fn write_stream(
    stream: &mut impl Write,
    begun: &mut bool,
    gzip: bool,
    header: Option<&[u8]>,
    lines: &[u8],
) -> io::Result<u64> {
    let header = header.filter(|_| !std::mem::replace(begun, true));
    let block = [packed(gzip, header.unwrap_or_default())?, packed(gzip, lines)?].concat();
    stream.write_all(&block)?;
    stream.flush()?;
    Ok(block.len() as u64)
}

enum Header {
    Fits(u64),
    Differs(Vec<u8>),
}

// `compare`: what is there must begin with this header.
fn write_file(
    file: &File,
    gzip: bool,
    header: &[u8],
    compare: bool,
    lines: &[u8],
    sync: bool,
) -> io::Result<Header> {
    let mut file = Locked::new(file)?;
    let before = length(file.0)?;
    let mut block = Vec::new();
    if before == 0 {
        block = packed(gzip, header)?;
    } else if compare && !header.is_empty() {
        let there = first_line(file.0, gzip)?;
        if there != header {
            return Ok(Header::Differs(there));
        }
    }
    block.extend(packed(gzip, lines)?);
    if let Err(error) = file.0.write_all(&block) {
        // Half a block is of no use. Where this fails too, the torn line is ended when the job starts again.
        let _ = file.0.set_len(before);
        return Err(error);
    }
    if sync {
        file.0.sync_data()?;
    }
    Ok(Header::Fits(block.len() as u64))
}

fn packed(gzip: bool, lines: &[u8]) -> io::Result<Vec<u8>> {
    if !gzip || lines.is_empty() {
        return Ok(lines.to_vec());
    }
    let mut member = GzEncoder::new(Vec::new(), flate2::Compression::default());
    member.write_all(lines)?;
    member.finish()
}

fn first_line(mut file: &File, gzip: bool) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(0))?;
    let from = BufReader::new(file);
    let mut from: Box<dyn BufRead> =
        if gzip { Box::new(BufReader::new(MultiGzDecoder::new(from))) } else { Box::new(from) };
    let mut line = Vec::new();
    from.by_ref().take(64 << 10).read_until(b'\n', &mut line)?;
    Ok(line)
}

fn other_columns(path: &str, header: Option<&[u8]>, there: &[u8]) -> Error {
    let text = |line: &[u8]| String::from_utf8_lossy(line).trim_end().to_owned();
    let (there, header) = (text(there), text(header.unwrap_or_default()));
    Error::configuration(format!(
        "{path} begins with {there:?} instead of {header:?}: move it away, or set at-start to replace"
    ))
}

fn length(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.len())
}

// Held against writers that have opened the file themselves, in this process or another. Some network file
// systems have no locks: there, one writer per file is all that is safe.
struct Locked<'a>(&'a File);

impl<'a> Locked<'a> {
    fn new(file: &'a File) -> io::Result<Self> {
        match file.lock() {
            Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
            _ => Ok(Self(file)),
        }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // Closing the file frees it too.
        let _ = self.0.unlock();
    }
}
