//! One job in three versions: the state of the first can be restored by the second, not by the broken one.

use millstream::plan::Plan;
use millstream::prelude::*;
use millstream::source::Source;
use millstream::state::{ListState, ValueState};

#[derive(Clone, Debug, PartialEq, Record)]
pub(crate) struct Purchase {
    pub(crate) user: String,
    pub(crate) cents: i32,
    pub(crate) at: i64,
}

/// A user, purchases so far, cents so far.
pub(crate) type Row = (String, i64, i64);

pub(crate) const SPLITS: usize = 3;

pub(crate) fn purchases() -> Vec<Purchase> {
    (0..3_000)
        .map(|n| Purchase { user: format!("u{}", n * n % 40), cents: n as i32 % 97, at: n * 10 })
        .collect()
}

pub(crate) fn input() -> Collection<Purchase> {
    Collection::of(purchases()).in_splits(SPLITS)
}

/// What is kept, as it first was.
pub(crate) mod first {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Record)]
    pub(crate) struct Totals {
        pub(crate) count: i32,
        pub(crate) latest: i64,
        pub(crate) cents: i64,
    }

    #[derive(Clone, Default)]
    pub(crate) struct Count {
        totals: Option<ValueState<Totals>>,
        recent: Option<ListState<i32>>,
    }

    impl KeyedProcess for Count {
        type Key = String;
        type In = Purchase;
        type Out = Row;

        fn open(&mut self, states: &mut States) -> Result<()> {
            self.totals = Some(states.value("totals")?);
            self.recent = Some(states.list("recent")?);
            Ok(())
        }

        fn process(&mut self, purchase: Purchase, cx: &mut KeyedContext<'_, String, Row>) -> Result<()> {
            let (Some(totals), Some(recent)) = (&self.totals, &self.recent) else { return Ok(()) };
            let mut sums = totals.get(cx).cloned().unwrap_or_default();
            sums.count += 1;
            sums.latest = purchase.at;
            sums.cents += i64::from(purchase.cents);
            cx.collect((purchase.user, i64::from(sums.count), sums.cents));
            totals.set(cx, sums);
            recent.get(cx).push(purchase.cents);
            Ok(())
        }
    }

    #[derive(Clone)]
    pub(crate) struct PerHour;

    impl AggregateFunction<Purchase> for PerHour {
        type Acc = Totals;
        type Out = (i64, i64);
        fn create(&self) -> Totals {
            Totals::default()
        }
        fn add(&self, acc: &mut Totals, purchase: &Purchase) {
            acc.count += 1;
            acc.cents += i64::from(purchase.cents);
        }
        fn merge(&self, acc: &mut Totals, other: Totals) {
            acc.count += other.count;
            acc.cents += other.cents;
        }
        fn result(&self, acc: &Totals) -> (i64, i64) {
            (i64::from(acc.count), acc.cents)
        }
    }
}

/// The same, a version later: a field added, one removed, two widened, all in another order; a state added.
pub(crate) mod second {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Record)]
    pub(crate) struct Totals {
        pub(crate) cents: f64,
        #[record(default = "EUR")]
        pub(crate) currency: String,
        pub(crate) count: i64,
    }

    #[derive(Clone, Default)]
    pub(crate) struct Count {
        totals: Option<ValueState<Totals>>,
        recent: Option<ListState<i64>>,
        last: Option<ValueState<i64>>,
    }

    impl KeyedProcess for Count {
        type Key = String;
        type In = Purchase;
        type Out = Row;

        fn open(&mut self, states: &mut States) -> Result<()> {
            self.last = Some(states.value("last")?);
            self.totals = Some(states.value("totals")?);
            self.recent = Some(states.list("recent")?);
            Ok(())
        }

        fn process(&mut self, purchase: Purchase, cx: &mut KeyedContext<'_, String, Row>) -> Result<()> {
            let (Some(totals), Some(recent), Some(last)) = (&self.totals, &self.recent, &self.last) else {
                return Ok(());
            };
            let mut sums =
                totals.get(cx).cloned().unwrap_or(Totals { currency: "EUR".into(), ..Totals::default() });
            if sums.currency != "EUR" {
                return Err(Error::bug(format!("the default is not there: {sums:?}")));
            }
            sums.count += 1;
            sums.cents += f64::from(purchase.cents);
            recent.get(cx).push(i64::from(purchase.cents));
            let listed: i64 = recent.get(cx).iter().sum();
            cx.collect((purchase.user, sums.count, listed));
            totals.set(cx, sums);
            last.set(cx, purchase.at);
            Ok(())
        }
    }

    #[derive(Clone)]
    pub(crate) struct PerHour;

    impl AggregateFunction<Purchase> for PerHour {
        type Acc = Totals;
        type Out = (i64, i64);
        fn create(&self) -> Totals {
            Totals { currency: "EUR".into(), ..Totals::default() }
        }
        fn add(&self, acc: &mut Totals, purchase: &Purchase) {
            acc.count += 1;
            acc.cents += f64::from(purchase.cents);
        }
        fn merge(&self, acc: &mut Totals, other: Totals) {
            acc.count += other.count;
            acc.cents += other.cents;
        }
        fn result(&self, acc: &Totals) -> (i64, i64) {
            (acc.count, acc.cents as i64)
        }
    }
}

/// A version that nobody can restore the first one's state into.
pub(crate) mod broken {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Record)]
    pub(crate) struct Totals {
        pub(crate) count: bool,
        pub(crate) cents: i32,
        pub(crate) discount: i64,
    }

    #[derive(Clone, Default)]
    pub(crate) struct Count;

    impl KeyedProcess for Count {
        type Key = String;
        type In = Purchase;
        type Out = Row;

        fn open(&mut self, states: &mut States) -> Result<()> {
            states.value::<Totals>("totals").map(drop)
        }

        fn process(&mut self, _: Purchase, _: &mut KeyedContext<'_, String, Row>) -> Result<()> {
            Ok(())
        }
    }
}

#[derive(Clone, Default)]
pub(crate) struct Results {
    pub(crate) running: Collected<Row>,
    pub(crate) hourly: Collected<(String, Time, (i64, i64))>,
}

/// Describes a version of the job.
pub(crate) fn define<P, A>(
    env: &Environment,
    source: impl Source<Out = Purchase>,
    (function, aggregate): (P, A),
    results: &Results,
) where
    P: KeyedProcess<Key = String, In = Purchase, Out = Row>,
    A: AggregateFunction<Purchase, Out = (i64, i64)>,
{
    let times = WatermarkStrategy::bounded_out_of_orderness(Duration::from_secs(60));
    let purchases = env
        .source("purchases", source)
        .assign_timestamps_and_watermarks("times", times.with_timestamps(|purchase: &Purchase| purchase.at));
    let by_user = purchases.key_by(|purchase| purchase.user.clone());
    by_user.process("count", function).sink_to("running", results.running.clone());
    by_user
        .window(Tumbling::of(Duration::from_secs(5)))
        .aggregate("hourly", aggregate, |user, window, sums| (user.clone(), window.start, sums))
        .sink_to("windows", results.hourly.clone());
}

/// The plan of a version of the job.
pub(crate) fn job<P, A>(
    source: impl Source<Out = Purchase>,
    version: (P, A),
    parallelism: u16,
    results: &Results,
) -> Plan
where
    P: KeyedProcess<Key = String, In = Purchase, Out = Row>,
    A: AggregateFunction<Purchase, Out = (i64, i64)>,
{
    let env = Environment::new("evolving").with_parallelism(parallelism);
    define(&env, source, version, results);
    env.plan().expect("the plan is right")
}
