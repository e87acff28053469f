//! Records of CSV lines.

use std::ops::Range;

use csv_core::{ReadRecordResult, Terminator};

use millstream_record::record::Data;
use millstream_stage::batch::Rows;
use millstream_stage::decode::{BYTE_ORDER_MARK, Decoder, Refused, Shape};
use millstream_stage::raw::RawBatch;
use millstream_stage::time::{PlausibleTimes, Time};

use crate::lines::without_return;

/// Makes a record, with its event time, of the fields of each line; or says why not, and the line goes to the
/// dead letter.
///
/// Fields may be quoted as in RFC 4180, but a field cannot span lines: one line is one message. A byte order
/// mark before the first field is no part of it, also where files with one were put together, nor is a line's
/// end behind the last one.
///
/// ```
/// use millstream_stage::time::Time;
/// use millstream_files::{CsvDecoder, Fields};
///
/// let decoder = CsvDecoder::new(|fields: &Fields<'_>| {
///     let [user, item, seconds] = fields.all()?;
///     let seconds: Time = seconds.parse().map_err(|_| format!("{seconds:?} is no time"))?;
///     Ok(((user.to_owned(), item.to_owned()), seconds * 1000))
/// });
/// # let _: CsvDecoder<(String, String), _> = decoder;
/// ```
#[derive(Clone)]
pub struct CsvDecoder<T, F> {
    make: F,
    delimiter: u8,
    plausible: Option<PlausibleTimes>,
    line: ParsedLine,
    record: std::marker::PhantomData<fn() -> T>,
}

impl<T, F> CsvDecoder<T, F>
where
    F: Fn(&Fields<'_>) -> Result<(T, Time), String>,
{
    /// A decoder of lines whose fields are separated by commas.
    pub fn new(make: F) -> Self {
        Self {
            make,
            delimiter: b',',
            plausible: None,
            line: ParsedLine::default(),
            record: std::marker::PhantomData,
        }
    }

    /// Another separator: a tab, a semicolon.
    #[must_use]
    pub fn with_delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// Refuses records whose event time is outside of these bounds. Without this every time is taken.
    #[must_use]
    pub fn with_plausible_times(mut self, plausible: PlausibleTimes) -> Self {
        self.plausible = Some(plausible);
        self
    }
}

impl<T, F> Decoder<T> for CsvDecoder<T, F>
where
    T: Data,
    F: Fn(&Fields<'_>) -> Result<(T, Time), String> + Clone + Send + Sync + 'static,
{
    fn decode(&mut self, batch: &RawBatch, now: Time, rows: &mut Rows<T>, refused: &mut Refused<'_>) {
        rows.rec.reserve(batch.len());
        rows.ts.reserve(batch.len());
        let plausible = self.plausible.map(|times| times.at(now));
        for message in batch.iter() {
            let fields = self.line.parse(without_rests(message.bytes), self.delimiter);
            let made = fields.and_then(|fields| (self.make)(&fields)).and_then(|(record, time)| {
                plausible.map_or(Ok(time), |times| times.check(time)).map(|time| (record, time))
            });
            match made {
                Ok((record, time)) => rows.push(record, time),
                Err(reason) => refused.push(message, with_hint(reason, message.bytes)),
            }
        }
    }

    fn fresh(&self) -> Box<dyn Decoder<T>> {
        Box::new(Self {
            plausible: self.plausible,
            ..Self::new(self.make.clone()).with_delimiter(self.delimiter)
        })
    }
}

// Messages may have what is no part of a line: a byte order mark, the line's end.
fn without_rests(message: &[u8]) -> &[u8] {
    let line = message.strip_prefix(BYTE_ORDER_MARK).unwrap_or(message);
    without_return(line.strip_suffix(b"\n").unwrap_or(line))
}

fn with_hint(reason: String, line: &[u8]) -> String {
    match Shape::of(line) {
        None | Some(Shape::Csv) => reason,
        Some(shape) => format!("{reason}; {shape}"),
    }
}

/// The fields of one line.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    text: &'a str,
    bounds: &'a [Range<usize>],
}

impl<'a> Fields<'a> {
    /// How many there are; at least one.
    pub fn len(&self) -> usize {
        self.bounds.len()
    }

    /// Whether there is none: never.
    pub fn is_empty(&self) -> bool {
        self.bounds.is_empty()
    }

    /// A field, counting from 0.
    pub fn get(&self, index: usize) -> Option<&'a str> {
        self.bounds.get(index).map(|bounds| &self.text[bounds.clone()])
    }

    /// All fields, if there are exactly so many.
    ///
    /// # Errors
    /// A sentence, for the dead letter.
    pub fn all<const N: usize>(&self) -> Result<[&'a str; N], String> {
        let bounds: &[Range<usize>; N] =
            self.bounds.try_into().map_err(|_| format!("{} fields instead of {N}", self.len()))?;
        Ok(bounds.each_ref().map(|bounds| &self.text[bounds.clone()]))
    }
}

