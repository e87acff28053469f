//! Timers of keys, in event time and processing time.

use millstream_record::Record;
use millstream_stage::time::Time;

/// Which clock a timer follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerKind {
    /// The watermark.
    EventTime,
    /// The wall clock.
    ProcessingTime,
}

/// A timer that has come due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// The time that was asked for.
    pub time: Time,
    /// By which clock.
    pub kind: TimerKind,
}

/// The timers of one key: they live with its state, so that a snapshot has them without a walk over the index
/// below. Most keys have none.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyTimers(Option<Box<Lists>>);

/// In ascending order.
#[derive(Clone, Debug, Default, Record)]
struct Lists {
    event: Vec<Time>,
    processing: Vec<Time>,
}

impl Lists {
    fn of(&mut self, kind: TimerKind) -> &mut Vec<Time> {
        match kind {
            TimerKind::EventTime => &mut self.event,
            TimerKind::ProcessingTime => &mut self.processing,
        }
    }
}

impl KeyTimers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it was not there yet.
    pub(super) fn add(&mut self, kind: TimerKind, time: Time) -> bool {
        let times = self.0.get_or_insert_default().of(kind);
        let place = times.binary_search(&time);
        place.is_err_and(|place| {
            times.insert(place, time);
            true
        })
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, kind: TimerKind, time: Time) -> bool {
        let Some(lists) = &mut self.0 else { return false };
        let times = lists.of(kind);
        let Ok(place) = times.binary_search(&time) else { return false };
        times.remove(place);
        if lists.event.is_empty() && lists.processing.is_empty() {
            self.0 = None;
        }
        true
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TimerKind, Time)> {
        let lists = self.0.as_deref();
        let event =
            lists.into_iter().flat_map(|lists| &lists.event).map(|time| (TimerKind::EventTime, *time));
        let processing = lists.into_iter().flat_map(|lists| &lists.processing);
        event.chain(processing.map(|time| (TimerKind::ProcessingTime, *time)))
    }

    pub(super) fn heap_size(&self) -> usize {
        self.0
            .as_ref()
            .map_or(0, |lists| size_of::<Lists>() + lists.event.heap_size() + lists.processing.heap_size())
    }

    /// Appends both lists.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Some(lists) => lists.encode(out),
            None => Lists::default().encode(out),
        }
    }

    pub(super) fn decode(bytes: &mut &[u8]) -> millstream_record::Result<Self> {
        let lists = Lists::decode(bytes)?;
        let none = lists.event.is_empty() && lists.processing.is_empty();
        Ok(Self((!none).then(|| Box::new(lists))))
    }
}
