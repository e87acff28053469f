//! The pipelines behind the event times.

use millstream::prelude::*;

use crate::function::{Abandoned, Interest};
use crate::tripwire::Tripwire;
use crate::{Event, GoldenOptions, Line, files};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Clicks per category and minute.
pub(crate) fn windows(options: &GoldenOptions, events: &DataStream<Event>) {
    let late = SideTag::<Event>::new("late");
    let counts = events
        .key_by(|event| event.category.clone())
        .window(Tumbling::of(MINUTE))
        .allowed_lateness(Duration::from_secs(5))
        .side_output_late_data(&late)
        .aggregate("per-minute", Count, |category: &String, window, count| line(category, window, count));
    files(options, "late", &counts.side_output(&late));
    files(options, "results", &counts);
}

/// Sessions per user.
pub(crate) fn sessions(options: &GoldenOptions, events: &DataStream<Event>) {
    let sessions = events.key_by(|event| event.user.clone()).window(Session::with_gap(MINUTE)).aggregate(
        "sessions",
        Count,
        |user: &String, window, count| line(user, window, count),
    );
    files(options, "results", &sessions);
}

/// Abandoned carts, by timers.
pub(crate) fn timers(options: &GoldenOptions, events: &DataStream<Event>) {
    let abandoned = events
        .key_by(|event| event.user.clone())
        .process("abandoned", |states| Ok(Abandoned { events: states.map("events")? }));
    files(options, "results", &abandoned);
}

/// Views and purchases by item.
pub(crate) fn two_inputs(options: &GoldenOptions, events: &DataStream<Event>) {
    let views = events.filter("views", |event| event.behavior == "pv").key_by(|event| event.item.clone());
    let bought = events.filter("bought", |event| event.behavior != "pv").key_by(|event| event.item.clone());
    let tripwire = Tripwire::new(options.tripwires.as_deref(), "interest");
    let interest = views.connect(&bought).process("interest", move |states| {
        Ok(Interest { seen: states.map("seen")?, tripwire: tripwire.clone() })
    });
    files(options, "results", &interest);
}

pub(crate) fn line(key: &str, window: &Window, count: u64) -> Line {
    Line { key: key.to_owned(), from: window.start, to: window.end, count }
}
