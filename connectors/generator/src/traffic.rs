//! The traffic itself: from a seed to events, and nothing else.

use std::sync::Arc;

use millstream_stage::time::{Time, millis};

use crate::broken::BrokenKind;
use crate::chance::{Chance, Draw, For};
use crate::config::GeneratorOptions;
use crate::event::ShopEvent;
use crate::shape::Shape;

/// What is wrong with an event, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is the event of this earlier position once more.
    Duplicate(u64),
    /// It is late.
    Late,
    /// It says that it is from 2037.
    Future,
    /// It says that it is from 1902.
    Ancient,
    /// Its bytes are broken.
    Broken(BrokenKind),
}

/// What comes at one position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shot {
    /// The position in this part of the traffic.
    pub position: u64,
    /// The event; where the bytes are broken, what it was before.
    pub event: ShopEvent,
    /// What is wrong with it.
    pub fault: Fault,
    place: u32,
}

impl Shot {
    /// Appends the bytes: JSON, unless they are broken.
    pub fn write(&self, options: &GeneratorOptions, out: &mut Vec<u8>) {
        let Fault::Broken(kind) = self.fault else {
            return self.event.write_json(&options.fields, out);
        };
        let mut json = Vec::new();
        self.event.write_json(&options.fields, &mut json);
        kind.write(&json, self.place, out);
    }
}

/// One split of the traffic: an iterator that can be set to any position.
///
/// ```
/// use millstream_generator::{GeneratorOptions, ShopTraffic};
///
/// let options = GeneratorOptions { count: Some(1000), splits: 1, ..GeneratorOptions::default() };
/// let mut traffic = ShopTraffic::new(options, 0, 1_511_658_000_000);
/// let last = traffic.by_ref().last().unwrap();
/// traffic.seek(999);
/// assert_eq!(traffic.next(), Some(last));
/// ```
#[derive(Clone, Debug)]
pub struct ShopTraffic {
    options: Arc<GeneratorOptions>,
    shape: Shape,
    split: u16,
    start: Time,
    position: u64,
    end: Option<u64>,
    chance: Chance,
    looking_back: Chance,
}

// A duplicate is one of so many events before it.
const DUPLICATES_REACH: u64 = 100;
const DAY: Time = 24 * 60 * 60 * 1000;
// 1 January 2037 and 1 January 1902, UTC
const FUTURE: Time = 2_114_380_800_000;
const ANCIENT: Time = -2_145_916_800_000;

impl ShopTraffic {
    /// The traffic of one of the splits, from its beginning. `start` is the event time of the first event:
    /// see [`GeneratorOptions::start`].
    pub fn new(options: impl Into<Arc<GeneratorOptions>>, split: u16, start: Time) -> Self {
        let options = options.into();
        let chance = Chance::new(options.seed, u64::from(split));
        Self {
            shape: Shape::new(&options),
            split,
            start,
            position: 0,
            end: options.total_of(split),
            looking_back: chance.clone(),
            chance,
            options,
        }
    }

    /// Goes on with the event at this position.
    pub fn seek(&mut self, position: u64) {
        self.position = position;
    }

    /// The position of the next event.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many events are left; none where there is no end.
    pub fn left(&self) -> Option<u64> {
        self.end.map(|end| end.saturating_sub(self.position))
    }

    fn at(&mut self, position: u64) -> Shot {
        let draw = self.chance.at(position);
        let fault = self.fault(position, &draw);
        let event = match fault {
            Fault::Duplicate(original) => {
                let draw = self.looking_back.at(original);
                self.event(original, &draw)
            }
            _ => self.event(position, &draw),
        };
        let timestamp = self.time_of(fault, &event, &draw);
        Shot { position, event: ShopEvent { timestamp, ..event }, fault, place: draw.word(For::FaultWhere) }
    }

    // As it is where nothing is wrong with it.
    fn event(&self, position: u64, draw: &Draw) -> ShopEvent {
        let options = &self.options;
        let disorder = draw.below(For::Time, millis(options.disorder) as u64 + 1);
        let timestamp = self.newest(position) - disorder as Time;
        let unit = draw.unit(For::Hot);
        let hot = (unit < options.hot).then(|| (unit / options.hot * options.hot_users as f64) as u64);
        ShopEvent::draw(&self.shape, draw, (self.split, position), timestamp, hot)
    }

    // The newest event time up to a position. The splits take turns.
    fn newest(&self, position: u64) -> Time {
        let number = position * u64::from(self.options.splits) + u64::from(self.split);
        self.start.saturating_add((number as f64 * 1000.0 / self.options.event_rate()) as Time)
    }

    fn fault(&mut self, position: u64, draw: &Draw) -> Fault {
        match self.plain_fault(draw) {
            Fault::Duplicate(_) => self.original(position, draw).map_or(Fault::None, Fault::Duplicate),
            fault => fault,
        }
    }

    // What is drawn, before it is known whether there is anything to duplicate.
    fn plain_fault(&self, draw: &Draw) -> Fault {
        let options = &self.options;
        let kinds = &options.broken_kinds;
        let kind = draw.below(For::FaultKind, kinds.len() as u64) as usize;
        let broken = kinds.get(kind).map_or(Fault::None, |kind| Fault::Broken(*kind));
        let shares = [
            (options.broken, broken),
            (options.duplicates, Fault::Duplicate(0)),
            (options.late, Fault::Late),
            (options.future, Fault::Future),
            (options.ancient, Fault::Ancient),
        ];
        let mut unit = draw.unit(For::Fault);
        for (share, fault) in shares {
            if unit < share {
                return fault;
            }
            unit -= share;
        }
        Fault::None
    }

    // An earlier event with nothing wrong, not too far behind.
    fn original(&mut self, position: u64, draw: &Draw) -> Option<u64> {
        let oldest = self.newest(position) - millis(self.options.disorder).max(1000);
        let reach = DUPLICATES_REACH.min(position);
        let farthest = 1 + draw.below(For::FaultWhere, reach);
        (1..=farthest.min(reach)).rev().map(|back| position - back).find(|earlier| {
            let draw = self.looking_back.at(*earlier);
            self.newest(*earlier) >= oldest
                && self.plain_fault(&draw) == Fault::None
                && self.event(*earlier, &draw).timestamp >= oldest
        })
    }

    fn time_of(&self, fault: Fault, event: &ShopEvent, draw: &Draw) -> Time {
        let year = draw.below(For::FaultWhere, 365 * DAY as u64) as Time;
        match fault {
            Fault::None | Fault::Duplicate(_) | Fault::Broken(_) => event.timestamp,
            Fault::Late => {
                let late_by = millis(self.options.late_by);
                event.timestamp - late_by - draw.below(For::FaultWhere, late_by as u64 + 1) as Time
            }
            Fault::Future => FUTURE + year,
            Fault::Ancient => ANCIENT + year,
        }
    }
}

impl Iterator for ShopTraffic {
    type Item = Shot;

    fn next(&mut self) -> Option<Shot> {
        if self.end.is_some_and(|end| self.position >= end) {
            return None;
        }
        let shot = self.at(self.position);
        self.position += 1;
        Some(shot)
    }
}
