//! What a connector brings.

use std::sync::Arc;

use millstream_record::record::Data;
use millstream_record::{Error, Result};
use millstream_stage::{OpenContext, Version};

use crate::buffer::Items;
use crate::item::Item;
use crate::limits::Limits;
use crate::work::Work;

/// A record that becomes no item.
#[derive(Debug)]
pub enum ItemError {
    /// It can never be written: a dead letter.
    Refused {
        /// What the dead letter shows.
        value: Vec<u8>,
        /// Why.
        reason: String,
    },
    /// No record can be written.
    Stop(Error),
}

/// How records become items. It must depend on the record alone: a replay must give the same ids.
pub trait Mapping<T: Data>: Send + Sync + 'static {
    /// Where the items go.
    type Store: Store;

    /// Makes the store of one writer, and says how it is to be written to. No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration).
    fn open(&self, name: &str, cx: &OpenContext) -> Result<(Self::Store, Limits)>;

    /// What a record becomes.
    ///
    /// # Errors
    /// See [`ItemError`].
    fn item(&self, record: &T, version: Version) -> Result<<Self::Store as Store>::Item, ItemError>;
}

/// What the engine calls things of this store.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// The sink's kind, as in dead letters: `elasticsearch`.
    pub kind: &'static str,
    /// The product, for people: `Elasticsearch`.
    pub product: &'static str,
    /// The counter of items that the store holds in a newer version.
    pub stale: &'static str,
    /// The counter of items that the store was too busy for, if it says so.
    pub overloaded: Option<&'static str>,
    /// The setting of [`Limits::start_timeout`].
    pub start_timeout: &'static str,
    /// The setting of [`Limits::give_up`].
    pub give_up: &'static str,
}

/// What becomes of the items of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restoring {
    /// They are dealt to the subtasks and sent again. They keep their versions, so that whatever the new
    /// attempt writes is newer.
    Resend,
    /// Every subtask gets all of them and hands them to [`Store::start`], as the store fences by epoch alone:
    /// they must be written before anything of the new attempt.
    AtStart,
}

/// Why a store is not ready yet.
#[derive(Debug)]
pub enum NotReady {
    /// It may be soon.
    Wait(String),
    /// Not as the job is set up.
    Stop(Error),
}

/// What became of one item.
#[derive(Debug)]
pub enum Verdict {
    /// Written.
    Written,
    /// The store holds this version or a newer one.
    Stale,
    /// To be sent again: the reason lies in the store or in between.
    Wait {
        /// Why.
        reason: String,
        /// Whether the store asks for fewer and smaller requests.
        overloaded: bool,
    },
    /// It can never be written, for a reason that lies in it alone.
    Refused(String),
    /// Refused for a reason that the store's error does not tell apart: see
    /// [`MOST_REFUSALS`](crate::MOST_REFUSALS).
    Unclear(String),
    /// Nothing can be written.
    Stop(Error),
}

/// What became of a request.
#[derive(Debug)]
pub enum Reply {
    /// Each item's verdict, in order.
    Items(Vec<Verdict>),
    /// To be sent again; whether it was written is not known, and the versions make it the same.
    Wait {
        /// Why.
        reason: String,
        /// Whether the store asks for fewer and smaller requests.
        overloaded: bool,
    },
    /// To be sent in halves: too large, or spoilt by one of its items, of which this is the verdict once it
    /// is alone.
    Halve(Verdict),
    /// Nothing can be written. What a change of the store can cure (an error of kind
    /// [`Configuration`](millstream_record::ErrorKind::Configuration)) is waited for, since the store was
    /// ready before.
    Stop(Error),
}

/// A system that takes versioned writes. One per writer.
pub trait Store: Send + 'static {
    /// What is written.
    type Item: Item;

    /// What its things are called.
    fn names(&self) -> Names;

    /// What is in trouble when requests fail, such as `Redis at redis://shop:6379`: the same for all writers
    /// to the same system.
    fn subject(&self) -> String;

    /// What becomes of the items of a snapshot.
    fn restoring(&self) -> Restoring {
        Restoring::Resend
    }

    /// One attempt to find out whether the store is ready and to put in place what is needed. Called until it
    /// succeeds. `restored` is what [`Restoring::AtStart`] brings, and empty otherwise.
    fn start(&mut self, restored: &Arc<Vec<Self::Item>>) -> Work<Result<(), NotReady>>;

    /// One request with these items. It should end in bounded time; one that is lost counts as failed after
    /// [`Limits::answer_timeout`].
    fn request(&mut self, items: Items<'_, Self::Item>) -> Work<Reply>;

    /// Reads what [`Item::freeze`] wrote, in this version or in an earlier one.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) when it is damaged.
    fn thaw(&self, item: &[u8]) -> Result<(Self::Item, Version)>;
}
