//! Decides whether the store or the item is at fault for a refusal of an unknown kind.
//!
//! A refusal that meets everything alike is the store's trouble, whatever its error says: a pipeline that is
//! missing, a limit that is reached, a right that was taken away. It passes when somebody sees to it, and
//! dead letters would have to be replayed. A refusal that meets one item while others of the same place are
//! written lies in that item. Where nothing else is to be written there, the item that was written last is
//! sent once more along with the one in doubt; only where nothing was ever written there is nothing to
//! compare with, and the item waits.

use std::collections::BTreeMap;

use millstream_stage::time::Nanos;

/// An item that was refused so often for an unknown reason, while others of its place were written, is at
/// fault itself.
pub const MOST_REFUSALS: u32 = 3;

/// More places than this in trouble at once are forgotten, and items wait a little longer.
const MOST_PLACES: usize = 1000;

/// What speaks against one item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Suspicion {
    /// Refusals that count.
    refusals: u32,
    /// When it was first refused, by itself or as part of a request.
    since: Option<Nanos>,
}

impl Suspicion {
    /// It was part of a request that was refused as a whole.
    pub(crate) fn begin(&mut self, now: Nanos) {
        self.since.get_or_insert(now);
    }
}

/// The places in which something was refused for an unknown reason.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    places: BTreeMap<String, SuspectPlace>,
}

#[derive(Debug, Default)]
struct SuspectPlace {
    /// When something was written there last.
    passed_at: Option<Nanos>,
    /// All items of the last request that held several items for this place were refused.
    all_refused: bool,
}

/// What became of a request's items for one place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) written: usize,
    pub(crate) unclear: usize,
}

impl Suspects {
    /// Whether anything is to be noted at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Notes what became of a request's items for a place.
    pub(crate) fn note(&mut self, place: &str, tally: Tally, now: Nanos) {
        if !self.places.contains_key(place) {
            if tally.unclear == 0 {
                return;
            }
            if self.places.len() >= MOST_PLACES {
                self.places.clear();
            }
        }
        let known = self.places.entry(place.to_owned()).or_default();
        if tally.written > 0 {
            known.passed_at = Some(now);
            known.all_refused = false;
        } else if tally.unclear > 1 {
            known.all_refused = true;
        }
    }

    /// An item of this place was refused. Whether it is at fault itself. Its request must have been noted.
    pub(crate) fn refused(&self, place: &str, suspicion: &mut Suspicion, now: Nanos) -> bool {
        suspicion.begin(now);
        suspicion.refusals += u32::from(self.others_pass(place, suspicion));
        suspicion.refusals >= MOST_REFUSALS
    }

    /// Whether others of its place were written since it was first refused.
    pub(crate) fn others_pass(&self, place: &str, suspicion: &Suspicion) -> bool {
        let known = self.places.get(place).filter(|known| !known.all_refused);
        known.is_some_and(|known| known.passed_at.zip(suspicion.since).is_some_and(|(at, since)| at >= since))
    }

    /// Nothing waits any more.
    pub(crate) fn clear(&mut self) {
        self.places.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSES: Tally = Tally { written: 4, unclear: 1 };
    const ALONE: Tally = Tally { written: 0, unclear: 1 };
    const ALL: Tally = Tally { written: 0, unclear: 5 };

    // How many of these requests it takes until the one item that is refused in all of them is at fault.
    fn guilty_after(requests: &[Tally]) -> Option<usize> {
        let (mut suspects, mut suspicion) = (Suspects::default(), Suspicion::default());
        (1..).zip(requests).find_map(|(number, tally)| {
            suspects.note("index", *tally, number);
            suspects.refused("index", &mut suspicion, number).then_some(number as usize)
        })
    }

    #[test]
    fn one_that_is_refused_while_others_pass_is_at_fault() {
        assert_eq!(guilty_after(&[PASSES, PASSES, PASSES]), Some(3));
        assert_eq!(guilty_after(&[PASSES, ALONE, ALONE]), Some(3), "alone later, as retries are");
        assert_eq!(guilty_after(&[ALONE, ALONE, PASSES, ALONE, ALONE]), Some(5));
    }

    #[test]
    fn what_meets_all_alike_is_the_stores_trouble() {
        assert_eq!(guilty_after(&[ALL; 20]), None);
        assert_eq!(guilty_after(&[ALONE; 20]), None);
        assert_eq!(
            guilty_after(&[PASSES, PASSES, ALL, ALONE, ALONE, ALONE]),
            None,
            "the trouble begins in between"
        );
        assert_eq!(
            guilty_after(&[ALL, ALONE, ALONE, PASSES, PASSES, PASSES]),
            Some(6),
            "and is over, but not for it"
        );
    }

    #[test]
    fn places_are_judged_apart_and_forgotten() {
        let (mut suspects, mut suspicion) = (Suspects::default(), Suspicion::default());
        suspects.note("healthy", Tally { written: 9, unclear: 0 }, 1);
        assert!(suspects.is_empty(), "nothing is noted while nothing is refused");
        for now in 1..9 {
            suspects.note("closed", ALL, now);
            suspects.note("healthy", PASSES, now);
            assert!(!suspects.refused("closed", &mut suspicion, now));
        }
        for place in 0..3 * MOST_PLACES {
            suspects.note(&place.to_string(), ALONE, 9);
        }
        assert!(suspects.places.len() <= MOST_PLACES);
    }
}
