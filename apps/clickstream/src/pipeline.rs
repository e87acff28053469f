//! The whole pipeline: events in, metrics out.

use std::collections::BTreeSet;

use millstream::prelude::*;

use crate::event::{ByUser, Event, by_user};
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
    let late = SideTag::new("late");
    let (tables, late_events) = jobs(options, &events.counted, &late)?;
    let mut refused: Vec<_> = late_events
        .iter()
        .map(|(job, late)| {
            late.into_dead_letters(&format!("late-for-{job}"), "late", "its window was closed")
        })
        .collect();
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

/// A job and the events that came too late for it.
type LateEvents = (&'static str, DataStream<Event>);

fn jobs(
    options: &Options,
    events: &DataStream<Event>,
    late: &SideTag<Event>,
) -> Result<(Tables, Vec<LateEvents>)> {
    let mut tables = Tables::default();
    let mut late_events = Vec::new();
    let wanted = |job| options.jobs.contains(&job);
    let by_user = by_user(events);
    if wanted(Job::UserClicks) {
        let clicks = user_clicks(&by_user, late);
        late_events.push(("user-clicks", clicks.side_output(late)));
        tables.user_clicks = Some(clicks);
    }
    if wanted(Job::HotItems) {
        let (rankings, late_here) = hot_items(events, options.hot_items.top, late);
        let rows = rankings.flat_map("hot-items-rows", Ranking::rows);
        late_events.push(("hot-items", late_here));
        tables.hot_items = Some((rankings, rows));
    }
    if wanted(Job::PvUv) {
        let (rows, late_here) = pv_uv_tables(options, &by_user, late)?;
        late_events.extend(late_here);
        tables.pv_uv = Some(rows);
    }
    Ok((tables, late_events))
}

// The granularities that are wanted, each once, in one table.
fn pv_uv_tables(
    options: &Options,
    by_user: &ByUser,
    late: &SideTag<Event>,
) -> Result<(DataStream<PvUv>, Vec<LateEvents>)> {
    let zone = || options.time_zone.clone();
    let wanted: BTreeSet<_> = options.pv_uv.granularities.iter().copied().collect();
    let (tables, late_events): (Vec<_>, Vec<_>) = wanted
        .into_iter()
        .map(|granularity| {
            let (job, (rows, late_here)) = match granularity {
                Granularity::Minute => ("pv-uv-1min", pv_uv(by_user, "1min", Tumbling::of(MINUTE), late)),
                Granularity::Hour => ("pv-uv-1h", pv_uv(by_user, "1h", Calendar::hours(1, zone()), late)),
                Granularity::Day => ("pv-uv-1d", pv_uv(by_user, "1d", Calendar::days(zone()), late)),
            };
            (rows, (job, late_here))
        })
        .unzip();
    let rows = match tables.as_slice() {
        [] => return Err(Error::configuration("pv-uv.granularities is empty: name some of 1min, 1h and 1d")),
        [only] => only.clone(),
        [first, others @ ..] => first.union(&others.iter().collect::<Vec<_>>()),
    };
    Ok((rows, late_events))
}
