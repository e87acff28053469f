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

    pub(crate) struct Count {
        totals: ValueState<Totals>,
        recent: ListState<i32>,
    }

    impl Count {
        pub(crate) fn declare(states: &mut States) -> Result<Self> {
            Ok(Self { totals: states.value("totals")?, recent: states.list("recent")? })
        }
    }

    impl KeyedProcessFunction for Count {
        type Key = String;
        type In = Purchase;
        type Out = Row;

        fn process(&mut self, purchase: Purchase, cx: &mut KeyedContext<'_, String, Row>) -> Result<()> {
            let mut sums = self.totals.get(cx).cloned().unwrap_or_default();
            sums.count += 1;
            sums.latest = purchase.at;
            sums.cents += i64::from(purchase.cents);
            cx.collect((purchase.user, i64::from(sums.count), sums.cents));
            self.totals.set(cx, sums);
            self.recent.add(cx, purchase.cents);
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

    pub(crate) struct Count {
        totals: ValueState<Totals>,
        recent: ListState<i64>,
        last: ValueState<i64>,
    }

    impl Count {
        pub(crate) fn declare(states: &mut States) -> Result<Self> {
            let last = states.value("last")?;
            Ok(Self { last, totals: states.value("totals")?, recent: states.list("recent")? })
        }
    }

    impl KeyedProcessFunction for Count {
        type Key = String;
        type In = Purchase;
        type Out = Row;

        fn process(&mut self, purchase: Purchase, cx: &mut KeyedContext<'_, String, Row>) -> Result<()> {
            let empty = Totals { currency: "EUR".into(), ..Totals::default() };
            let mut sums = self.totals.get(cx).cloned().unwrap_or(empty);
            if sums.currency != "EUR" {
                return Err(Error::bug(format!("the default is not there: {sums:?}")));
            }
            sums.count += 1;
            sums.cents += f64::from(purchase.cents);
            self.recent.add(cx, i64::from(purchase.cents));
            let listed: i64 = self.recent.get(cx).iter().sum();
            cx.collect((purchase.user, sums.count, listed));
            self.totals.set(cx, sums);
            self.last.set(cx, purchase.at);
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

    pub(crate) struct Count;

    impl Count {
        pub(crate) fn declare(states: &mut States) -> Result<Self> {
            states.value::<Totals>("totals").map(|_| Self)
        }
    }

    impl KeyedProcessFunction for Count {
        type Key = String;
        type In = Purchase;
        type Out = Row;

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
pub(crate) fn define<P, F, A>(
    env: &Environment,
    source: impl Source<Out = Purchase>,
    (declare, aggregate): (F, A),
    results: &Results,
) where
    P: KeyedProcessFunction<Key = String, In = Purchase, Out = Row>,
    F: Fn(&mut States) -> Result<P> + Send + Sync + 'static,
    A: AggregateFunction<Purchase, Out = (i64, i64)>,
{
    let times = WatermarkStrategy::bounded_out_of_orderness(Duration::from_secs(60));
    let purchases = env
        .source("purchases", source)
        .assign_timestamps_and_watermarks("times", times.with_timestamps(|purchase: &Purchase| purchase.at));
    let by_user = purchases.key_by(|purchase| purchase.user.clone());
    by_user.process("count", declare).sink_to("running", results.running.clone());
    by_user
        .window(Tumbling::of(Duration::from_secs(5)))
        .aggregate("hourly", aggregate, |user, window, sums| (user.clone(), window.start, sums))
        .sink_to("windows", results.hourly.clone());
}

/// The plan of a version of the job.
pub(crate) fn job<P, F, A>(
    source: impl Source<Out = Purchase>,
    version: (F, A),
    parallelism: u16,
    results: &Results,
) -> Plan
where
    P: KeyedProcessFunction<Key = String, In = Purchase, Out = Row>,
    F: Fn(&mut States) -> Result<P> + Send + Sync + 'static,
    A: AggregateFunction<Purchase, Out = (i64, i64)>,
{
    let env = Environment::new("evolving").with_parallelism(parallelism);
    define(&env, source, version, results);
    env.plan().expect("the plan is right")
}
