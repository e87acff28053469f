//! One YAML file, and what `--set` changes of it.

use std::path::{Path, PathBuf};

use millstream_protocol::job_settings::JobSettings;
use millstream_record::{Error, Result};
use millstream_stage::options::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::config_origin::ConfigOrigin;
use crate::keys::{KEYS, is_ours, yaml};
use crate::set;
use crate::state_keys::StateKeys;
use crate::strict::{self, Mistake};

/// The job's name where neither the configuration nor the program has one.
pub(crate) const DEFAULT_JOB_NAME: &str = "job";

/// The settings of every pipeline. Keys are Flink's where the thing is the same.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EngineOptions {
    /// The job's name. A job is known by its name and the place of its checkpoints: the same command goes on
    /// where the last run stopped.
    #[serde(rename = "pipeline.name")]
    pub name: String,
    /// The number of key groups, which is the highest parallelism that the job's state can ever have.
    #[serde(rename = "pipeline.max-parallelism")]
    pub key_groups: u16,
    /// The number of subtasks per stage.
    #[serde(rename = "parallelism.default")]
    pub parallelism: u16,
    /// The directory where the job numbers its attempts; `.millstream/NAME` by default. Keep it: a job
    /// without it looks older than its own results.
    #[serde(rename = "job.dir")]
    pub dir: Option<PathBuf>,
    /// The thread driver's settings.
    pub runtime: millstream_runtime::RuntimeOptions,
    /// Checkpoints, restarts and state: `execution.checkpointing.*`, `state.*`, `restart-strategy.*`, `s3.*`,
    /// `hdfs.*`.
    #[serde(skip)]
    pub state: StateKeys,
    /// The address that the page and `/metrics` listen at. Any other than loopback needs a password.
    #[serde(rename = "rest.bind-address")]
    pub bind_address: String,
    /// The port of the page and of `/metrics`. Without it nothing listens; 0 takes a free one.
    #[serde(rename = "rest.port")]
    pub port: Option<u16>,
    /// The password of the page. Write it as `${VARIABLE}`, or use `rest.password-file`.
    #[serde(rename = "rest.password")]
    pub password: Option<Secret>,
    /// A file that holds the password of the page. It overrides `rest.password`.
    #[serde(rename = "rest.password-file")]
    pub password_file: Option<PathBuf>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            name: DEFAULT_JOB_NAME.to_owned(),
            key_groups: millstream_record::key_group::DEFAULT_KEY_GROUPS,
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
    /// Where the job keeps its epochs.
    pub fn job_dir(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| Path::new(".millstream").join(&self.name))
    }

    /// The thread driver's settings: with the job's directory, and what the program or this file says about
    /// checkpoints, restarts and state.
    pub fn runtime(&self, settings: &JobSettings) -> millstream_runtime::RuntimeOptions {
        let dir = self.job_dir();
        let storage = self.state.storage().clone();
        let runtime = self.runtime.clone().with_settings(settings);
        millstream_runtime::RuntimeOptions { job_dir: Some(dir), storage, ..runtime }
    }

    /// The password of the page, from wherever it stands.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when its file cannot be
    /// read.
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
    /// Where it was read from, for messages; `ConfigOrigin::default()` for one that the program made itself.
    pub origin: ConfigOrigin,
}

/// Reads a configuration.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration): a file that cannot be read or
/// is no YAML, a key that is not known (the nearest known one is named), a value of the wrong kind.
pub fn load<T: DeserializeOwned>(file: &Path, set: &[String]) -> Result<Config<T>> {
    load_named(DEFAULT_JOB_NAME, file, set)
}

/// The same for a program whose job has this name where the file has no `pipeline.name`.
///
/// # Errors
/// Returns the same errors as [`load`].
pub(crate) fn load_named<T: DeserializeOwned>(name: &str, file: &Path, set: &[String]) -> Result<Config<T>> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Error::configuration(format!("{} cannot be read", file.display())).caused_by(error)
    })?;
    read(name, &text, set, ConfigOrigin::of(&text, Some(file)))
}

/// Reads a configuration from its text.
///
/// # Errors
/// Returns the same errors as [`load`].
pub fn parse<T: DeserializeOwned>(text: &str, set: &[String]) -> Result<Config<T>> {
    parse_named(DEFAULT_JOB_NAME, text, set)
}

