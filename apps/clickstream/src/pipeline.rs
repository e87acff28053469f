//! The whole pipeline: events in, metrics out.

use std::collections::BTreeSet;

use millstream::prelude::*;

use crate::event::{ByUser, Event, by_user};
use crate::jobs::Computed;
use crate::jobs::hot_items::{Ranking, hot_items};
use crate::jobs::pv_uv::pv_uv;
use crate::jobs::user_clicks::user_clicks;
use crate::options::{Granularity, Job, Options};
use crate::parts::store_name;
use crate::results::PvUv;
use crate::sinks::{Tables, sink_dead_letters, sink_tables};
use crate::sources;

const MINUTE: Duration = Duration::from_secs(60);

/// What the pipeline gives, for those who want more of it than the configured stores.
pub struct Pipeline {
    /// All tables.
    pub tables: Tables,
    /// Everything that could not be used.
    pub dead_letters: DataStream<DeadLetter>,
}

/// Describes the pipeline.
///
/// # Errors
/// Options that cannot work.
pub fn build(options: &Options, env: &Environment) -> Result<Pipeline> {
    refuse_nothing(options)?;
    let events = sources::events(options, env)?;
    let (tables, late) = jobs(options, &events.counted)?;
    let mut refused = late.sums;
    refused.push(one_letter_each(&late.events));
    for (number, store) in options.sinks.iter().enumerate() {
        refused.extend(sink_tables(&tables, &store_name(&options.sinks, number), store));
    }
    let refused: Vec<_> = refused.iter().collect();
    let dead_letters = events.dead_letters.union(&refused).with_parallelism(1);
    sink_dead_letters(&dead_letters, &options.dead_letter);
    Ok(Pipeline { tables, dead_letters })
}

fn refuse_nothing(options: &Options) -> Result<()> {
    if !options.jobs.is_empty() {
        return Ok(());
    }
    Err(Error::configuration(
        "jobs: [] computes nothing: name some of user-clicks, hot-items and pv-uv, or leave the key away for all of them",
    ))
}

/// What came too late.
#[derive(Default)]
struct TooLate {
    // With the job that they were late for.
    events: Vec<(&'static str, DataStream<Event>)>,
    sums: Vec<DataStream<DeadLetter>>,
}

impl TooLate {
    fn of<T: Data>(&mut self, job: &'static str, computed: Computed<T>) -> DataStream<T> {
        self.events.push((job, computed.late_events));
        self.sums.extend(computed.late_sums);
        computed.results
    }
}

// An event that was late for several jobs is one dead letter.
fn one_letter_each(late: &[(&'static str, DataStream<Event>)]) -> DataStream<DeadLetter> {
    let late: Vec<_> =
        late.iter().map(|(job, events)| events.late_for(&format!("late-for-{job}"), job)).collect();
    let others: Vec<_> = late.iter().skip(1).collect();
    late[0].union(&others).with_parallelism(1).one_letter_each("late-letters")
}

fn jobs(options: &Options, events: &DataStream<Event>) -> Result<(Tables, TooLate)> {
    let (mut tables, mut late) = (Tables::default(), TooLate::default());
    let wanted = |job| options.jobs.contains(&job);
    let by_user = by_user(events);
    if wanted(Job::UserClicks) {
        tables.user_clicks = Some(late.of("user-clicks", user_clicks(&by_user)));
    }
    if wanted(Job::HotItems) {
        let rankings = late.of("hot-items", hot_items(events, options.hot_items.top));
        let rows = rankings.flat_map("hot-items-rows", Ranking::rows);
        tables.hot_items = Some((rankings, rows));
    }
    if wanted(Job::PvUv) {
        tables.pv_uv = Some(pv_uv_tables(options, &by_user, &mut late)?);
    }
    Ok((tables, late))
}

// The granularities that are wanted, each once, in one table.
fn pv_uv_tables(options: &Options, by_user: &ByUser, late: &mut TooLate) -> Result<DataStream<PvUv>> {
    let zone = || options.time_zone.clone();
    let wanted: BTreeSet<_> = options.pv_uv.granularities.iter().copied().collect();
    let tables: Vec<_> = wanted
        .into_iter()
        .map(|granularity| {
            let (job, computed) = match granularity {
                Granularity::Minute => ("pv-uv-1min", pv_uv(by_user, "1min", Tumbling::of(MINUTE))),
                Granularity::Hour => ("pv-uv-1h", pv_uv(by_user, "1h", Calendar::hours(1, zone()))),
                Granularity::Day => ("pv-uv-1d", pv_uv(by_user, "1d", Calendar::days(zone()))),
            };
            late.of(job, computed)
        })
        .collect();
    match tables.as_slice() {
        [] => Err(Error::configuration("pv-uv.granularities is empty: name some of 1min, 1h and 1d")),
        [only] => Ok(only.clone()),
        [first, others @ ..] => Ok(first.union(&others.iter().collect::<Vec<_>>())),
    }
}
