//! One operator's stored tables against those that it has today.

use millstream_record::Result;
use millstream_record::schema::{Compatibility, NoteKind, Resolution, fields};
use millstream_stage::snapshot::{TableSchema, resolve_table};
use millstream_stage::time::MIN_TIME;

use super::report::{StateFate, StateReport};

/// The table of a keyed process: beside the key and its timers, each field is a state of the user's.
const KEYS: &str = "keys";
const TIMERS: [&str; 2] = ["event_timers", "processing_timers"];

/// What becomes of each table, or of each state in it.
pub(super) fn compare(written: &[TableSchema], read: &[TableSchema]) -> Result<Vec<StateReport>> {
    let mut states = Vec::new();
    for table in read {
        let stored: Vec<_> = written.iter().filter(|written| written.name == table.name).collect();
        if stored.is_empty() {
            states.extend(names(table)?.into_iter().map(|name| StateReport::new(&name, StateFate::New)));
        }
        for written in stored {
            states.extend(table_states(written, table)?);
        }
    }
    let foreign = written.iter().filter(|written| read.iter().all(|table| table.name != written.name));
    let fate = if read.is_empty() { StateFate::Unknown } else { StateFate::Foreign };
    states.extend(foreign.map(|table| StateReport::new(&table.name, fate.clone())));
    Ok(states)
}

/// What a table is shown as.
pub(super) fn names(table: &TableSchema) -> Result<Vec<String>> {
    if table.name != KEYS {
        return Ok(vec![table.name.clone()]);
    }
    let fields = fields(&table.schema)?;
    let state = |(name, default): &&(String, Option<String>)| {
        !TIMERS.contains(&name.as_str()) && !is_time_of_a_state(name, default.as_deref(), &fields)
    };
    Ok(fields.iter().filter(state).map(|(name, _)| name.clone()).collect())
}

/// Whether a field is the time at which a state with a time to live was last touched: part of that state,
/// which may come and go.
fn is_time_of_a_state(name: &str, default: Option<&str>, all: &[(String, Option<String>)]) -> bool {
    let of = name.strip_suffix("_updated").filter(|_| default == Some(MIN_TIME.to_string().as_str()));
    of.is_some_and(|state| all.iter().any(|(name, _)| name == state))
}

fn table_states(written: &TableSchema, read: &TableSchema) -> Result<Vec<StateReport>> {
    let resolution = resolve_table(written, read)?;
    if read.name != KEYS {
        return Ok(vec![StateReport::new(&read.name, resolution.compatibility().into())]);
    }
    let today = names(read)?;
    let gone = names(written)?.into_iter().filter(|name| !today.contains(name));
    let gone: Vec<_> = gone.filter(|name| resolution.compatibility_of(name) != Compatibility::Same).collect();
    let state = |name: &String| StateReport::new(name, field_fate(&resolution, name));
    Ok(today.iter().chain(&gone).map(state).collect())
}

/// What becomes of a state that is a field: it may be new or gone itself.
fn field_fate(resolution: &Resolution, field: &str) -> StateFate {
    let compatibility = resolution.compatibility_of(field);
    let itself = match &compatibility {
        Compatibility::Migrates(notes) => notes.iter().find(|note| note.path == field).map(|note| note.kind),
        Compatibility::Same | Compatibility::Incompatible(_) => None,
    };
    match itself {
        Some(NoteKind::Added) => StateFate::New,
        Some(NoteKind::Removed) => StateFate::Dropped,
        Some(NoteKind::Equal | NoteKind::Other) | None => compatibility.into(),
    }
}

impl From<Compatibility> for StateFate {
    fn from(compatibility: Compatibility) -> Self {
        match compatibility {
            Compatibility::Same => Self::Same,
            Compatibility::Migrates(notes) => Self::Migrates(notes),
            Compatibility::Incompatible(notes) => Self::Incompatible(notes),
        }
    }
}
