//! A growing row of values in small segments: a snapshot shares them with whoever goes on writing.
//!
//! To freeze the row is to share its directory; a segment is copied when it is first written to afterwards,
//! and not at all if the snapshot has been written out by then. Reading and writing costs no atomic
//! operation: a segment that is not shared is owned.

use std::sync::Arc;

/// Values per segment. Small enough that the copy behind a barrier is short, large enough that the directory
/// is.
const SEGMENT: usize = 256;

/// Values by position. Positions do not move; those that nobody has written to hold the default.
pub(crate) struct Segments<T>(Vec<Segment<T>>);

// An array and no vector: nothing more to load or to check on the way to a value.
type Values<T> = Box<[T; SEGMENT]>;

enum Segment<T> {
    Own(Values<T>),
    /// Also in a snapshot, unless that is gone.
    Shared(Arc<Values<T>>),
    /// Only while one of the others turns into the other.
    Moving,
}

impl<T> Default for Segments<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Segment<T> {
    #[inline]
    fn value(&self, place: usize) -> Option<&T> {
        match self {
            Self::Own(values) => Some(&values[place % SEGMENT]),
            Self::Shared(values) => Some(&values[place % SEGMENT]),
            Self::Moving => None,
        }
    }

    fn share(&mut self) -> Self {
        let shared = match std::mem::replace(self, Self::Moving) {
            Self::Own(values) => Arc::new(values),
            Self::Shared(values) => values,
            Self::Moving => return Self::Moving,
        };
        *self = Self::Shared(Arc::clone(&shared));
        Self::Shared(shared)
    }
}

impl<T: Clone> Segment<T> {
    #[inline]
    fn value_mut(&mut self, place: usize) -> Option<&mut T> {
        if !matches!(self, Self::Own(_)) {
            self.take_back();
        }
        match self {
            Self::Own(values) => Some(&mut values[place % SEGMENT]),
            Self::Shared(_) | Self::Moving => None,
        }
    }

    // The snapshot's own copy stays as it is; when there is none any more, nothing is copied.
    #[cold]
    fn take_back(&mut self) {
        if let Self::Shared(shared) = std::mem::replace(self, Self::Moving) {
            let copy = |shared: Arc<Values<T>>| boxed(shared.iter().cloned());
            *self = Self::Own(Arc::try_unwrap(shared).unwrap_or_else(copy));
        }
    }
}

// By way of a vector: never on the stack.
fn boxed<T>(values: impl Iterator<Item = T>) -> Values<T> {
    let values = values.collect::<Vec<_>>().into_boxed_slice().try_into();
    values.unwrap_or_else(|_| unreachable!("a segment has {SEGMENT} values"))
}

impl<T> Segments<T> {
    #[inline]
    pub(crate) fn get(&self, position: usize) -> Option<&T> {
        self.0.get(position / SEGMENT)?.value(position)
    }

    /// Room so far.
    pub(crate) fn len(&self) -> usize {
        self.0.len() * SEGMENT
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len()).filter_map(|position| self.get(position))
    }

    /// All values as they are now. Work per segment, not per value.
    pub(crate) fn freeze(&mut self) -> Self {
        Self(self.0.iter_mut().map(Segment::share).collect())
    }
}

impl<T: Clone + Default> Segments<T> {
    #[inline]
    pub(crate) fn get_mut(&mut self, position: usize) -> Option<&mut T> {
        self.0.get_mut(position / SEGMENT)?.value_mut(position)
    }

    /// The value at a position, with room up to there.
    #[inline]
    pub(crate) fn at(&mut self, position: usize) -> &mut T {
        if self.len() <= position {
            self.grow(position);
        }
        self.get_mut(position).expect("there is room up to here")
    }

    #[cold]
    fn grow(&mut self, position: usize) {
        while self.len() <= position {
            self.0.push(Segment::Own(boxed((0..SEGMENT).map(|_| T::default()))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_frozen_stays_while_the_row_goes_on() {
        let mut row = Segments::<i64>::default();
        (0..1000).for_each(|number| *row.at(number as usize) = number);
        let first = row.freeze();
        *row.get_mut(300).unwrap() = -1;
        let second = row.freeze();
        *row.at(1500) = -2;
        assert!(first.iter().copied().take(1000).eq(0..1000));
        assert_eq!((second.get(300), second.get(1500)), (Some(&-1), None));
        assert_eq!((row.get(300), row.get(999), row.get(1400)), (Some(&-1), Some(&999), Some(&0)));
        assert_eq!((row.get(1500), row.get(first.len())), (Some(&-2), Some(&0)));
    }

    #[test]
    fn a_segment_is_copied_only_while_a_snapshot_needs_it() {
        let mut row = Segments::<i64>::default();
        *row.at(600) = 1;
        let address = |row: &Segments<i64>, position| std::ptr::from_ref(row.get(position).unwrap());
        let (before, other) = (address(&row, 0), address(&row, 599));
        let frozen = row.freeze();
        *row.at(1) = 1;
        assert_ne!(address(&row, 0), before, "written to while it is shared");
        assert_eq!(address(&row, 599), other, "not written to");
        drop(frozen);
        *row.at(598) = 1;
        assert_eq!(address(&row, 599), other, "nobody shares it any more");
    }
}