// Where the fields of a line are, in its own bytes or, where quotes had to be taken away, in `unquoted`.
#[derive(Clone, Debug, Default)]
struct ParsedLine {
    bounds: Vec<Range<usize>>,
    unquoted: Vec<u8>,
    ends: Vec<usize>,
}

impl ParsedLine {
    fn parse<'a>(&'a mut self, line: &'a [u8], delimiter: u8) -> Result<Fields<'a>, String> {
        std::str::from_utf8(line).map_err(|error| format!("the line is not UTF-8: {error}"))?;
        self.bounds.clear();
        let bytes = if memchr::memchr(b'"', line).is_none() {
            self.split(line, delimiter);
            line
        } else {
            self.unquote(line, delimiter)?;
            &self.unquoted
        };
        // Both are pieces of a valid text between ASCII characters, but a foreign parser is not to be taken
        // at its word.
        let text = std::str::from_utf8(bytes).map_err(|error| format!("the line is not UTF-8: {error}"))?;
        Ok(Fields { text, bounds: &self.bounds })
    }

    fn split(&mut self, line: &[u8], delimiter: u8) {
        let mut start = 0;
        for end in memchr::memchr_iter(delimiter, line) {
            self.bounds.push(start..end);
            start = end + 1;
        }
        self.bounds.push(start..line.len());
    }

    fn unquote(&mut self, line: &[u8], delimiter: u8) -> Result<(), String> {
        // A carriage return alone ends nothing, with quotes or without.
        let ends_in = Terminator::Any(b'\n');
        let mut reader = csv_core::ReaderBuilder::new().delimiter(delimiter).terminator(ends_in).build();
        self.unquoted.resize(line.len() + 1, 0);
        self.ends.resize(line.len() + 2, 0);
        let (result, read, written, mut fields) =
            reader.read_record(line, &mut self.unquoted, &mut self.ends);
        if read < line.len() {
            return Err("it is more than one line".to_owned());
        }
        if result == ReadRecordResult::InputEmpty {
            // The end of the input ends the record, also within an open quote: only a closed one has got a
            // line's end through.
            fields += self.end(&mut reader, written, fields)?;
        }
        let ends = &self.ends[..fields];
        let starts = std::iter::once(0).chain(ends.iter().copied());
        self.bounds.extend(starts.zip(ends.iter().copied()).map(|(start, end)| start..end));
        Ok(())
    }

