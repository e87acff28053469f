//! Hands the log lines of this library to the harness, whose logger writes them where Flink's own go.

use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Takes a line: its level, where it comes from, its text.
pub(crate) type TakeLine = fn(Level, &str, &str);

/// Starts to hand over lines of this level and above. Only the first call of a process does something.
pub(crate) fn start(level: Level, take: TakeLine) {
    // A second caller finds the first one's lines going the same way.
    let _ = tracing::subscriber::set_global_default(Lines { level, take });
}

/// The level of a name such as `INFO`; that of warnings for any other.
pub(crate) fn level_of(name: &str) -> Level {
    name.parse().unwrap_or(Level::WARN)
}

/// Lines without spans: no part of Millstream opens any.
struct Lines {
    level: Level,
    take: TakeLine,
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let metadata = event.metadata();
        (self.take)(*metadata.level(), metadata.target(), &line.text());
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A message and the fields behind it.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn text(&self) -> String {
        if self.fields.is_empty() { self.message.clone() } else { format!("{}{}", self.message, self.fields) }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a text cannot fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    static TAKEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

    #[test]
    fn a_line_has_its_message_and_its_fields() {
        let take: TakeLine = |level, target, text| TAKEN.lock().push(format!("{level} {target} {text}"));
        let lines = Lines { level: level_of("INFO"), take };
        tracing::subscriber::with_default(lines, || {
            tracing::debug!("not this one");
            tracing::warn!(target: "somewhere", store = "redis", tries = 3, "it is away");
        });
        assert_eq!(*TAKEN.lock(), ["WARN somewhere it is away store=\"redis\" tries=3"]);
        assert_eq!(level_of("OFF"), Level::WARN);
    }
}
