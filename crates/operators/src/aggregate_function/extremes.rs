//! The least and the greatest.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::sync::Arc;

use millstream_record::Record;

use super::AggregateFunction;
use super::read::of_a_value;

of_a_value! {
    /// The least value of all records, `None` of no record. A value without an order, such as NaN, is left
    /// out.
    ///
    /// ```
    /// use millstream_operators::window::{AggregateFunction, Min};
    ///
    /// let lowest = Min::of(|price: &f64| *price);
    /// let mut acc = lowest.create();
    /// [2.5, f64::NAN, 1.5].iter().for_each(|price| lowest.add(&mut acc, price));
    /// assert_eq!(lowest.result(&acc), Some(1.5));
    /// ```
    Min: Record + PartialOrd
}

of_a_value! {
    /// The greatest value of all records, `None` of no record. A value without an order, such as NaN, is left
    /// out.
    Max: Record + PartialOrd
}

/// Keeps the value that ranks first, the older one of two that are equal.
fn keep<V: PartialOrd>(acc: &mut Option<V>, value: V, first: Ordering) {
    let ordered = value.partial_cmp(&value).is_some();
    let better = acc.as_ref().is_none_or(|kept| value.partial_cmp(kept) == Some(first));
    if ordered && better {
        *acc = Some(value);
    }
}

macro_rules! extreme {
    ($name:ident, $first:expr) => {
        impl<T, V, F> AggregateFunction<T> for $name<T, F>
        where
            T: 'static,
            V: Record + PartialOrd,
            F: Fn(&T) -> V + Send + Sync + 'static,
        {
            type Acc = Option<V>;
            type Out = Option<V>;
            fn create(&self) -> Option<V> {
                None
            }
            fn add(&self, acc: &mut Option<V>, record: &T) {
                keep(acc, (self.read)(record), $first);
            }
            fn merge(&self, acc: &mut Option<V>, other: Option<V>) {
                if let Some(value) = other {
                    keep(acc, value, $first);
                }
            }
            fn result(&self, acc: &Option<V>) -> Option<V> {
                acc.clone()
            }
        }
    };
}
extreme!(Min, Ordering::Less);
extreme!(Max, Ordering::Greater);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_neither_the_least_nor_the_greatest() {
        let (min, max) = (Min::of(|number: &f64| *number), Max::of(|number: &f64| *number));
        let (mut least, mut greatest) = (min.create(), max.create());
        for number in [f64::NAN, 2.0, f64::NAN, -1.0, 7.0] {
            min.add(&mut least, &number);
            max.add(&mut greatest, &number);
        }
        assert_eq!((min.result(&least), max.result(&greatest)), (Some(-1.0), Some(7.0)));
    }

    #[test]
    fn merging_keeps_the_better_of_two_and_what_there_is() {
        let longest = Max::of(|word: &String| word.len() as u64);
        let mut acc = longest.create();
        longest.merge(&mut acc, Some(3));
        longest.merge(&mut acc, None);
        longest.merge(&mut acc, Some(2));
        assert_eq!(longest.result(&acc), Some(3));
    }
}
