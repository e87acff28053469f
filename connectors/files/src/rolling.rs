//! A sink that writes a directory of files, which become visible when their checkpoint is complete.

mod config;
mod format;
mod local;
mod name;
mod output_directory;
#[cfg(feature = "parquet")]
mod parquet;
mod pending_file;
mod remote;
mod writer;

use std::sync::Arc;

use serde::Serialize;

use millstream_record::Result;
use millstream_record::record::Data;
use millstream_stage::OpenContext;
use millstream_stage::sink::{Guarantee, Sink, SinkWriter};

pub use config::RollingOptions;
pub use format::{PartFile, PartFormat};
#[cfg(feature = "parquet")]
pub use parquet::ParquetFormat;

use format::LinesFormat;
use writer::RollingWriter;

use crate::encode::{Csv, JsonLines};

/// Writes records to the files of a directory, exactly once: each file becomes visible, whole, when the
/// checkpoint is complete that has its last record. As Flink's `FileSink`.
///
/// - A file is closed when it is large or old enough (see [`RollingOptions`]) and becomes visible with the
///   next checkpoint. Formats that cannot be cut anywhere, and object stores, close their files at every
///   checkpoint.
/// - Files are called `part-<sink>-<epoch>-<subtask>-<number>.<format>`. While they grow, their names begin
///   with a dot and end in `.inprogress`: most readers pass such files over.
/// - After a crash, what a checkpoint holds of an open file is copied to a file of its own and shown; the
///   rest is written again.
/// - Without checkpoints nothing becomes visible before the end of a bounded input.
pub struct RollingFilesSink<T> {
    options: RollingOptions,
    format: Arc<dyn PartFormat<T>>,
}

impl<T> Clone for RollingFilesSink<T> {
    fn clone(&self) -> Self {
        Self { options: self.options.clone(), format: Arc::clone(&self.format) }
    }
}

impl<T: Data> RollingFilesSink<T> {
    /// Files of a format of one's own.
    pub fn new(options: RollingOptions, format: impl PartFormat<T>) -> Self {
        Self { options, format: Arc::new(format) }
    }

    /// CSV, each file with a header line of the struct's field names.
    pub fn csv(options: RollingOptions) -> Self
    where
        T: Serialize,
    {
        Self::new(options, LinesFormat::new("csv", Csv::default()))
    }

    /// One JSON object per line.
    pub fn json_lines(options: RollingOptions) -> Self
    where
        T: Serialize,
    {
        Self::new(options, LinesFormat::new("jsonl", JsonLines))
    }

    /// Parquet, a column per field.
    ///
    /// # Errors
    /// Returns the same errors as [`ParquetFormat::new`].
    #[cfg(feature = "parquet")]
    pub fn parquet(options: RollingOptions) -> Result<Self>
    where
        T: Serialize + serde::de::DeserializeOwned,
    {
        Ok(Self::new(options, ParquetFormat::new()?))
    }
}

impl<T: Data> Sink<T> for RollingFilesSink<T> {
    fn kind(&self) -> &'static str {
        "rolling files"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::Transactional
    }

    fn validate(&self) -> Result<()> {
        self.options.validate()
    }

    fn writer(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SinkWriter<T>>> {
        Ok(Box::new(RollingWriter::open(self.options.clone(), Arc::clone(&self.format), name, cx)?))
    }
}
