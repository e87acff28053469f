//! `restore --dry-run` and `run --from-savepoint` as they are typed: what fits goes on, what does not is
//! refused before anything starts.
#![allow(clippy::panic, clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod support;

use std::path::Path;

use clap::{FromArgMatches, Subcommand};
use millstream::operators::KeyedProcessFunction;
use millstream::prelude::*;
use millstream::runtime::Launch;
use millstream::window::AggregateFunction;
use millstream_cli::{Application, Command, execute, parse};
use support::paused::Paused;
use support::versions::{Purchase, Results, Row, SPLITS, broken, define, first, input, purchases, second};
use tempfile::TempDir;

/// A program around one version of the job.
struct Program<F, A> {
    version: (F, A),
    results: Results,
}

impl<P, F, A> Application for Program<F, A>
where
    P: KeyedProcessFunction<Key = String, In = Purchase, Out = Row>,
    F: Fn(&mut States) -> Result<P> + Clone + Send + Sync + 'static,
    A: AggregateFunction<Purchase, Out = (i64, i64)>,
{
    type Options = serde_json::Map<String, serde_json::Value>;

    fn name(&self) -> &'static str {
        "evolving"
    }

    fn about(&self) -> &'static str {
        "A job in several versions"
    }

    fn build(&self, _: &Self::Options, env: &Environment) -> Result<()> {
        define(env, input(), self.version.clone(), &self.results);
        Ok(())
    }
}

fn program<F, A>(declare: F, aggregate: A) -> Program<F, A> {
    Program { version: (declare, aggregate), results: Results::default() }
}

/// What is typed behind the program's name.
fn command(words: &[&str]) -> Command {
    let shell = Command::augment_subcommands(clap::Command::new("evolving"));
    let matches = shell.try_get_matches_from(std::iter::once(&"evolving").chain(words)).unwrap();
    Command::from_arg_matches(&matches).unwrap()
}

fn write_config(dir: &TempDir) -> String {
    let file = dir.path().join("job.yaml");
    let url = |folder| format!("file://{}", dir.path().join(folder).display());
    let text = format!(
        "pipeline.name: evolving\nparallelism.default: 2\njob.dir: {}\nstate.checkpoints.dir: {}\nstate.savepoints.dir: {}\n",
        dir.path().join("job").display(),
        url("checkpoints"),
        url("savepoints")
    );
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Runs the first version, with the options of this configuration, to a savepoint; gives its path.
fn savepoint(config: &str) -> String {
    let config =
        parse::<serde_json::Map<_, _>>(&std::fs::read_to_string(Path::new(config)).unwrap(), &[]).unwrap();
    let env = Environment::new("evolving").with_parallelism(2);
    let (source, reached) = Paused::after(333, input());
    define(&env, source, (first::Count::declare, first::PerHour), &Results::default());
    let settings = config.engine.state.over(&env.settings()).unwrap();
    let job = Launch::new(env.plan().unwrap(), config.engine.runtime(&settings)).start().unwrap();
    reached.wait(SPLITS);
    let url = job.stop_with_savepoint(None, false).unwrap().url.unwrap();
    job.wait().unwrap();
    url.trim_start_matches("file://").to_owned()
}

#[test]
fn a_version_that_fits_is_told_so_and_runs() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(&dir);
    let savepoint = savepoint(&config);
    let second = program(second::Count::declare, second::PerHour);
    execute(&second, &command(&["restore", "--dry-run", "--config", &config, "--from", &savepoint])).unwrap();
    // Without a place: the savepoint that the job was stopped with.
    execute(&second, &command(&["restore", "--dry-run", "--config", &config])).unwrap();
    assert!(second.results.running.take().is_empty(), "nothing ran");
    execute(&second, &command(&["run", "--config", &config, "--from-savepoint", &savepoint])).unwrap();
    assert_eq!(second.results.running.take().len(), purchases().len() - SPLITS * 333);
}

#[test]
fn a_version_that_does_not_fit_is_refused_by_the_dry_run_and_by_the_start_alike() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(&dir);
    let savepoint = savepoint(&config);
    let broken = program(broken::Count::declare, first::PerHour);
    for words in [
        vec!["restore", "--dry-run", "--config", &config, "--from", &savepoint],
        vec!["restore", "--dry-run", "--config", &config, "-n"],
        vec!["run", "--config", &config, "--from-savepoint", &savepoint],
        vec!["run", "--config", &config],
    ] {
        let error = execute(&broken, &command(&words)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "exit code 4: {words:?}: {}", error.chain());
        let text = error.chain();
        assert!(text.contains("`totals.discount`: added (long) without a default"), "{words:?}: {text}");
    }
}

#[test]
fn without_a_snapshot_there_is_nothing_to_look_at() {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(&dir);
    let first = program(first::Count::declare, first::PerHour);
    let error = execute(&first, &command(&["restore", "--dry-run", "--config", &config])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.chain().contains("would begin from nothing"), "{}", error.chain());
    let missing = dir.path().join("no-savepoint");
    let words = ["restore", "--dry-run", "--config", &config, "--from", missing.to_str().unwrap()];
    let error = execute(&first, &command(&words)).unwrap_err();
    assert!(error.chain().contains("neither a savepoint nor a checkpoint"), "{}", error.chain());
}
