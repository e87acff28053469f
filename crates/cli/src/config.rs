//! One YAML file, and what `--set` changes of it.

use std::path::{Path, PathBuf};

use millstream_core::drive::job_settings::JobSettings;
use millstream_core::options::Secret;
use millstream_core::{Error, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::state_keys::StateKeys;
use crate::strict;

/// Keys that every pipeline has; the rest belongs to the application.
const KEYS: [&str; 9] = [
    "pipeline.name",
    "pipeline.max-parallelism",
    "parallelism.default",
    "job.dir",
    "runtime",
    "rest.bind-address",
    "rest.port",
    "rest.password",
    "rest.password-file",
];

/// What every pipeline can be told. Keys are Flink's where the thing is the same.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineOptions {
    /// The job's name.
    #[serde(rename = "pipeline.name")]
    pub name: String,
    /// Key groups: the highest parallelism that the job's state can ever have. 128 by default.
    #[serde(rename = "pipeline.max-parallelism")]
    pub key_groups: u16,
    /// Subtasks per stage. 1 by default.
    #[serde(rename = "parallelism.default")]
    pub parallelism: u16,
    /// Where the job keeps its epochs; `.millstream/NAME` by default.
    #[serde(rename = "job.dir")]
    pub dir: Option<PathBuf>,
    /// The thread driver's settings.
    pub runtime: millstream_runtime::RuntimeOptions,
    /// Checkpoints, restarts and state: `execution.checkpointing.*`, `state.*`, `restart-strategy.*`, `s3.*`, `hdfs.*`.
    #[serde(skip)]
    pub state: StateKeys,
    /// Where the page and `/metrics` listen; loopback by default. Anything else needs a password.
    #[serde(rename = "rest.bind-address")]
    pub bind_address: String,
    /// The port of the page and of `/metrics`; without it nothing listens. 0 takes a free one.
    #[serde(rename = "rest.port")]
    pub port: Option<u16>,
    /// The password of the page. Better in a file, or as `${VARIABLE}`.
    #[serde(rename = "rest.password")]
    pub password: Option<Secret>,
    /// A file with the password of the page.
    #[serde(rename = "rest.password-file")]
    pub password_file: Option<PathBuf>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            name: "job".to_owned(),
            key_groups: millstream_core::key::DEFAULT_KEY_GROUPS,
            parallelism: 1,
            dir: None,
            runtime: millstream_runtime::RuntimeOptions::default(),
            state: StateKeys::default(),
            bind_address: "127.0.0.1".to_owned(),
            port: None,
            password: None,
            password_file: None,
        }
    }
}

impl EngineOptions {
    /// The thread driver's settings: with the job's directory, and what the program or this file says about checkpoints, restarts and
    /// state.
    pub fn runtime(&self, settings: &JobSettings) -> millstream_runtime::RuntimeOptions {
        let dir = self.dir.clone().unwrap_or_else(|| Path::new(".millstream").join(&self.name));
        let storage = self.state.storage().clone();
        let runtime = self.runtime.clone().with_settings(settings);
        millstream_runtime::RuntimeOptions { job_dir: Some(dir), storage, ..runtime }
    }

    /// The password of the page, from wherever it stands.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_core::ErrorKind::Configuration) when its file cannot be read.
    pub fn password(&self) -> Result<Option<Secret>> {
        let Some(file) = &self.password_file else {
            return Ok(self.password.clone());
        };
        let text = std::fs::read_to_string(file).map_err(|error| {
            Error::configuration(format!("rest.password-file {} cannot be read", file.display()))
                .caused_by(error)
        })?;
        Ok(Some(text.trim_end_matches(['\r', '\n']).into()))
    }
}

/// A configuration file that was read: the engine's part and the application's.
#[derive(Clone, Debug)]
pub struct Config<T> {
    /// What every pipeline has.
    pub engine: EngineOptions,
    /// What this application has.
    pub app: T,
}

/// Reads a configuration.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_core::ErrorKind::Configuration): a file that cannot be read or is no YAML, a key that is not known
/// (the nearest known one is named), a value of the wrong kind.
pub fn load<T: DeserializeOwned>(file: &Path, set: &[String]) -> Result<Config<T>> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Error::configuration(format!("{shown} cannot be read")).caused_by(error))?;
    parse(&text, set).map_err(|error| error.in_context(shown))
}

/// Reads a configuration from its text.
///
/// # Errors
/// As [`load`].
pub fn parse<T: DeserializeOwned>(text: &str, set: &[String]) -> Result<Config<T>> {
    let value =
        yaml(text).map_err(|error| Error::configuration(format!("this is no valid YAML: {error}")))?;
    let mut map = match value {
        Value::Object(map) => map,
        Value::Null => Map::new(),
        _ => {
            return Err(Error::configuration(
                "the file must hold keys and values, such as `parallelism.default: 2`",
            ));
        }
    };
    for change in set {
        apply(&mut map, change)?;
    }
    let mut map = resolve_variables(Value::Object(map))?;
    let state = map.as_object_mut().map_or_else(|| Ok(StateKeys::default()), StateKeys::take)?;
    let engine = take_engine(&mut map);
    let engine: EngineOptions =
        strict::read(engine).map_err(|mistake| Error::configuration(mistake.to_string()))?;
    Ok(Config { engine: EngineOptions { state, ..engine }, app: read_app(map)? })
}

// Only `true` and `false` are booleans: a host called `no` stays a text.
fn yaml(text: &str) -> Result<Value, serde_saphyr::Error> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options)
}

