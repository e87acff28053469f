//! Records as lines.

use std::marker::PhantomData;
use std::sync::OnceLock;

use serde::Serialize;

/// Writes records as lines. One instance serves all subtasks.
pub trait Encode<T>: Send + Sync + 'static {
    /// The header line, with its end, that a file of such records begins with. Without a record: only if it
    /// is known beforehand.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    fn header(&self, _: Option<&T>) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }
    /// Appends whole lines, with their ends.
    ///
    /// # Errors
    /// Why the record cannot be written: it goes to the dead letter, and nothing of it to the file.
    fn encode(&self, record: &T, out: &mut Vec<u8>) -> Result<(), String>;
    /// What a dead letter shows of a record that cannot be written.
    fn describe(&self, record: &T) -> Vec<u8>;
}

/// CSV with a header line of the struct's field names, by way of `serde`.
#[derive(Clone, Debug, Default)]
pub struct Csv {
    columns: Option<Vec<String>>,
    // How many fields the first record has: lists of different lengths would make rows that no reader takes.
    width: OnceLock<usize>,
}

impl Csv {
    /// Names the columns beforehand, so that a file without rows has its header too. They must be those of
    /// the struct.
    pub fn with_columns<C: Into<String>>(columns: impl IntoIterator<Item = C>) -> Self {
        Self { columns: Some(columns.into_iter().map(Into::into).collect()), width: OnceLock::new() }
    }

    fn named(&self) -> Result<Option<Vec<u8>>, String> {
        let Some(columns) = &self.columns else { return Ok(None) };
        let mut line = Vec::new();
        write_row(columns, false, &mut line)?;
        Ok(Some(line))
    }
}

impl<T: Serialize + 'static> Encode<T> for Csv {
    fn header(&self, record: Option<&T>) -> Result<Option<Vec<u8>>, String> {
        let named = self.named()?;
        let Some(record) = record else { return Ok(named) };
        let (mut with_header, mut row) = (Vec::new(), Vec::new());
        write_row(record, true, &mut with_header)?;
        write_row(record, false, &mut row)?;
        with_header.truncate(with_header.len() - row.len());
        self.width.get_or_init(|| width(&row));
        match named {
            Some(named) if named != with_header => Err(format!(
                "the columns are set to {:?} but the records have {:?}",
                String::from_utf8_lossy(&named).trim_end(),
                String::from_utf8_lossy(&with_header).trim_end(),
            )),
            _ => Ok(Some(with_header)),
        }
    }

    fn encode(&self, record: &T, out: &mut Vec<u8>) -> Result<(), String> {
        let start = out.len();
        write_row(record, false, out)?;
        let fields = width(&out[start..]);
        match *self.width.get_or_init(|| fields) {
            wanted if wanted != fields => Err(format!("it has {fields} fields instead of {wanted}")),
            _ => Ok(()),
        }
    }

    fn describe(&self, record: &T) -> Vec<u8> {
        serde_json::to_vec(record).unwrap_or_default()
    }
}

// How many fields a row has. Quotes within a quoted field are doubled, so that they count for nothing.
fn width(row: &[u8]) -> usize {
    let mut quoted = false;
    let separators = row.iter().filter(|byte| {
        quoted ^= **byte == b'"';
        **byte == b',' && !quoted
    });
    separators.count() + 1
}

fn write_row<T: Serialize + ?Sized>(record: &T, header: bool, out: &mut Vec<u8>) -> Result<(), String> {
    let mut writer = csv::WriterBuilder::new().has_headers(header).buffer_capacity(512).from_writer(out);
    writer.serialize(record).map_err(|error| error.to_string())?;
    writer.flush().map_err(|error| error.to_string())
}

/// One JSON object per line, by way of `serde`.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonLines;

impl<T: Serialize + 'static> Encode<T> for JsonLines {
    fn encode(&self, record: &T, out: &mut Vec<u8>) -> Result<(), String> {
        serde_json::to_writer(&mut *out, record).map_err(|error| error.to_string())?;
        out.push(b'\n');
        Ok(())
    }

    fn describe(&self, record: &T) -> Vec<u8> {
        format!("a {}", std::any::type_name_of_val(record)).into_bytes()
    }
}

/// Lines that a function appends, with their ends: none, one or several per record.
pub struct Lines<T, F>(F, PhantomData<fn(&T)>);

impl<T, F: Fn(&T, &mut Vec<u8>)> Lines<T, F> {
    /// Lines of this function.
    pub fn new(append: F) -> Self {
        Self(append, PhantomData)
    }
}

impl<T: 'static, F: Fn(&T, &mut Vec<u8>) + Send + Sync + 'static> Encode<T> for Lines<T, F> {
    fn encode(&self, record: &T, out: &mut Vec<u8>) -> Result<(), String> {
        (self.0)(record, out);
        Ok(())
    }

    fn describe(&self, record: &T) -> Vec<u8> {
        let mut lines = Vec::new();
        (self.0)(record, &mut lines);
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Row {
        user_id: &'static str,
        window_end: i64,
        price: Option<f64>,
    }

    const ROW: Row = Row { user_id: "a,\"b\"", window_end: -5, price: None };

    #[test]
    fn csv_rows_and_their_header() {
        let csv = Csv::default();
        let mut out = Vec::new();
        csv.encode(&ROW, &mut out).unwrap();
        assert_eq!(out, b"\"a,\"\"b\"\"\",-5,\n");
        assert_eq!(csv.header(Some(&ROW)).unwrap().unwrap(), b"user_id,window_end,price\n");
        assert_eq!(Encode::<Row>::header(&csv, None), Ok(None));
    }

    #[test]
    fn columns_named_beforehand_must_be_those_of_the_record() {
        let csv = Csv::with_columns(["user_id", "window_end", "price"]);
        assert_eq!(Encode::<Row>::header(&csv, None).unwrap().unwrap(), b"user_id,window_end,price\n");
        assert!(csv.header(Some(&ROW)).is_ok());
        let other = Csv::with_columns(["user", "window_end", "price"]);
        assert!(
            other.header(Some(&ROW)).unwrap_err().contains("the records have \"user_id,window_end,price\"")
        );
    }

    #[test]
    fn json_lines() {
        let mut out = Vec::new();
        JsonLines.encode(&ROW, &mut out).unwrap();
        assert_eq!(out, b"{\"user_id\":\"a,\\\"b\\\"\",\"window_end\":-5,\"price\":null}\n");
    }

    #[test]
    fn what_csv_cannot_hold_is_refused() {
        let lists = Csv::default();
        assert!(lists.encode(&vec!["a", "b,c"], &mut Vec::new()).is_ok());
        let longer = lists.encode(&vec!["a", "b", "c"], &mut Vec::new());
        assert_eq!(longer, Err("it has 3 fields instead of 2".to_owned()));
        let nested = vec![std::collections::BTreeMap::from([("a", 1)])];
        assert!(Csv::default().encode(&nested, &mut Vec::new()).is_err());
        assert_eq!(Csv::default().describe(&nested), b"[{\"a\":1}]");
    }
}
