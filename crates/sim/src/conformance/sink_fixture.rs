//! What a sink's test supplies.

use std::sync::Arc;

use millstream_record::Result;
use millstream_record::record::Data;
use millstream_stage::sink::{Guarantee, Sink};

use crate::world::{Simulated, World};

/// How a sink is made and how to see what it wrote. Records are known by a key and a value.
///
/// Every check works in a place of its own: `place` is a name that no other check of the process gets, of
/// small letters, digits and `_`, fit for a table, an index or a directory. Where a system outlives the
/// process, put a prefix of the test run before it.
pub trait SinkFixture {
    /// What the sink writes.
    type Record: Data;
    /// The sink.
    type Sink: Sink<Self::Record>;

    /// Where the sink is driven: `TokioWorld` for clients that need Tokio, real time or threads of their own.
    fn world(&self) -> Result<Arc<dyn World>> {
        Ok(Arc::new(Simulated::default()))
    }

    /// A sink that writes into a place. Called several times for the same one, as by a job that is started
    /// again: what is there stays.
    fn sink(&self, place: &str) -> Result<Self::Sink>;

    /// A record with this key and this value. Keys and values are below 2^32.
    fn record(&self, key: u64, value: u64) -> Self::Record;

    /// All keys and values that a reader of the system sees in a place, in any order; what is there twice is
    /// given twice. A place that nothing was written to is empty.
    fn visible(&self, place: &str) -> Result<Vec<(u64, u64)>>;

    /// Whether the system keeps one value per key, the last one. By default so where the guarantee rests on
    /// it.
    fn keyed(&self, sink: &Self::Sink) -> bool {
        matches!(sink.guarantee(), Guarantee::Idempotent | Guarantee::IdempotentFenced)
    }

    /// Ten times as many records as the writer's buffer holds.
    fn large(&self) -> u64 {
        20_000
    }

    /// Whether what was written becomes visible after a while without a flush. A sink that only writes at a
    /// flush says no, and its results are as old as the last one.
    fn writes_by_age(&self, sink: &Self::Sink) -> bool {
        sink.guarantee() != Guarantee::Transactional
    }

    /// A record that the system refuses for ever, such as one against its mapping, if there is any.
    fn refused(&self) -> Option<Self::Record> {
        None
    }
}
