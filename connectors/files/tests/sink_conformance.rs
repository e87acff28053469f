//! The list for sinks, on real files: CSV, JSON lines and gzip, simulated and on real threads.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::io::Read;
use std::sync::Arc;

use millstream_files::{AtStart, Csv, FilesSink, FilesSinkOptions};
use millstream_record::{Error, Result};
use millstream_sim::conformance::{self, SinkFixture};
use millstream_sim::{Simulated, TokioWorld, World};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    key: u64,
    value: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nested: Option<Vec<Vec<u64>>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Csv,
    CsvNamed,
    Json,
    CsvGzip,
}

struct Files {
    directory: TempDir,
    format: Format,
    real: bool,
}

impl Files {
    fn new(format: Format, real: bool) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), format, real }
    }

    fn path(&self, place: &str) -> String {
        let extension = match self.format {
            Format::Csv | Format::CsvNamed => "csv",
            Format::Json => "jsonl",
            Format::CsvGzip => "csv.gz",
        };
        let path = self.directory.path().join("new").join(format!("{place}.{extension}"));
        path.to_str().unwrap().to_owned()
    }

    fn read(&self, place: &str) -> std::io::Result<String> {
        let path = self.path(place);
        if self.format != Format::CsvGzip {
            return fs::read_to_string(path);
        }
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(fs::File::open(path)?).read_to_string(&mut text)?;
        Ok(text)
    }
}

impl SinkFixture for Files {
    type Record = Row;
    type Sink = FilesSink<Row>;

    fn world(&self) -> Result<Arc<dyn World>> {
        if self.real { Ok(Arc::new(TokioWorld::new()?)) } else { Ok(Arc::new(Simulated::default())) }
    }

    fn sink(&self, place: &str) -> Result<FilesSink<Row>> {
        let at_start = AtStart::Append;
        let options = FilesSinkOptions { at_start, sync: false, ..FilesSinkOptions::to(self.path(place)) };
        Ok(match self.format {
            Format::Json => FilesSink::json_lines(options),
            Format::Csv | Format::CsvGzip => FilesSink::csv(options),
            Format::CsvNamed => FilesSink::new(options, Csv::with_columns(["key", "value"])),
        })
    }

    fn record(&self, key: u64, value: u64) -> Row {
        Row { key, value, nested: None }
    }

    fn visible(&self, place: &str) -> Result<Vec<(u64, u64)>> {
        let text = match self.read(place) {
            // Gzip of nothing is nothing at all.
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::UnexpectedEof
                ) =>
            {
                return Ok(Vec::new());
            }
            text => text.map_err(|error| Error::bug("unreadable").caused_by(error))?,
        };
        if !text.is_empty() && !text.ends_with('\n') {
            return Err(Error::bug("the file ends in half a line"));
        }
        if self.format == Format::Json {
            let wrong = |error: serde_json::Error| Error::bug("no JSON").caused_by(error);
            let row = |line| serde_json::from_str::<Row>(line).map(|row| (row.key, row.value)).map_err(wrong);
            return text.lines().map(row).collect();
        }
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let wrong = |error: csv::Error| Error::bug("no CSV").caused_by(error);
        if !text.is_empty() && reader.headers().map_err(wrong)? != ["key", "value"].as_slice() {
            return Err(Error::bug(format!("the header is {:?}", text.lines().next())));
        }
        reader.deserialize().map(|row| row.map_err(wrong)).collect()
    }

    fn refused(&self) -> Option<Row> {
        (self.format == Format::CsvNamed).then(|| Row { key: 1, value: 1, nested: Some(vec![vec![1]]) })
    }
}

#[test]
fn csv() {
    conformance::sink(&Files::new(Format::Csv, false)).unwrap();
}

#[test]
fn csv_with_columns_named_beforehand() {
    conformance::sink(&Files::new(Format::CsvNamed, false)).unwrap();
}

#[test]
fn json_lines() {
    conformance::sink(&Files::new(Format::Json, false)).unwrap();
}

#[test]
fn gzip() {
    conformance::sink(&Files::new(Format::CsvGzip, false)).unwrap();
}

#[test]
fn on_real_threads() {
    conformance::sink(&Files::new(Format::Csv, true)).unwrap();
}
