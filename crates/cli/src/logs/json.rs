//! Log lines as JSON: `{"time": "...", "level": "WARN", "message": "...", ...}`, with the fields of an event
//! beside its message.

use std::fmt::{self, Debug, Write};
use std::io::stderr;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes each event as one line.
pub(super) struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let meta = event.metadata();
        fields.rest.push(("target", meta.target().into()));
        writer.write_str(&object(meta.level().as_str(), &fields.message, &fields.rest))
    }
}

/// Writes a line that is no event.
pub(super) fn line(level: &str, message: &str, rest: &[(&'static str, Value)]) {
    // Nobody can be told that standard error is closed.
    let _ = std::io::Write::write_all(&mut stderr(), object(level, message, rest).as_bytes());
}

fn object(level: &str, message: &str, rest: &[(&'static str, Value)]) -> String {
    let mut time = String::new();
    // It writes to memory.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    let mut line = format!(
        r#"{{"time":{},"level":{},"message":{}"#,
        Value::from(time),
        Value::from(level),
        Value::from(message)
    );
    for (name, value) in rest {
        let _ = write!(line, r#","{name}":{value}"#);
    }
    line + "}\n"
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(&'static str, Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        self.rest.push((field.name(), value));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            _ => self.add(field, format!("{value:?}").into()),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            _ => self.add(field, value.into()),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
}
