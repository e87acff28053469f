//! Parquet, by way of `serde` and Arrow.

use std::io::{self, Write};
use std::marker::PhantomData;
use std::sync::Arc;

use arrow_schema::{FieldRef, Schema, SchemaRef};
use millstream_record::record::Data;
use millstream_record::{Error, Result};
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_arrow::schema::{SchemaLike, TracingOptions};

use super::format::{PartFile, PartFormat};

// Rows that become one Arrow batch.
const BATCH: usize = 1024;

/// Parquet files with a column per field, LZ4-compressed. The columns follow from the record's type.
pub struct ParquetFormat<T> {
    fields: Vec<FieldRef>,
    of: PhantomData<fn(&T)>,
}

impl<T: Data + Serialize + DeserializeOwned> ParquetFormat<T> {
    /// The columns of this type.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for a type that has no
    /// columns, such as a number.
    pub fn new() -> Result<Self> {
        let fields = Vec::<FieldRef>::from_type::<T>(TracingOptions::default()).map_err(|error| {
            let name = std::any::type_name::<T>();
            Error::configuration(format!(
                "{name} cannot be written as Parquet: a struct of simple fields can"
            ))
            .caused_by(error.to_string())
        })?;
        Ok(Self { fields, of: PhantomData })
    }
}

impl<T: Data + Serialize> PartFormat<T> for ParquetFormat<T> {
    fn extension(&self) -> &str {
        "parquet"
    }

    fn can_be_cut(&self) -> bool {
        false
    }

    fn part(&self) -> Box<dyn PartFile<T>> {
        Box::new(ParquetPart {
            fields: self.fields.clone(),
            rows: Vec::new(),
            out: PartBuffer::default(),
            writer: None,
        })
    }

    fn describe(&self, record: &T) -> Vec<u8> {
        serde_json::to_vec(record).unwrap_or_default()
    }
}

struct ParquetPart<T> {
    fields: Vec<FieldRef>,
    rows: Vec<T>,
    out: PartBuffer,
    writer: Option<ArrowWriter<PartBuffer>>,
}

// The writer keeps its output; this is how its bytes are taken before the end.
#[derive(Clone, Default)]
struct PartBuffer(Arc<Mutex<Vec<u8>>>);

impl PartBuffer {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Write for PartBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: Data + Serialize> ParquetPart<T> {
    fn write_rows(&mut self) -> Result<(), String> {
        let batch =
            serde_arrow::to_record_batch(&self.fields, &self.rows).map_err(|error| error.to_string())?;
        self.rows.clear();
        self.writer()?.write(&batch).map_err(|error| error.to_string())
    }

    fn writer(&mut self) -> Result<&mut ArrowWriter<PartBuffer>, String> {
        if self.writer.is_none() {
            let schema: SchemaRef = Arc::new(Schema::new(self.fields.clone()));
            let properties = WriterProperties::builder().set_compression(Compression::LZ4_RAW).build();
            let writer = ArrowWriter::try_new(self.out.clone(), schema, Some(properties));
            self.writer = Some(writer.map_err(|error| error.to_string())?);
        }
        self.writer.as_mut().ok_or_else(|| "the writer was just made".to_owned())
    }
}

impl<T: Data + Serialize> PartFile<T> for ParquetPart<T> {
    fn add(&mut self, record: &T) -> Result<(), String> {
        self.rows.push(record.clone());
        if self.rows.len() < BATCH { Ok(()) } else { self.write_rows() }
    }

    fn take(&mut self) -> Result<Vec<u8>, String> {
        Ok(self.out.take())
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<u8>, String> {
        self.write_rows()?;
        if let Some(writer) = self.writer.take() {
            writer.close().map_err(|error| error.to_string())?;
        }
        Ok(self.out.take())
    }
}
