//! A program around a pipeline that is one function.

use std::marker::PhantomData;
use std::process::ExitCode;

use millstream_api::Environment;
use millstream_record::Result;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::app::main;
use crate::application::Application;

/// A program with the commands that every pipeline has, under its own name: `run`, `plan`, `stop` and so on.
///
/// The pipeline is a function of the application's part of the configuration file and of the environment to
/// build it in. Its job is named like the program unless the configuration has a `pipeline.name`. A program
/// that needs more, such as a page of its own, implements [`Application`] instead.
///
/// ```no_run
/// use millstream_api::Environment;
/// use millstream_cli::App;
///
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Options {
///     topic: String,
/// }
///
/// fn pipeline(options: &Options, env: &Environment) -> millstream_record::Result<()> {
///     // env.source(...)
///     Ok(())
/// }
///
/// fn main() -> std::process::ExitCode {
///     App::new("orders").about("Orders per customer and minute").version(env!("CARGO_PKG_VERSION")).run(pipeline)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct App {
    name: String,
    about: String,
    version: Option<String>,
}

/// The options of an application that has none: its configuration file holds the keys that every pipeline
/// has, and no other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}

impl App {
    /// A program of this name.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), about: "A pipeline on Millstream".to_owned(), version: None }
    }

    /// What the program does, in a few words, for `--help` and `plan`.
    #[must_use]
    pub fn about(self, about: &str) -> Self {
        Self { about: about.to_owned(), ..self }
    }

    /// The program's version, for `--version`.
    #[must_use]
    pub fn version(self, version: &str) -> Self {
        Self { version: Some(version.to_owned()), ..self }
    }

    /// Does what the command line says and gives the exit code.
    pub fn run<O, B>(self, build: B) -> ExitCode
    where
        O: DeserializeOwned,
        B: Fn(&O, &Environment) -> Result<()> + Sync,
    {
        main(&self.program(build))
    }

    /// The program as a value, for drivers that build its pipeline themselves, as Flink's does.
    pub fn program<O, B>(self, build: B) -> impl Application<Options = O> + Sync
    where
        O: DeserializeOwned,
        B: Fn(&O, &Environment) -> Result<()> + Sync,
    {
        Built { app: self, build, options: PhantomData }
    }
}

/// A program and the function that builds its pipeline.
struct Built<O, B> {
    app: App,
    build: B,
    options: PhantomData<fn() -> O>,
}

impl<O, B> Application for Built<O, B>
where
    O: DeserializeOwned,
    B: Fn(&O, &Environment) -> Result<()>,
{
    type Options = O;

    fn name(&self) -> &str {
        &self.app.name
    }

    fn about(&self) -> &str {
        &self.app.about
    }

    fn version(&self) -> Option<&str> {
        self.app.version.as_deref()
    }

    fn job_name(&self) -> &str {
        &self.app.name
    }

    fn build(&self, options: &O, env: &Environment) -> Result<()> {
        (self.build)(options, env)
    }
}
