//! How a function declares its states.

use std::marker::PhantomData;
use std::sync::Arc;

use millstream_record::{Error, Record, Result};

use super::cell::{Cells, Column, StateCell, updated_field};
use super::handles::{AggregatingState, ListState, MapState, ReducingState, StateColumn, ValueState};
use super::ttl::Ttl;
use crate::aggregate_function::AggregateFunction;

/// Where a function declares its states. Each needs a name of its own: snapshots find it by that.
///
/// ```
/// use millstream_operators::state::{ListState, States, Ttl, ValueState};
/// # use std::time::Duration;
/// # fn declare(states: &mut States) -> millstream_record::Result<()> {
/// let visits: ListState<i64> = states.list("visits")?;
/// let last: ValueState<i64> = states.with_ttl(Ttl::event_time(Duration::from_secs(3600))).value("last")?;
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct States {
    pub(super) columns: Vec<Box<dyn Column>>,
}

/// Where states with a time to live are declared; see [`States::with_ttl`].
pub struct StatesWithTtl<'s> {
    states: &'s mut States,
    ttl: Ttl,
}

macro_rules! declarations {
    ($of:ty) => {
        impl $of {
            /// One value per key.
            ///
            /// # Errors
            /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for an empty name,
            /// or one that is used twice; so do the others.
            pub fn value<T: Record>(&mut self, name: &str) -> Result<ValueState<T>> {
                self.add(name).map(ValueState)
            }

            /// A list per key.
            ///
            /// # Errors
            /// Returns the same errors as [`value`](Self::value).
            pub fn list<T: Record>(&mut self, name: &str) -> Result<ListState<T>> {
                self.add(name).map(ListState)
            }

            /// A map per key.
            ///
            /// # Errors
            /// Returns the same errors as [`value`](Self::value).
            pub fn map<M: Record + Ord, V: Record>(&mut self, name: &str) -> Result<MapState<M, V>> {
                self.add(name).map(MapState)
            }

            /// One value per key that new ones are combined with.
            ///
            /// # Errors
            /// Returns the same errors as [`value`](Self::value).
            pub fn reducing<T: Record>(
                &mut self,
                name: &str,
                combine: impl Fn(T, T) -> T + Send + Sync + 'static,
            ) -> Result<ReducingState<T>> {
                Ok(ReducingState { place: self.add(name)?, combine: Arc::new(combine) })
            }

            /// An accumulator per key.
            ///
            /// # Errors
            /// Returns the same errors as [`value`](Self::value).
            pub fn aggregating<T, A: AggregateFunction<T>>(
                &mut self,
                name: &str,
                aggregate: A,
            ) -> Result<AggregatingState<T, A>> {
                Ok(AggregatingState { place: self.add(name)?, aggregate })
            }
        }
    };
}
declarations!(States);
declarations!(StatesWithTtl<'_>);

impl StatesWithTtl<'_> {
    fn add<C: StateCell>(&mut self, name: &str) -> Result<StateColumn<C>> {
        self.states.declare(name, Some(self.ttl))
    }
}

impl States {
    /// Gives the states that are declared through the result a time to live:
    /// `states.with_ttl(Ttl::event_time(day)).value("last")?`. All others have none.
    pub fn with_ttl(&mut self, ttl: Ttl) -> StatesWithTtl<'_> {
        StatesWithTtl { states: self, ttl }
    }

    fn add<C: StateCell>(&mut self, name: &str) -> Result<StateColumn<C>> {
        self.declare(name, None)
    }

    fn declare<C: StateCell>(&mut self, name: &str, ttl: Option<Ttl>) -> Result<StateColumn<C>> {
        if name.is_empty() {
            return Err(Error::configuration("a state has no name: give it one, snapshots find it by that"));
        }
        let mut taken =
            self.columns.iter().flat_map(|column| [column.name().to_owned(), updated_field(column.name())]);
        if taken.any(|taken| taken == name || ttl.is_some() && taken == updated_field(name)) {
            return Err(Error::configuration(format!(
                "two states of one operator are called {name:?}: rename one"
            )));
        }
        self.columns.push(Box::new(Cells::<C>::new(name, ttl)));
        Ok(StateColumn { column: self.columns.len() - 1, of: PhantomData })
    }
}
