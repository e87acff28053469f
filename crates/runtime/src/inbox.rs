//! The inbox of one subtask: a queue for each of its incoming channels, bounded in bytes, and the driver's
//! commands.
//!
//! There is one lock per batch, not per record. A subtask that finds nothing parks; nothing polls.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Wake;
use std::time::Duration;

use millstream_protocol::subtask;
use millstream_protocol::subtask::{Channels, SubtaskProtocol};
use millstream_stage::Batch;
use millstream_stage::metrics::SubtaskMetrics;
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::stage::End;
use millstream_stage::time::{Clock, Nanos};
use millstream_stage::watermark::WatermarkEvent;
use parking_lot::{Condvar, Mutex, MutexGuard};

/// What travels on a channel.
pub(crate) enum Element {
    Batch(Batch),
    Watermark(WatermarkEvent),
    Barrier(CheckpointId),
    End(End),
}

// What an element costs beside its records: keeps queues of tiny elements bounded too.
const OVERHEAD: usize = 64;

impl Element {
    fn size(&self) -> usize {
        match self {
            Self::Batch(batch) => OVERHEAD + batch.bytes as usize,
            _ => OVERHEAD,
        }
    }
}

/// What the driver tells a subtask's thread.
pub(crate) enum ThreadCommand {
    /// Every subtask is open: go.
    Run,
    /// Something of the job's protocol.
    Protocol(subtask::SubtaskCommand),
    /// All subtasks have ended: close.
    Release,
}

/// The job is being aborted: leave at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aborted;

/// What the subtask waits for.
pub(crate) struct Want<'a> {
    pub(crate) channels: Channels,
    /// Says which channels are held back.
    pub(crate) protocol: &'a SubtaskProtocol,
    /// Do not park.
    pub(crate) at_once: bool,
    /// Park until then at the longest, by the monotonic clock.
    pub(crate) until: Option<Nanos>,
}

/// What came.
pub(crate) enum Taken {
    Element(usize, Element),
    Command(ThreadCommand),
    /// The stage's waker was called.
    Woken,
    /// Nothing is there and the caller did not want to wait, or has waited long enough.
    Nothing,
}

/// One subtask's inbox. Each channel has one sender; the subtask is the only taker.
pub(crate) struct Inbox {
    state: Mutex<State>,
    news: Condvar,
    room: Vec<Condvar>,
    lane_bytes: usize,
    clock: Arc<dyn Clock>,
    metrics: Arc<SubtaskMetrics>,
}

struct State {
    channels: Vec<Channel>,
    turn: usize,
    queued: usize,
    commands: VecDeque<ThreadCommand>,
    woken: bool,
    parked: bool,
    aborted: bool,
}

#[derive(Default)]
struct Channel {
    queue: VecDeque<Element>,
    bytes: usize,
    sender_waits: bool,
}

impl Inbox {
    pub(crate) fn new(
        channels: usize,
        bytes: usize,
        clock: Arc<dyn Clock>,
        metrics: Arc<SubtaskMetrics>,
    ) -> Self {
        let lane_bytes = (bytes / channels.max(1)).max(1);
        metrics.queue_capacity.set((lane_bytes * channels) as i64);
        let state = State {
            channels: (0..channels).map(|_| Channel::default()).collect(),
            turn: 0,
            queued: 0,
            commands: VecDeque::new(),
            woken: false,
            parked: false,
            aborted: false,
        };
        let room = (0..channels).map(|_| Condvar::new()).collect();
        Self { state: Mutex::new(state), news: Condvar::new(), room, lane_bytes, clock, metrics }
    }

    /// Puts an element into a channel, after waiting for room; says whether it had to wait.
    pub(crate) fn send(&self, channel: usize, element: Element) -> Result<bool, Aborted> {
        let size = element.size();
        let mut state = self.lock();
        let mut waited = false;
        while !state.aborted && !state.channels[channel].has_room(size, self.lane_bytes) {
            waited = true;
            state.channels[channel].sender_waits = true;
            self.room[channel].wait(&mut state);
        }
        if state.aborted {
            return Err(Aborted);
        }
        let was_empty = state.channels[channel].queue.is_empty();
        let added = state.channels[channel].push(element, size);
        self.count(&mut state, added as isize);
        // A channel that was not empty is one that the taker does not want: it would not be parked otherwise.
        if was_empty {
            self.unpark(state);
        }
        Ok(waited)
    }

