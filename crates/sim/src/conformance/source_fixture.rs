//! What a source's test supplies.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_record::Result;
use millstream_stage::Rows;
use millstream_stage::raw::RawBatch;
use millstream_stage::source::Source;

use crate::world::{Simulated, World};

/// What is in a place: by split, the records in order.
pub type Content = BTreeMap<String, Vec<String>>;

/// A place filled with known records, and a bounded source that reads it.
#[derive(Debug)]
pub struct Prepared<S> {
    /// Reads from the beginning to what is there now, then ends.
    pub source: S,
    /// What it must give. A split that is known but empty is listed with no records.
    pub content: Content,
}

/// One record that a reader gave, as far as the checks need to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it stands in its split, if the source says so; grows from record to record.
    pub position: Option<i64>,
    /// What it says, equal to the text in [`Prepared::content`].
    pub text: String,
}

/// How a system is filled and what a reader's rows say.
///
/// Every check works in a place of its own: `place` is a name that no other check of the process gets, of
/// small letters, digits and `_`. Where a system outlives the process, put a prefix of the test run before
/// it.
pub trait SourceFixture {
    /// The source.
    type Source: Source;

    /// Where readers are driven: `TokioWorld` for clients that need Tokio, real time or threads of their own.
    fn world(&self) -> Result<Arc<dyn World>> {
        Ok(Arc::new(Simulated::default()))
    }

    /// Fills a place with so many splits of so many records each, or with what comes nearest to that (a
    /// source may know only one split), all different, and gives a source that reads it to its present end.
    fn prepare(&self, place: &str, splits: usize, records: usize) -> Result<Prepared<Self::Source>>;

    /// What the rows of one poll say, in order.
    fn messages(&self, rows: &Rows<<Self::Source as Source>::Out>) -> Vec<Message>;

    /// The most records that a poll may give when it was asked for this many: "about" as many.
    fn at_most(&self, budget: usize) -> usize {
        budget * 4 + 64
    }
}

/// A source that can also be read without an end.
pub trait UnboundedFixture: SourceFixture {
    /// Fills a place as [`prepare`](SourceFixture::prepare) does, and gives a source that goes on waiting at
    /// the end of what is there.
    fn unbounded(&self, place: &str, splits: usize, records: usize) -> Result<Self::Source>;
}

/// The messages of a source that gives fetched buffers: [`SourceFixture::messages`] for it.
pub fn messages(rows: &Rows<RawBatch>) -> Vec<Message> {
    let message = |record: millstream_stage::raw::RawRecord<'_>| Message {
        position: Some(record.position),
        text: String::from_utf8_lossy(record.bytes).into_owned(),
    };
    rows.rec.iter().flat_map(|batch| batch.iter().map(message)).collect()
}