/// The same for a program whose job has this name where the text has no `pipeline.name`.
///
/// # Errors
/// Returns the same errors as [`load`].
pub fn parse_named<T: DeserializeOwned>(name: &str, text: &str, set: &[String]) -> Result<Config<T>> {
    read(name, text, set, ConfigOrigin::of(text, None))
}

fn read<T: DeserializeOwned>(
    name: &str,
    text: &str,
    set: &[String],
    origin: ConfigOrigin,
) -> Result<Config<T>> {
    let read = |set: &[String], origin: &ConfigOrigin| read_changed::<T>(name, text, set, origin);
    let error = match read(set, &origin) {
        Ok(config) => return Ok(Config { origin: origin.changed_by(set), ..config }),
        Err(error) => error,
    };
    // A mistake that is there without any change is the file's; else it is that of the change with which it
    // appears.
    let is_there_after =
        |count: &usize| read(&set[..*count], &origin).is_err_and(|other| other.chain() == error.chain());
    match (0..=set.len()).find(is_there_after) {
        None | Some(0) => Err(error),
        Some(count) => Err(read(set, &origin.of_change(&set[count - 1])).err().unwrap_or(error)),
    }
}

fn read_changed<T: DeserializeOwned>(
    name: &str,
    text: &str,
    set: &[String],
    origin: &ConfigOrigin,
) -> Result<Config<T>> {
    let mut map = map_of(text).map_err(|error| origin.here(error))?;
    set::resolve_paths(&mut map, "runtime").map_err(|error| origin.here(error))?;
    for change in set {
        set::apply(&mut map, change)?;
    }
    map.entry("pipeline.name").or_insert_with(|| name.into());
    let mut map = resolve_variables(Value::Object(map)).map_err(|error| origin.here(error))?;
    let state =
        map.as_object_mut().map_or_else(|| Ok(StateKeys::default()), |map| StateKeys::take(map, origin))?;
    let engine = take_engine(&mut map);
    let engine: EngineOptions = strict::read(engine).map_err(|mistake| origin.mistake(&mistake))?;
    let app = read_app(map).map_err(|mistake| origin.mistake(&mistake))?;
    Ok(Config { engine: EngineOptions { state, ..engine }, app, origin: origin.clone() })
}

fn map_of(text: &str) -> Result<Map<String, Value>> {
    // Advice for whoever calls the library.
    const FOR_CALLERS: &str = ", set DuplicateKeyPolicy in Options if acceptable";
    let value = yaml(text).map_err(|error| {
        let error = error.to_string().replace(FOR_CALLERS, "");
        Error::configuration(format!("this is no valid YAML: {error}"))
    })?;
    match value {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        _ => {
            Err(Error::configuration("the file must hold keys and values, such as `parallelism.default: 2`"))
        }
    }
}

