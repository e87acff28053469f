//! What `--set KEY=VALUE` changes of a configuration.

use millstream_record::{Error, Result};
use serde_json::{Map, Value};

use crate::keys::{is_dotted_key, yaml};

/// Applies `key=value`: the key is one of the top level, or a path such as `source.rate` or `sinks.0.url`;
/// the value is YAML.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration): no `=`, a value that is no
/// YAML, a path to nowhere.
pub(crate) fn apply(map: &mut Map<String, Value>, change: &str) -> Result<()> {
    let (key, text) = change
        .split_once('=')
        .ok_or_else(|| Error::configuration(format!("--set {change:?} has no `=`: write --set key=value")))?;
    let value = yaml(text)
        .map_err(|error| Error::configuration(format!("--set {key}: the value is no valid YAML: {error}")))?;
    if is_dotted_key(key) {
        map.insert(key.to_owned(), value);
        return Ok(());
    }
    let first = key.split_once('.').map(|(first, _)| first).filter(|_| !map.contains_key(key));
    if let Some(first) = first {
        map.entry(first).or_insert(Value::Null);
    }
    set_in_map(map, key, value).map_err(|wrong| Error::configuration(format!("--set {key}: {wrong}")))
}

/// Takes keys such as `runtime.stop-timeout` of a file for what they are with `--set`: paths into a map of
/// the engine's.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration): the map is there and is no map.
pub(crate) fn resolve_paths(map: &mut Map<String, Value>, name: &str) -> Result<()> {
    let is_path = |key: &&String| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    let paths: Vec<_> = map.keys().filter(is_path).cloned().collect();
    for path in paths {
        let Some(value) = map.remove(&path) else { continue };
        map.entry(name).or_insert(Value::Null);
        set_in_map(map, &path, value).map_err(|wrong| Error::configuration(format!("{path}: {wrong}")))?;
    }
    Ok(())
}

// A key may have dots itself, such as `bulk-flush.max-actions`: what is there decides, and the next step
// where nothing is.
fn set_in_map(map: &mut Map<String, Value>, path: &str, value: Value) -> Result<(), String> {
    let Some((first, rest)) = path.split_once('.').filter(|_| !map.contains_key(path)) else {
        map.insert(path.to_owned(), value);
        return Ok(());
    };
    match map.get_mut(first) {
        Some(Value::Object(inner)) => set_in_map(inner, rest, value),
        Some(Value::Array(items)) => set_in_list(items, first, rest, value),
        // `watermark:` with nothing behind it.
        Some(nothing @ Value::Null) => {
            let mut inner = Map::new();
            set_in_map(&mut inner, rest, value)?;
            *nothing = Value::Object(inner);
            Ok(())
        }
        Some(_) => Err(format!("{first} holds a single value, there is nothing in it to change")),
        None => {
            map.insert(path.to_owned(), value);
            Ok(())
        }
    }
}

fn set_in_list(items: &mut [Value], list: &str, path: &str, value: Value) -> Result<(), String> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let count = items.len();
    let number: usize =
        first.parse().map_err(|_| format!("{list} is a list: write {list}.0 for its first element"))?;
    let item = items.get_mut(number).ok_or_else(|| {
        format!("{list} has {count} element{}, counted from 0", if count == 1 { "" } else { "s" })
    })?;
    match (rest, item) {
        (None, item) => {
            *item = value;
            Ok(())
        }
        (Some(rest), Value::Object(inner)) => set_in_map(inner, rest, value),
        (Some(rest), Value::Array(items)) => set_in_list(items, first, rest, value),
        (Some(_), _) => Err(format!("{list}.{first} holds a single value, there is nothing in it to change")),
    }
}
