//! A sink that writes a file.

use std::sync::Arc;

use serde::Serialize;

use millstream_record::Result;
use millstream_record::record::Data;
use millstream_stage::OpenContext;
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::sink::{Guarantee, OutputLocation, Sink, SinkWriter};

use crate::config::FilesSinkOptions;
use crate::dead_letter_json::dead_letter_json;
use crate::encode::{Csv, Encode, JsonLines, Lines};
use crate::target::Target;
use crate::writer::FileWriter;

/// Writes records as lines of one file, whatever the parallelism: the subtasks append whole lines, in no
/// order among each other.
///
/// - A job that starts afresh empties the file, appends to it or refuses to start, as
///   [`at_start`](FilesSinkOptions::at_start) says; a restored job goes on behind what is there. All subtasks
///   must be in one process for that to be done once: where they are not (Flink), give the sink parallelism
///   1.
/// - A flush waits until everything is written and, with [`sync`](FilesSinkOptions::sync), on the disk.
/// - The guarantee is at least once: what was written after the last checkpoint is written again after a
///   crash.
/// - With gzip, a crash in mid-write can leave a damaged member behind, and what follows it cannot be read.
///   Plain files heal themselves.
pub struct FilesSink<T> {
    options: FilesSinkOptions,
    encoder: Arc<dyn Encode<T>>,
    target: Arc<Target>,
}

impl<T> Clone for FilesSink<T> {
    fn clone(&self) -> Self {
        let (encoder, target) = (Arc::clone(&self.encoder), Arc::clone(&self.target));
        Self { options: self.options.clone(), encoder, target }
    }
}

impl<T: Data> FilesSink<T> {
    /// A sink with a format of its own.
    pub fn new(options: FilesSinkOptions, encoder: impl Encode<T>) -> Self {
        let target = Arc::new(Target::new(options.clone()));
        Self { options, encoder: Arc::new(encoder), target }
    }

    /// CSV with a header line of the struct's field names. See [`Csv::with_columns`] for a header in a file
    /// without rows.
    pub fn csv(options: FilesSinkOptions) -> Self
    where
        T: Serialize,
    {
        Self::new(options, Csv::default())
    }

    /// One JSON object per line.
    pub fn json_lines(options: FilesSinkOptions) -> Self
    where
        T: Serialize,
    {
        Self::new(options, JsonLines)
    }

    /// Lines that a function appends to its second argument, with their ends.
    pub fn lines(
        options: FilesSinkOptions,
        append: impl Fn(&T, &mut Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        Self::new(options, Lines::new(append))
    }
}

impl FilesSink<DeadLetter> {
    /// Dead letters as JSON lines, see [`dead_letter_json`]. Set [`at_start`](FilesSinkOptions::at_start) to
    /// append: what an earlier run could not use is not this one's to delete.
    pub fn dead_letters(options: FilesSinkOptions) -> Self {
        Self::lines(options, |letter, out| {
            out.extend(dead_letter_json(letter));
            out.push(b'\n');
        })
    }
}

impl<T: Data> Sink<T> for FilesSink<T> {
    fn kind(&self) -> &'static str {
        "files"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn validate(&self) -> Result<()> {
        self.options.validate()
    }

    fn outputs(&self) -> Vec<OutputLocation> {
        vec![OutputLocation::File(self.options.path.clone())]
    }

    fn writer(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SinkWriter<T>>> {
        Ok(Box::new(FileWriter::open(&self.options, Arc::clone(&self.encoder), &self.target, name, cx)?))
    }
}