// The application's keys are listed by what reads them; where one of the top level is wrong, ours belong into
// the same sentence.
fn read_app<T: DeserializeOwned>(value: Value) -> Result<T, Mistake> {
    strict::read(value)
        .map_err(|mistake| if mistake.path().len() == 1 { mistake.known_too(&KEYS) } else { mistake })
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
            Error::configuration(format!(
                "the environment has no variable {name}, which the configuration asks for"
            ))
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
        assert!(message("jobs: [a]\njobs: [b]", &[]).contains("duplicate mapping key: jobs at line 2"));
        assert!(message(TEXT, &["nothing"]).contains("has no `=`"));
    }

    #[test]
    fn set_reaches_elements_of_lists_and_keys_with_dots() {
        let text = "source: {hosts: [{a.b: 1}], none: }";
        let set = [
            "source.hosts.0.a.b=2",
            "source.hosts.0.c.d=3",
            "source.none.x=4",
            "source.deep.y=5",
            "runtime.stop-timeout=7s",
        ];
        let config: Config<App> = parse(text, &set.map(str::to_owned)).unwrap();
        let wanted = serde_json::json!({
            "hosts": [{"a.b": 2, "c.d": 3}], "none": {"x": 4}, "deep.y": 5,
        });
        assert_eq!(config.app.source, wanted);
        assert_eq!(config.engine.runtime.stop_timeout, std::time::Duration::from_secs(7));
    }

    #[test]
    fn a_file_may_name_settings_of_the_engine_by_their_paths() {
        let text = "runtime: {stop-timeout: 5s}\nruntime.stop-flush-timeout: 3s\n";
        let runtime = parse::<App>(text, &[]).unwrap().engine.runtime;
        let seconds = std::time::Duration::from_secs;
        assert_eq!((runtime.stop_timeout, runtime.stop_flush_timeout), (seconds(5), seconds(3)));
        assert!(message("runtime.stop-timeuot: 5s", &[]).contains("did you mean \"stop-timeout\"?"));
    }

    #[test]
    fn a_set_that_leads_nowhere_says_what_is_there() {
        assert!(message(TEXT, &["jobs.2=c"]).contains("jobs has 2 elements, counted from 0"));
        assert!(message(TEXT, &["jobs.first=c"]).contains("write jobs.0 for its first element"));
        assert!(message(TEXT, &["jobs.0.name=c"]).contains("jobs.0 holds a single value"));
        assert!(message(TEXT, &["source.rate.x=1"]).contains("rate holds a single value"));
    }

    #[test]
    fn a_mistake_names_its_line() {
        let dir = std::env::temp_dir().join(format!("millstream-config-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("job.yaml");
        std::fs::write(&file, "jobs:\n  - a\n  - [b]\nruntime:\n  stop-timeuot: 5s\n").unwrap();
        let error = load::<App>(&file, &[]).unwrap_err();
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(error.to_string().starts_with("unknown key \"stop-timeuot\", did you mean"), "{error}");
        let place = format!("runtime.stop-timeuot in {}, line 5", file.display());
        assert_eq!(error.places(), [place]);
    }

    #[test]
    fn a_wrong_change_is_blamed_and_not_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("job.yaml");
        let places = |text: &str, set: &[&str]| {
            std::fs::write(&file, text).unwrap();
            let set: Vec<_> = set.iter().map(|&change| change.to_owned()).collect();
            load::<App>(&file, &set).unwrap_err().places()
        };
        let (right, wrong) = ("parallelism.default: 2\n", "parallelism.default: many\n");
        assert_eq!(places(right, &["parallelism.default=some"]), ["--set parallelism.default"]);
        assert_eq!(places(right, &["rest.port=1", "jobz=[a]"]), ["--set jobz"]);
        assert_eq!(
            places(right, &["rest.port=1", "runtime={stop-timeuot: 5s}"]),
            ["runtime.stop-timeuot in --set runtime"]
        );
        assert_eq!(
            places(right, &["state.checkpoints.num-retained=x", "rest.port=1"]),
            ["--set state.checkpoints.num-retained"]
        );
        let line = format!("parallelism.default in {}, line 1", file.display());
        assert_eq!(places(wrong, &["rest.port=1"]), [line]);
        // What the file has wrong and a change has right is no mistake: the next one is told.
        assert_eq!(places(wrong, &["parallelism.default=3", "rest.port=x"]), ["--set rest.port"]);
        std::fs::write(&file, "source: {rate: 1}\n").unwrap();
        let config: Config<App> = load(&file, &["source.rate=2".to_owned()]).unwrap();
        let changed = format!("source in {}, line 1, changed by --set source.rate", file.display());
        assert_eq!(config.origin.place("source"), changed);
    }

    #[test]
    fn no_mistake_shows_a_secret() {
        let broken = message("rest.password: geheim\njobs: [a\nsource: }\n", &[]);
        assert!(broken.contains("line 3") && !broken.contains("geheim"), "{broken}");
        let number = message("rest.password: 4711\n", &[]);
        assert!(number.contains("in quotes") && !number.contains("4711"), "{number}");
        let misplaced = message("rest.port: \"${CARGO_PKG_NAME}\"\n", &[]);
        assert!(misplaced.contains("rest.port") && !misplaced.contains("millstream"), "{misplaced}");
        let set = message("", &["rest.password={geheim"]);
        assert!(set.contains("no valid YAML") && !set.contains("geheim"), "{set}");
    }

    #[test]
    fn variables_come_from_the_environment_and_are_never_printed() {
        let config: Config<App> = parse("rest.password: \"${CARGO_PKG_NAME}\"", &[]).unwrap();
        let password = config.engine.password().unwrap().unwrap();
        assert_eq!(password.reveal(), "millstream-cli");
        assert!(!format!("{config:?}").contains("millstream-cli"));
        let text = "parallelism.default: ${CARGO_PKG_VERSION_MAJOR}";
        let major: u16 = env!("CARGO_PKG_VERSION_MAJOR").parse().unwrap();
        assert_eq!(parse::<App>(text, &[]).unwrap().engine.parallelism, major, "a number is one there too");
        assert!(message("source: ${NO_SUCH_VARIABLE_HERE}", &[]).contains("NO_SUCH_VARIABLE_HERE"));
    }
}
