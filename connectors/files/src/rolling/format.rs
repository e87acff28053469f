//! Records as the bytes of files, one file after the other.

use std::sync::Arc;

use crate::encode::Encode;

/// A format of files. One instance serves all subtasks.
pub trait PartFormat<T>: Send + Sync + 'static {
    /// What file names end in, without the dot.
    fn extension(&self) -> &str;
    /// Whether a file may be cut behind any record: such files stay open over checkpoints.
    fn can_be_cut(&self) -> bool;
    /// A new file.
    fn part(&self) -> Box<dyn PartFile<T>>;
    /// What a dead letter shows of a record that cannot be written.
    fn describe(&self, record: &T) -> Vec<u8>;
}

/// A file that is being made.
pub trait PartFile<T>: Send {
    /// Adds a record.
    ///
    /// # Errors
    /// Why the record cannot be written: it goes to the dead letter, and nothing of it to the file.
    fn add(&mut self, record: &T) -> Result<(), String>;
    /// Takes the bytes that are ready.
    ///
    /// # Errors
    /// Why the file cannot be made.
    fn take(&mut self) -> Result<Vec<u8>, String>;
    /// Takes the rest: the file ends here.
    ///
    /// # Errors
    /// Why the file cannot be made.
    fn finish(self: Box<Self>) -> Result<Vec<u8>, String>;
}

/// Lines, of whatever encoding.
pub(crate) struct LinesFormat<E> {
    extension: &'static str,
    encode: Arc<E>,
}

impl<E> LinesFormat<E> {
    pub(crate) fn new(extension: &'static str, encode: E) -> Self {
        Self { extension, encode: Arc::new(encode) }
    }
}

impl<T: 'static, E: Encode<T>> PartFormat<T> for LinesFormat<E> {
    fn extension(&self) -> &str {
        self.extension
    }

    fn can_be_cut(&self) -> bool {
        true
    }

    fn part(&self) -> Box<dyn PartFile<T>> {
        Box::new(LinesPart { encode: Arc::clone(&self.encode), lines: Vec::new(), begun: false })
    }

    fn describe(&self, record: &T) -> Vec<u8> {
        self.encode.describe(record)
    }
}

struct LinesPart<E> {
    encode: Arc<E>,
    lines: Vec<u8>,
    begun: bool,
}

impl<T: 'static, E: Encode<T>> PartFile<T> for LinesPart<E> {
    fn add(&mut self, record: &T) -> Result<(), String> {
        let before = self.lines.len();
        if !self.begun {
            self.lines.extend(self.encode.header(Some(record))?.unwrap_or_default());
        }
        let encoded = self.encode.encode(record, &mut self.lines);
        match &encoded {
            Ok(()) => self.begun = true,
            Err(_) => self.lines.truncate(before),
        }
        encoded
    }

    fn take(&mut self) -> Result<Vec<u8>, String> {
        Ok(std::mem::take(&mut self.lines))
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, String> {
        Ok(self.lines)
    }
}
