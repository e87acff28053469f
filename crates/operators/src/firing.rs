//! How an operator works off what has come due: in slices within a budget, resumed where the last slice
//! stopped.
//!
//! Windows, sessions and functions with timers, above memory or a cold store, say what is due next. When a
//! slice ends, when the watermark goes on and what a barrier waits for is decided here alone.

use millstream_record::{Data, Result};
use millstream_stage::time::Time;
use millstream_stage::{Budget, Context, Output, Step, WatermarkEvent};

/// An operator in which something comes due.
pub(crate) trait Firing<R: Data> {
    /// The watermark that is held back until all that it has made due was fired.
    fn pending_watermark(&mut self) -> &mut Option<WatermarkEvent>;

    /// Fires what comes next of all that is due, at most so many keys or timers, and says how many; `None` if
    /// nothing is left.
    fn fire_next(&mut self, now: Time, most: usize, out: &mut Output<R>) -> Result<Option<usize>>;

    /// Between two slices, when no key is worked on.
    fn settle(&mut self, now: Time) -> Result<()>;

    /// Everything that was due has been fired.
    fn all_fired(&mut self, _now: Time) {}

    /// The next time of the wall clock at which something comes due.
    fn wake_at(&self) -> Option<Time>;

    /// Whether a snapshot would hold something that was fired for some of its keys only.
    fn is_half_fired(&self) -> bool {
        false
    }
}

/// A watermark has come: fires what it makes due, and passes it on behind that.
pub(crate) fn begin<R: Data>(
    firing: &mut impl Firing<R>,
    cx: &mut Context<'_>,
    watermark: WatermarkEvent,
    out: &mut Output<R>,
) -> Result<Step> {
    *firing.pending_watermark() = Some(watermark);
    slice(firing, cx.now(), cx.budget, out)
}

/// Fires the next slice; answers *more* while something may be left.
pub(crate) fn slice<R: Data>(
    firing: &mut impl Firing<R>,
    now: Time,
    budget: Budget,
    out: &mut Output<R>,
) -> Result<Step> {
    let mut left = budget.records;
    while left > 0 {
        let Some(fired) = firing.fire_next(now, left, out)? else {
            firing.all_fired(now);
            firing.settle(now)?;
            out.watermarks.extend(firing.pending_watermark().take());
            return Ok(Step { wake_at: firing.wake_at(), ..Step::DONE });
        };
        left = left.saturating_sub(fired);
    }
    firing.settle(now)?;
    Ok(Step::MORE)
}

/// Before a barrier a held watermark goes out, and with it all that it has made due.
pub(crate) fn before_barrier<R: Data>(firing: &mut impl Firing<R>) -> Step {
    if firing.pending_watermark().is_some() || firing.is_half_fired() { Step::MORE } else { Step::DONE }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Timers that are due, fired by threes at most.
    #[derive(Default)]
    struct Threes {
        due: usize,
        pending_watermark: Option<WatermarkEvent>,
        settled: usize,
    }

    impl Firing<usize> for Threes {
        fn pending_watermark(&mut self) -> &mut Option<WatermarkEvent> {
            &mut self.pending_watermark
        }

        fn fire_next(&mut self, _: Time, most: usize, out: &mut Output<usize>) -> Result<Option<usize>> {
            let fired = self.due.min(most).min(3);
            self.due -= fired;
            out.rows.rec.extend(0..fired);
            Ok((fired > 0).then_some(fired))
        }

        fn settle(&mut self, _: Time) -> Result<()> {
            self.settled += 1;
            Ok(())
        }

        fn wake_at(&self) -> Option<Time> {
            Some(77)
        }
    }

    #[test]
    fn a_mark_waits_for_all_slices_and_a_barrier_for_the_mark() -> Result<()> {
        let mut threes =
            Threes { due: 10, pending_watermark: Some(WatermarkEvent::Watermark(5)), settled: 0 };
        let (mut out, budget) = (Output::default(), Budget { records: 4 });
        for fired in [4, 8] {
            assert_eq!(slice(&mut threes, 0, budget, &mut out)?, Step::MORE);
            assert_eq!((out.rows.rec.len(), out.watermarks.len()), (fired, 0));
            assert_eq!(before_barrier(&mut threes), Step::MORE);
        }
        let step = slice(&mut threes, 0, budget, &mut out)?;
        assert_eq!(step, Step { wake_at: Some(77), ..Step::DONE });
        assert_eq!(
            (out.rows.rec.len(), out.watermarks.pop_front()),
            (10, Some(WatermarkEvent::Watermark(5)))
        );
        assert_eq!((before_barrier(&mut threes), threes.settled), (Step::DONE, 3));
        Ok(())
    }
}
