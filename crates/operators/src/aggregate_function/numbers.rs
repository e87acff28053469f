//! Sums and averages.

use std::marker::PhantomData;
use std::sync::Arc;

use millstream_record::Record;

use super::AggregateFunction;
use super::read::of_a_value;

/// A number that [`Sum`] and [`Average`] add up.
pub trait Number {
    /// What is kept of the numbers so far.
    type Partial: Record;
    /// Their sum.
    type Total;
    /// Their average.
    type Mean;
    /// What is kept of no number.
    fn zero() -> Self::Partial;
    /// Adds this number.
    fn add_to(self, partial: &mut Self::Partial);
    /// Adds what was kept of other numbers.
    fn merge(partial: &mut Self::Partial, other: Self::Partial);
    /// The sum so far.
    fn total(partial: &Self::Partial) -> Self::Total;
    /// The average of `count` numbers, of at least one.
    fn mean(partial: &Self::Partial, count: u64) -> Self::Mean;
}

of_a_value! {
    /// Adds up a number of each record.
    ///
    /// - Integers: `i64` (`u64` for a `u64`). A sum beyond that range stays at its end; it does not change
    ///   its sign.
    /// - Floats: `f64`, with Neumaier's compensated summation, so that neither the number of records nor the
    ///   order in which they come and accumulators merge is seen in the result, but for its last digits.
    /// - `rust_decimal::Decimal` (feature `decimal`): exact, for amounts of money.
    ///
    /// ```
    /// use millstream_operators::window::{AggregateFunction, Sum};
    ///
    /// let sum = Sum::of(|price: &f64| *price);
    /// let mut acc = sum.create();
    /// [1e16, 1.0, -1e16].iter().for_each(|price| sum.add(&mut acc, price));
    /// assert_eq!(sum.result(&acc), 1.0);
    /// ```
    Sum: Number
}

impl<T, N, F> AggregateFunction<T> for Sum<T, F>
where
    T: 'static,
    N: Number,
    F: Fn(&T) -> N + Send + Sync + 'static,
{
    type Acc = N::Partial;
    type Out = N::Total;
    fn create(&self) -> N::Partial {
        N::zero()
    }
    fn add(&self, acc: &mut N::Partial, record: &T) {
        (self.read)(record).add_to(acc);
    }
    fn merge(&self, acc: &mut N::Partial, other: N::Partial) {
        N::merge(acc, other);
    }
    fn result(&self, acc: &N::Partial) -> N::Total {
        N::total(acc)
    }
}

of_a_value! {
    /// The average of a number of each record, `None` of no record: an `f64`, or a `Decimal` where the
    /// numbers are decimals. Sums are kept as those of [`Sum`].
    ///
    /// ```
    /// use millstream_operators::window::{AggregateFunction, Average};
    ///
    /// let average = Average::of(|cents: &i64| *cents);
    /// let mut acc = average.create();
    /// [1, 2].iter().for_each(|cents| average.add(&mut acc, cents));
    /// assert_eq!(average.result(&acc), Some(1.5));
    /// ```
    Average: Number
}

impl<T, N, F> AggregateFunction<T> for Average<T, F>
where
    T: 'static,
    N: Number,
    F: Fn(&T) -> N + Send + Sync + 'static,
{
    type Acc = (N::Partial, u64);
    type Out = Option<N::Mean>;
    fn create(&self) -> Self::Acc {
        (N::zero(), 0)
    }
    fn add(&self, (sum, count): &mut Self::Acc, record: &T) {
        (self.read)(record).add_to(sum);
        *count += 1;
    }
    fn merge(&self, (sum, count): &mut Self::Acc, (other, others): Self::Acc) {
        N::merge(sum, other);
        *count += others;
    }
    fn result(&self, (sum, count): &Self::Acc) -> Option<N::Mean> {
        (*count > 0).then(|| N::mean(sum, *count))
    }
}

macro_rules! integers {
    ($kept:ty: $($number:ty),*) => {$(
        impl Number for $number {
            type Partial = $kept;
            type Total = $kept;
            type Mean = f64;
            fn zero() -> $kept {
                0
            }
            fn add_to(self, partial: &mut $kept) {
                *partial = partial.saturating_add(self.into());
            }
            fn merge(partial: &mut $kept, other: $kept) {
                *partial = partial.saturating_add(other);
            }
            fn total(partial: &$kept) -> $kept {
                *partial
            }
            fn mean(partial: &$kept, count: u64) -> f64 {
                *partial as f64 / count as f64
            }
        }
    )*};
}
integers!(i64: i64, i32, u32, u16, u8);
integers!(u64: u64);

/// A sum of floats with what rounding has lost of it, after Neumaier (1974).
#[derive(Clone, Copy, Debug, Default, PartialEq, Record)]
pub struct CompensatedSum {
    /// The rounded sum.
    pub sum: f64,
    /// What is to be added to it.
    pub compensation: f64,
}

