//! What is written.

use millstream_stage::Version;

/// One write: an id and its new value, ready to be sent.
pub trait Item: Send + Sync + 'static {
    /// The hash of its id.
    fn hash(&self) -> u64;
    /// Whether both write the same id.
    fn same_id(&self, other: &Self) -> bool;
    /// Bytes in a request; counted in `bytes_out`.
    fn bytes(&self) -> usize;
    /// Bytes in memory, without the item itself.
    fn memory(&self) -> usize;
    /// The part of the store that it goes to and that can be in trouble by itself, such as an index.
    fn place(&self) -> &str {
        ""
    }
    /// For people, such as `document "1" of index "clicks"`.
    fn title(&self) -> String;
    /// The value, for a dead letter.
    fn value(&self) -> Vec<u8>;
    /// Its form in a snapshot, which every later version must read.
    fn freeze(&self, version: Version) -> Vec<u8>;
}
