//! The whole pipeline: events in, metrics out.

use millstream::Result;
use millstream::prelude::*;

use crate::event::{Event, by_user};
use crate::jobs::hot_items::{Ranking, hot_items};
use crate::jobs::pv_uv::pv_uv;
use crate::jobs::user_clicks::user_clicks;
use crate::options::{Job, Options, SinkOptions};
use crate::sinks::{Tables, sink_dead_letters, sink_tables};
use crate::sources;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

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
    let events = sources::events(options, env)?;
    let late = SideTag::new("late");
    let (tables, late_events) = jobs(options, &events.counted, &late);
    let mut refused: Vec<_> = late_events
        .iter()
        .map(|(job, late)| {
            late.into_dead_letters(&format!("late-for-{job}"), "late", "its window was closed")
        })
        .collect();
    for (number, store) in options.sinks.iter().enumerate() {
        let same = |other: &&SinkOptions| std::mem::discriminant(*other) == std::mem::discriminant(store);
        let before = options.sinks[..number].iter().filter(same).count();
        refused.extend(sink_tables(&tables, before, store));
    }
    let refused: Vec<_> = refused.iter().collect();
    let dead_letters = events.dead_letters.union(&refused).with_parallelism(1);
    sink_dead_letters(&dead_letters, &options.dead_letter);
    Ok(Pipeline { tables, dead_letters })
}

/// A job and the events that came too late for it.
type LateEvents = (&'static str, DataStream<Event>);

fn jobs(options: &Options, events: &DataStream<Event>, late: &SideTag<Event>) -> (Tables, Vec<LateEvents>) {
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
        let (minutes, late_minutes) = pv_uv(&by_user, "1min", MINUTE, late);
        let (hours, late_hours) = pv_uv(&by_user, "1h", HOUR, late);
        late_events.extend([("pv-uv-1min", late_minutes), ("pv-uv-1h", late_hours)]);
        tables.pv_uv = Some(minutes.union(&[&hours]));
    }
    (tables, late_events)
}