impl CompensatedSum {
    fn add(&mut self, number: f64) {
        let sum = self.sum + number;
        let (large, small) =
            if self.sum.abs() >= number.abs() { (self.sum, number) } else { (number, self.sum) };
        self.compensation += (large - sum) + small;
        self.sum = sum;
    }

    fn total(&self) -> f64 {
        // An infinite sum has no rounding error that could be added.
        if self.sum.is_finite() { self.sum + self.compensation } else { self.sum }
    }
}

macro_rules! floats {
    ($($number:ty),*) => {$(
        impl Number for $number {
            type Partial = CompensatedSum;
            type Total = f64;
            type Mean = f64;
            fn zero() -> CompensatedSum {
                CompensatedSum::default()
            }
            fn add_to(self, partial: &mut CompensatedSum) {
                partial.add(self.into());
            }
            fn merge(partial: &mut CompensatedSum, other: CompensatedSum) {
                partial.add(other.sum);
                partial.compensation += other.compensation;
            }
            fn total(partial: &CompensatedSum) -> f64 {
                partial.total()
            }
            fn mean(partial: &CompensatedSum, count: u64) -> f64 {
                partial.total() / count as f64
            }
        }
    )*};
}
floats!(f64, f32);

// A sum or an average beyond the range of a decimal, some 7.9e28, stays at its end, as that of integers does.
#[cfg(feature = "decimal")]
impl Number for rust_decimal::Decimal {
    type Partial = Self;
    type Total = Self;
    type Mean = Self;
    fn zero() -> Self {
        Self::ZERO
    }
    fn add_to(self, partial: &mut Self) {
        *partial = partial.saturating_add(self);
    }
    fn merge(partial: &mut Self, other: Self) {
        *partial = partial.saturating_add(other);
    }
    fn total(partial: &Self) -> Self {
        *partial
    }
    fn mean(partial: &Self, count: u64) -> Self {
        partial.checked_div(count.into()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum_of<N: Number + Clone + Send + Sync + 'static>(parts: &[&[N]]) -> N::Total {
        let sum = Sum::of(|number: &N| number.clone());
        let mut all = sum.create();
        for part in parts {
            let mut acc = sum.create();
            part.iter().for_each(|number| sum.add(&mut acc, number));
            sum.merge(&mut all, acc);
        }
        sum.result(&all)
    }

    #[test]
    fn the_order_of_floats_is_not_seen_in_their_sum() {
        assert_eq!(sum_of(&[&[1e100, 1.0], &[-1e100, 1.0]]), 2.0);
        assert_eq!(sum_of(&[&[1.0, 1e100], &[1.0], &[-1e100]]), 2.0);
        assert_eq!(sum_of(&[&[0.1; 10]]), 1.0);
        assert_eq!(sum_of(&[&[0.1_f32; 4]]), f64::from(0.1_f32) * 4.0);
        assert_eq!(sum_of::<f64>(&[]), 0.0);
    }

    #[test]
    fn infinite_sums_stay_infinite() {
        assert_eq!(sum_of(&[&[1.0, f64::INFINITY], &[2.0]]), f64::INFINITY);
        assert_eq!(sum_of(&[&[f64::MAX], &[f64::MAX]]), f64::INFINITY);
        assert!(sum_of(&[&[f64::INFINITY, f64::NEG_INFINITY]]).is_nan());
    }

    #[test]
    fn sums_of_integers_end_at_the_end_of_their_range() {
        assert_eq!(sum_of(&[&[i64::MAX, 1], &[2]]), i64::MAX);
        assert_eq!(sum_of(&[&[i64::MIN], &[-1]]), i64::MIN);
        assert_eq!(sum_of(&[&[u64::MAX], &[1]]), u64::MAX);
        assert_eq!(sum_of(&[&[i32::MAX, i32::MAX]]), 2 * i64::from(i32::MAX), "wider than the numbers");
    }

    #[test]
    fn an_average_is_that_of_all_records_not_of_averages() {
        let average = Average::of(|number: &f64| *number);
        let (mut left, mut right) = (average.create(), average.create());
        assert_eq!(average.result(&left), None);
        [1.0, 2.0, 3.0].iter().for_each(|number| average.add(&mut left, number));
        average.add(&mut right, &10.0);
        average.merge(&mut left, right);
        assert_eq!(average.result(&left), Some(4.0));
    }

    #[cfg(feature = "decimal")]
    #[test]
    fn decimals_are_exact() {
        use rust_decimal::Decimal;
        let cents: Vec<_> = (1..=10).map(|n| Decimal::new(n * 10, 2)).collect();
        assert_eq!(sum_of(&[&cents[..3], &cents[3..]]).to_string(), "5.50");
        assert_eq!(sum_of(&[&[Decimal::MAX, Decimal::ONE]]), Decimal::MAX);
        let average = Average::of(|number: &Decimal| *number);
        let mut acc = average.create();
        cents.iter().for_each(|number| average.add(&mut acc, number));
        assert_eq!(average.result(&acc), Some(Decimal::new(55, 2)));
    }
}