    fn end(&mut self, reader: &mut csv_core::Reader, written: usize, fields: usize) -> Result<usize, String> {
        let (result, _, _, more) =
            reader.read_record(b"\n", &mut self.unquoted[written..], &mut self.ends[fields..]);
        match result {
            ReadRecordResult::Record => Ok(more),
            _ => Err("a quote is not closed; a field cannot span lines".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(line: &[u8]) -> Result<Vec<String>, String> {
        let mut parsed = ParsedLine::default();
        let fields = parsed.parse(line, b',')?;
        Ok((0..fields.len()).map(|index| fields.get(index).unwrap().to_owned()).collect())
    }

    proptest! {
        #[test]
        fn a_written_row_is_read_back(row in proptest::collection::vec("[a-c\",; é]{0,6}", 1..6)) {
            let mut line = Vec::new();
            csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(&mut line).write_record(&row).unwrap();
            line.pop();
            prop_assert_eq!(fields(&line).unwrap(), row);
        }

        #[test]
        fn any_bytes_are_fields_or_a_reason(line in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(fields) = fields(&line) {
                prop_assert!(!fields.is_empty());
            }
        }
    }

    #[test]
    fn quotes_are_taken_away_and_must_be_closed() {
        assert_eq!(fields(b"1,\"a, \"\"b\"\"\",").unwrap(), ["1", "a, \"b\"", ""]);
        assert!(fields(b"1,\"a, b").unwrap_err().contains("not closed"));
        assert!(fields(b"1,\xff").unwrap_err().contains("not UTF-8"));
        assert!(fields(b"1,\"a\"\n2,b").unwrap_err().contains("more than one line"));
        assert_eq!(fields(b"").unwrap(), [""]);
    }

    #[test]
    fn nothing_behind_a_bare_carriage_return_is_lost() {
        assert_eq!(fields(b"1,\"a\"\r2,\"b\"").unwrap(), ["1", "a\r2", "b"]);
        assert_eq!(fields(b"1,a\r2,b").unwrap(), ["1", "a\r2", "b"]);
    }

    #[test]
    fn byte_order_marks_and_line_ends_are_no_part_of_fields_and_json_says_so() {
        let mut decoder = CsvDecoder::new(|fields: &Fields<'_>| {
            let [user, item] = fields.all()?;
            Ok((format!("{user}/{item}"), 0))
        });
        let mut batch = RawBatch::new("a.csv".into());
        for (position, line) in
            (1..).zip(["\u{feff}u1,1", "u2,2\r\n", "\u{feff}\"u3\",\"3\"\r\n", "{\"userId\":\"u4\"}"])
        {
            batch.push(line.as_bytes(), position, 0);
        }
        let (mut rows, mut letters) = (Rows::default(), Rows::default());
        decoder.decode(&batch, 99, &mut rows, &mut Refused::new("clicks", &batch, 99, &mut letters));
        assert_eq!(rows.rec, ["u1/1", "u2/2", "u3/3"]);
        let reason = "1 fields instead of 2; it is a JSON object: check the source's format";
        assert_eq!(letters.rec[0].reason, reason);
    }

    #[test]
    fn lines_become_records_or_dead_letters() {
        let mut decoder = CsvDecoder::new(|fields: &Fields<'_>| {
            let [user, seconds] = fields.all()?;
            let seconds: Time = seconds.parse().map_err(|_| format!("{seconds:?} is no time"))?;
            Ok((user.to_owned(), seconds * 1000))
        });
        let mut batch = RawBatch::new("a.csv".into());
        for (position, line) in (1..).zip(["u1,5", "u2", "u3,x", "u4,6"]) {
            batch.push(line.as_bytes(), position, 0);
        }
        let (mut rows, mut letters) = (Rows::default(), Rows::default());
        decoder.decode(&batch, 99, &mut rows, &mut Refused::new("clicks", &batch, 99, &mut letters));
        assert_eq!((rows.rec, rows.ts), (vec!["u1".to_owned(), "u4".to_owned()], vec![5000, 6000]));
        let reasons: Vec<_> =
            letters.rec.iter().map(|letter| (letter.position, letter.reason.as_str())).collect();
        assert_eq!(reasons, [(2, "1 fields instead of 2"), (3, "\"x\" is no time")]);
    }
}
