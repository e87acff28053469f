//! The latency that the page shows: of the last minute, and never better because a store acknowledges
//! nothing.

use std::collections::VecDeque;
use std::time::Duration;

use hdrhistogram::Histogram;
use millstream::time::Nanos;
use serde::Serialize;

/// What counts as recent.
const RECENT: Duration = Duration::from_secs(60);
/// How often what was recorded is remembered.
const STEP: Duration = Duration::from_secs(5);
/// A row that waits for less is not worth a mention.
const LONG: f64 = 1000.0;

/// A latency, or the least that it will be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Bound {
    /// Milliseconds.
    pub(super) ms: f64,
    /// Whether rows still wait that make it longer.
    pub(super) at_least: bool,
}

/// The latency of a store, or of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Latency {
    /// Half of the rows took at most this long.
    pub p50: Bound,
    /// All but one of a hundred rows took at most this long.
    pub p99: Bound,
}

/// Remembers what was recorded a minute ago, so that the difference is the last minute.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<(Nanos, Histogram<u64>)>);

impl Recent {
    /// Takes everything that was recorded until now; gives p50 and p99 of the last minute in milliseconds,
    /// where anything was acknowledged.
    pub(super) fn look(&mut self, now: Nanos, all: Histogram<u64>) -> Option<(f64, f64)> {
        let since = now.saturating_sub(RECENT.as_nanos() as Nanos);
        while self.0.get(1).is_some_and(|(at, _)| *at <= since) {
            self.0.pop_front();
        }
        let mut recent = all.clone();
        if let Some((_, before)) = self.0.front() {
            // The same bounds, and only ever more of everything.
            recent.subtract(before).ok()?;
        }
        let due = self.0.back().is_none_or(|(at, _)| now.saturating_sub(*at) >= STEP.as_nanos() as Nanos);
        if due {
            // What was recorded before the first look counts as well.
            let first = self.0.is_empty();
            self.0.push_back((now, if first { empty(&all) } else { all }));
        }
        let ms = |quantile| recent.value_at_quantile(quantile) as f64 / 1000.0;
        (!recent.is_empty()).then(|| (ms(0.5), ms(0.99)))
    }
}

fn empty(like: &Histogram<u64>) -> Histogram<u64> {
    Histogram::new_from(like)
}

/// The latency of a store by what it has acknowledged lately, and by its oldest row that waits. Where the
/// store is `away`, all of its rows take at least as long as that one has waited.
pub(super) fn latency(recent: Option<(f64, f64)>, oldest: Option<Duration>, away: bool) -> Option<Latency> {
    let waits = oldest.map_or(0.0, |oldest| oldest.as_secs_f64() * 1000.0);
    let longer = |measured: f64, counts: bool| {
        let at_least = counts && waits >= LONG && waits > measured;
        Bound { ms: if at_least { waits } else { measured }, at_least }
    };
    match recent {
        Some((p50, p99)) => Some(Latency { p50: longer(p50, away), p99: longer(p99, true) }),
        None if waits >= LONG => Some(Latency { p50: longer(0.0, true), p99: longer(0.0, true) }),
        None => None,
    }
}

/// The worst of several: a result is there when it is in every store.
pub(super) fn worst(all: impl IntoIterator<Item = Latency>) -> Option<Latency> {
    let higher = |one: Bound, other: Bound| if other.ms > one.ms { other } else { one };
    let worse = |one: Latency, other: Latency| Latency {
        p50: higher(one.p50, other.p50),
        p99: higher(one.p99, other.p99),
    };
    all.into_iter().reduce(worse)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    fn measured(ms: f64) -> Bound {
        Bound { ms, at_least: false }
    }

    fn at_least(ms: f64) -> Bound {
        Bound { ms, at_least: true }
    }

    #[test]
    fn the_latency_does_not_get_better_because_nothing_is_acknowledged() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let good = Some((3.0, 20.0));
        assert_eq!(latency(good, None, false), Some(Latency { p50: measured(3.0), p99: measured(20.0) }));
        assert_eq!(
            latency(good, seconds(7), false),
            Some(Latency { p50: measured(3.0), p99: at_least(7000.0) })
        );
        assert_eq!(
            latency(good, seconds(7), true),
            Some(Latency { p50: at_least(7000.0), p99: at_least(7000.0) })
        );
        assert_eq!(
            latency(None, seconds(99), true),
            Some(Latency { p50: at_least(99e3), p99: at_least(99e3) })
        );
        assert_eq!(latency(None, None, false), None, "nothing was written yet");
        let busy = Some(Duration::from_millis(30));
        assert_eq!(latency(good, busy, false).unwrap().p99, measured(20.0), "a row on its way is no news");
    }

    #[test]
    fn the_slowest_store_counts() {
        let of = |p50, p99| Latency { p50: measured(p50), p99: measured(p99) };
        assert_eq!(worst([of(1.0, 9.0), of(2.0, 3.0)]), Some(of(2.0, 9.0)));
        assert_eq!(worst([]), None);
    }

    #[test]
    fn only_the_last_minute_counts() {
        let (mut all, mut recent) = (Histogram::<u64>::new(2).unwrap(), Recent::default());
        all.record_n(1_000_000, 1000).unwrap();
        let (p50, _) = recent.look(0, all.clone()).unwrap();
        assert!((900.0..1100.0).contains(&p50), "{p50}: of before the first look");
        for second in 1..=130 {
            if second < 70 {
                all.record_n(5_000, 10).unwrap();
            }
            let looked = recent.look(second * SECOND, all.clone());
            match second {
                66..70 => assert!(looked.unwrap().1 < 6.0, "{second}: {looked:?}"),
                // The minute is one of whole steps.
                70..129 => assert!(looked.is_none_or(|(_, p99)| p99 < 6.0)),
                _ => {}
            }
        }
        assert_eq!(recent.look(140 * SECOND, all), None);
    }
}
