//! A job that is to be run.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A jar with a main method, and how it is to be run.
#[derive(Clone, Debug)]
pub struct Submission {
    pub(crate) jar: PathBuf,
    class: Option<String>,
    arguments: Vec<String>,
    parallelism: Option<u32>,
    savepoint: Option<String>,
    claim: Option<ClaimMode>,
    allow_non_restored: bool,
    settings: Vec<(String, String)>,
}

/// What becomes of the snapshot that a job is restored from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimMode {
    /// The job owns it, and deletes it in time.
    Claim,
    /// The job copies what it needs with its first checkpoint.
    NoClaim,
}

impl Submission {
    /// A jar whose manifest may name the main class.
    pub fn jar(jar: &Path) -> Self {
        Self {
            jar: jar.to_owned(),
            class: None,
            arguments: Vec::new(),
            parallelism: None,
            savepoint: None,
            claim: None,
            allow_non_restored: false,
            settings: Vec::new(),
        }
    }

    /// The main class.
    pub fn class(mut self, class: &str) -> Self {
        self.class = Some(class.to_owned());
        self
    }

    /// One more argument of the main method.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// The parallelism of operators that name none. If not said, it is 1 by the REST interface, whatever the
    /// configuration says, and else the configuration's `parallelism.default`.
    pub fn parallelism(mut self, parallelism: u32) -> Self {
        self.parallelism = Some(parallelism);
        self
    }

    /// The savepoint, or retained checkpoint, to start from.
    pub fn from_savepoint(mut self, path: impl Into<String>) -> Self {
        self.savepoint = Some(path.into());
        self
    }

    /// What becomes of the savepoint; Flink's default if not said.
    pub fn claim(mut self, mode: ClaimMode) -> Self {
        self.claim = Some(mode);
        self
    }

    /// Accepts a savepoint with state that the job has no operator for.
    pub fn allow_non_restored_state(mut self) -> Self {
        self.allow_non_restored = true;
        self
    }

    /// A key of Flink's configuration for this job.
    pub fn setting(mut self, key: &str, value: impl Into<String>) -> Self {
        self.settings.push((key.to_owned(), value.into()));
        self
    }

    /// As the REST interface wants it.
    pub(crate) fn body(&self) -> Value {
        let mut body =
            json!({"programArgsList": self.arguments, "allowNonRestoredState": self.allow_non_restored});
        let settings = self.settings.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str())));
        body["flinkConfiguration"] = Value::Object(settings.collect());
        let options = [
            ("entryClass", self.class.as_deref().map(Value::from)),
            ("parallelism", self.parallelism.map(Value::from)),
            ("savepointPath", self.savepoint.as_deref().map(Value::from)),
            ("claimMode", self.claim.map(|mode| mode.name().into())),
        ];
        for (name, value) in options {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        body
    }

    /// As the command line wants it, after `run`.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = vec!["--detached".to_owned()];
        words.extend(self.settings());
        let mut option = |name: &str, value: Option<String>| {
            words.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
        };
        option("--class", self.class.clone());
        option("--parallelism", self.parallelism.map(|number| number.to_string()));
        option("--fromSavepoint", self.savepoint.clone());
        option("--claimMode", self.claim.map(|mode| mode.name().to_owned()));
        if self.allow_non_restored {
            words.push("--allowNonRestoredState".to_owned());
        }
        words.push(self.jar.display().to_string());
        words.extend(self.arguments.iter().cloned());
        words
    }

    /// As the entry point of an application cluster wants it. Everything after the first word that it does
    /// not know is an argument of the program.
    pub(crate) fn entry_point_words(&self) -> Vec<String> {
        let mut words = self.settings();
        words.extend(self.parallelism.map(|number| format!("-Dparallelism.default={number}")));
        words.extend(self.claim.map(|mode| format!("-Dexecution.state-recovery.claim-mode={}", mode.name())));
        let mut option = |name: &str, value: &Option<String>| {
            words.extend(value.iter().flat_map(|value| [name.to_owned(), value.clone()]));
        };
        option("--job-classname", &self.class);
        option("--fromSavepoint", &self.savepoint);
        if self.allow_non_restored {
            words.push("--allowNonRestoredState".to_owned());
        }
        words.extend(self.arguments.iter().cloned());
        words
    }

    fn settings(&self) -> Vec<String> {
        self.settings.iter().map(|(key, value)| format!("-D{key}={value}")).collect()
    }
}

impl ClaimMode {
    fn name(self) -> &'static str {
        match self {
            Self::Claim => "CLAIM",
            Self::NoClaim => "NO_CLAIM",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submission() -> Submission {
        let job =
            Submission::jar(Path::new("/a.jar")).class("C").argument("--x").argument("1").parallelism(3);
        job.from_savepoint("s3://b/c").claim(ClaimMode::Claim).allow_non_restored_state().setting("k", "v")
    }

    #[test]
    fn the_rest_interface_gets_everything_by_name() {
        let expected = json!({
            "entryClass": "C",
            "programArgsList": ["--x", "1"],
            "parallelism": 3,
            "savepointPath": "s3://b/c",
            "claimMode": "CLAIM",
            "allowNonRestoredState": true,
            "flinkConfiguration": {"k": "v"},
        });
        assert_eq!(submission().body(), expected);
    }

    #[test]
    fn options_come_before_the_jar_and_arguments_last() {
        let expected = "--detached -Dk=v --class C --parallelism 3 --fromSavepoint s3://b/c --claimMode CLAIM \
                        --allowNonRestoredState /a.jar --x 1";
        assert_eq!(submission().words().join(" "), expected);
        let expected = "-Dk=v -Dparallelism.default=3 -Dexecution.state-recovery.claim-mode=CLAIM \
                        --job-classname C --fromSavepoint s3://b/c --allowNonRestoredState --x 1";
        assert_eq!(submission().entry_point_words().join(" "), expected);
    }
}
