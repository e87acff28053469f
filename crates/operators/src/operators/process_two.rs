//! A user's function over two keyed streams that share state.

use millstream_record::{Data, Key, Result};

use super::either::Either;
use super::process::KeyedProcessFunction;
use crate::state::{KeyedContext, Timer};

/// A function of two connected keyed streams, as Flink's `KeyedCoProcessFunction`. Its fields are the handles
/// of its states, which both streams share.
pub trait KeyedCoProcessFunction: Send + 'static {
    /// The key of both.
    type Key: Key;
    /// Records of the first stream.
    type First: Data;
    /// Records of the second stream.
    type Second: Data;
    /// What goes out.
    type Out: Data;

    /// A record of the first stream.
    fn first(&mut self, record: Self::First, cx: &mut KeyedContext<'_, Self::Key, Self::Out>) -> Result<()>;

    /// A record of the second stream.
    fn second(&mut self, record: Self::Second, cx: &mut KeyedContext<'_, Self::Key, Self::Out>)
    -> Result<()>;

    /// A timer that this key has set.
    fn on_timer(&mut self, _: Timer, _: &mut KeyedContext<'_, Self::Key, Self::Out>) -> Result<()> {
        Ok(())
    }
}

/// Makes a function of two streams a function of one stream of either, which [`Process`](super::Process)
/// runs.
pub struct ProcessTwo<P>(pub P);

impl<P: KeyedCoProcessFunction> KeyedProcessFunction for ProcessTwo<P> {
    type Key = P::Key;
    type In = Either<P::First, P::Second>;
    type Out = P::Out;

    fn process(&mut self, record: Self::In, cx: &mut KeyedContext<'_, P::Key, P::Out>) -> Result<()> {
        match record {
            Either::First(record) => self.0.first(record, cx),
            Either::Second(record) => self.0.second(record, cx),
        }
    }

    fn on_timer(&mut self, timer: Timer, cx: &mut KeyedContext<'_, P::Key, P::Out>) -> Result<()> {
        self.0.on_timer(timer, cx)
    }
}