    /// Gives the subtask a command.
    pub(crate) fn command(&self, command: ThreadCommand) {
        let mut state = self.lock();
        state.commands.push_back(command);
        self.unpark(state);
    }

    /// Makes every sender and the taker leave.
    pub(crate) fn abort(&self) {
        self.lock().aborted = true;
        self.news.notify_all();
        for room in &self.room {
            room.notify_all();
        }
    }

    /// The next thing to do for the subtask: commands first, then wake-ups, then elements.
    pub(crate) fn take(&self, want: &Want<'_>) -> Result<Taken, Aborted> {
        let mut state = self.lock();
        loop {
            if state.aborted {
                return Err(Aborted);
            }
            if let Some(taken) = self.next(&mut state, want) {
                return Ok(taken);
            }
            let Some(patience) = self.patience(want) else {
                return Ok(Taken::Nothing);
            };
            state.parked = true;
            self.news.wait_for(&mut state, patience);
            state.parked = false;
        }
    }

    fn next(&self, state: &mut State, want: &Want<'_>) -> Option<Taken> {
        if let Some(command) = state.commands.pop_front() {
            return Some(Taken::Command(command));
        }
        if std::mem::take(&mut state.woken) {
            return Some(Taken::Woken);
        }
        let channel = state.choose(want)?;
        let (element, freed) = state.channels[channel].pop()?;
        self.count(state, -(freed as isize));
        let waits = state.channels[channel].bytes <= self.lane_bytes / 2;
        if waits && std::mem::take(&mut state.channels[channel].sender_waits) {
            self.room[channel].notify_one();
        }
        Some(Taken::Element(channel, element))
    }

    // How long to park; none for not at all.
    fn patience(&self, want: &Want<'_>) -> Option<Duration> {
        if want.at_once {
            return None;
        }
        let Some(until) = want.until else {
            return Some(Duration::MAX);
        };
        let left = until.saturating_sub(self.clock.nanos());
        (left > 0).then(|| Duration::from_nanos(left))
    }

    fn count(&self, state: &mut State, bytes: isize) {
        state.queued = state.queued.saturating_add_signed(bytes);
        self.metrics.queued_bytes.set(state.queued as i64);
    }

    fn unpark(&self, state: MutexGuard<'_, State>) {
        let parked = state.parked;
        drop(state);
        if parked {
            self.news.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Wake for Inbox {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.lock();
        state.woken = true;
        self.unpark(state);
    }
}

impl State {
    // Channels take turns, so that none starves.
    fn choose(&mut self, want: &Want<'_>) -> Option<usize> {
        if want.channels == Channels::None {
            return None;
        }
        let channels = self.channels.len();
        let fits =
            |channel: &usize| !want.protocol.is_held(*channel) && self.channels[*channel].fits(want.channels);
        let channel = (0..channels).map(|step| (self.turn + step) % channels).find(fits)?;
        self.turn = (channel + 1) % channels;
        Some(channel)
    }
}

impl Channel {
    fn has_room(&self, size: usize, capacity: usize) -> bool {
        self.bytes == 0 || self.bytes + size <= capacity
    }

    // A watermark that nobody has looked at is replaced by the next one. Gives the bytes added.
    fn push(&mut self, element: Element, size: usize) -> usize {
        if let (
            Element::Watermark(WatermarkEvent::Watermark(_)),
            Some(last @ Element::Watermark(WatermarkEvent::Watermark(_))),
        ) = (&element, self.queue.back_mut())
        {
            *last = element;
            return 0;
        }
        self.queue.push_back(element);
        self.bytes += size;
        size
    }

    fn pop(&mut self) -> Option<(Element, usize)> {
        let element = self.queue.pop_front()?;
        let size = element.size();
        self.bytes -= size;
        Some((element, size))
    }

    fn fits(&self, channels: Channels) -> bool {
        match channels {
            Channels::All => !self.queue.is_empty(),
            Channels::Barriers => matches!(self.queue.front(), Some(Element::Barrier(_))),
            Channels::None => false,
        }
    }
}
