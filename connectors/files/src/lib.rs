//! Files in and out of a pipeline: lines of text, CSV, JSON; plain or gzip; standard input and output.
//!
//! - [`FilesSource`] reads files line by line: one line is one message. [`CsvDecoder`] makes records of CSV
//!   lines.
//! - [`FilesSink`] writes one file from all subtasks: CSV with a header line, JSON lines, or lines of your
//!   own.
//! - [`dead_letter_json`] is the form of a dead letter in files and topics.

mod config;
mod csv_decoder;
mod damage;
mod dead_letter_json;
mod encode;
mod enumerator;
mod errors;
mod gzip;
mod input;
mod lines;
mod reader;
mod rolling;
mod shorter_dead_letter;
mod sink;
mod source;
mod split;
mod stored_dead_letter;
mod target;
mod writer;

pub use config::{AtStart, Compression, FilesSinkOptions, FilesSourceOptions, Paths};
pub use csv_decoder::{CsvDecoder, Fields};
pub use dead_letter_json::dead_letter_json;
pub use encode::{Csv, Encode, JsonLines, Lines};
#[cfg(feature = "parquet")]
pub use rolling::ParquetFormat;
pub use rolling::{PartFile, PartFormat, RollingFilesSink, RollingOptions};
pub use shorter_dead_letter::shorter_dead_letter_json;
pub use sink::FilesSink;
pub use source::FilesSource;
pub use stored_dead_letter::StoredDeadLetter;
