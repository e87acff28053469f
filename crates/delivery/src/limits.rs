//! How a store is to be written to.

use std::time::Duration;

/// When a request is sent, how many and how large, and for how long what fails is tried again. All of it
/// holds per writer.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A request is sent when so many items wait.
    pub batch_items: usize,
    /// A request has at most so many items.
    pub request_items: usize,
    /// A request is sent when items of so many bytes wait; it has no more, unless a single item has.
    pub request_bytes: usize,
    /// A request is sent when an item has waited so long.
    pub linger: Duration,
    /// Requests in flight at most.
    pub in_flight: usize,
    /// What is held at most, sent or not, before no more data is taken.
    pub buffer_bytes: usize,
    /// The pause after the first failure; it doubles with each further one.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// How long one item is repeated before the job goes back to its checkpoint, if ever.
    pub give_up: Option<Duration>,
    /// How long a store that is not ready is waited for at the start.
    pub start_timeout: Duration,
    /// After how long a request without an answer counts as lost. The store's own time-outs say more and
    /// should come first.
    pub answer_timeout: Duration,
}