// The application's keys are listed by what reads them; where one of the top level is wrong, ours belong into the same sentence.
fn read_app<T: DeserializeOwned>(value: Value) -> Result<T> {
    let top: Vec<String> = value.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default();
    strict::read(value).map_err(|mistake| {
        let mistake = mistake.to_string();
        let at_the_top = top.iter().any(|key| mistake.starts_with(&format!("unknown key {key:?}")));
        Error::configuration(match mistake.split_once("; known here: ") {
            Some((start, known)) if at_the_top => {
                format!("{start}; known here: {}, {known}", KEYS.join(", "))
            }
            _ => mistake,
        })
    })
}

fn take_engine(all: &mut Value) -> Value {
    let mut engine = Map::new();
    if let Value::Object(map) = all {
        for key in KEYS {
            engine.extend(map.remove(key).map(|value| (key.to_owned(), value)));
        }
        // A key of our family that is misspelt is ours to refuse.
        let strays: Vec<_> = map.keys().filter(|key| is_ours(key)).cloned().collect();
        for key in strays {
            engine.extend(map.remove_entry(&key));
        }
    }
    Value::Object(engine)
}

fn is_ours(key: &str) -> bool {
    key.contains('.') || KEYS.iter().any(|known| strsim::damerau_levenshtein(key, known) <= 2)
}

/// Applies `key=value`: the key is one of the top level, or a path such as `source.rate` or `sinks.0.url`; the value is YAML.
fn apply(map: &mut Map<String, Value>, change: &str) -> Result<()> {
    let (key, text) = change
        .split_once('=')
        .ok_or_else(|| Error::configuration(format!("--set {change:?} has no `=`: write --set key=value")))?;
    let value = yaml(text)
        .map_err(|error| Error::configuration(format!("--set {key}: the value is no valid YAML: {error}")))?;
    if KEYS.contains(&key) || map.contains_key(key) || !key.contains('.') {
        map.insert(key.to_owned(), value);
        return Ok(());
    }
    let mut steps = key.split('.');
    let first = steps.next().unwrap_or_default();
    let Some(mut place) = map.get_mut(first) else {
        // Not a path into what is there: a dotted key of its own, known or not.
        map.insert(key.to_owned(), value);
        return Ok(());
    };
    for step in steps {
        place = step_into(place, step).ok_or_else(|| {
            Error::configuration(format!("--set {key}: there is nothing at {step:?} to change"))
        })?;
    }
    *place = value;
    Ok(())
}

fn step_into<'v>(place: &'v mut Value, step: &str) -> Option<&'v mut Value> {
    match place {
        Value::Object(map) => Some(map.entry(step).or_insert(Value::Null)),
        Value::Array(items) => items.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Replaces `${NAME}` in texts by the variable of the environment: so secrets stay out of the file.
fn resolve_variables(value: Value) -> Result<Value> {
    Ok(match value {
        Value::String(text) => Value::String(resolve_text(&text)?),
        Value::Array(items) => Value::Array(items.into_iter().map(resolve_variables).collect::<Result<_>>()?),
        Value::Object(map) => {
            let entries = map.into_iter().map(|(key, value)| Ok((key, resolve_variables(value)?)));
            Value::Object(entries.collect::<Result<_>>()?)
        }
        other => other,
    })
}

fn resolve_text(text: &str) -> Result<String> {
    let mut resolved = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, behind) = after
            .split_once('}')
            .ok_or_else(|| Error::configuration(format!("{text:?}: `${{` is not closed by `}}`")))?;
        let value = std::env::var(name).map_err(|_| {
            Error::configuration(format!("the environment has no variable {name}, which the file asks for"))
        })?;
        resolved.push_str(before);
        resolved.push_str(&value);
        rest = behind;
    }
    resolved.push_str(rest);
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct App {
        jobs: Vec<String>,
        source: Value,
    }

    const TEXT: &str =
        "pipeline.name: clicks\nparallelism.default: 2\njobs: [a, b]\nsource: {rate: 5, hosts: [x]}\n";

    fn message(text: &str, set: &[&str]) -> String {
        let set: Vec<_> = set.iter().map(|&change| change.to_owned()).collect();
        parse::<App>(text, &set).unwrap_err().chain()
    }

    #[test]
    fn set_changes_keys_and_paths() {
        let set =
            ["parallelism.default=4", "source.rate=9", "source.hosts.0=y", "jobs=[c]"].map(str::to_owned);
        let config: Config<App> = parse(TEXT, &set).unwrap();
        assert_eq!((config.engine.name.as_str(), config.engine.parallelism), ("clicks", 4));
        assert_eq!(
            config.app,
            App { jobs: vec!["c".into()], source: serde_json::json!({"rate": 9, "hosts": ["y"]}) }
        );
    }

    #[test]
    fn mistakes_are_named_with_the_nearest_key() {
        assert!(message("paralelism.default: 2", &[]).contains("did you mean \"parallelism.default\"?"));
        assert!(message("job: [a]", &[]).contains("did you mean \"jobs\"?"));
        assert!(message("", &["jobz=[a]"]).contains("did you mean \"jobs\"?"));
        assert!(message("parallelism.default: many", &[]).contains("invalid type"));
        assert!(message("a: [", &[]).contains("no valid YAML"));
        assert!(message(TEXT, &["nothing"]).contains("has no `=`"));
    }

    #[test]
    fn variables_come_from_the_environment_and_are_never_printed() {
        let config: Config<App> = parse("rest.password: \"${CARGO_PKG_NAME}\"", &[]).unwrap();
        let password = config.engine.password().unwrap().unwrap();
        assert_eq!(password.reveal(), "millstream-cli");
        assert!(!format!("{config:?}").contains("millstream-cli"));
        assert!(message("source: ${NO_SUCH_VARIABLE_HERE}", &[]).contains("NO_SUCH_VARIABLE_HERE"));
    }
}
