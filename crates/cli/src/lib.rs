//! The commands `run`, `plan`, `stop` and so on for any pipeline, its configuration file, its exit codes.
//!
//! A pipeline that is one function becomes a program by [`App`]. One that needs more, such as a page of its
//! own, implements [`Application`]:
//!
//! ```no_run
//! use millstream_api::Environment;
//! use millstream_cli::Application;
//!
//! struct Clicks;
//!
//! #[derive(serde::Deserialize)]
//! struct Options {
//!     topic: String,
//! }
//!
//! impl Application for Clicks {
//!     type Options = Options;
//!
//!     fn name(&self) -> &str {
//!         "clicks"
//!     }
//!
//!     fn about(&self) -> &str {
//!         "Counts clicks"
//!     }
//!
//!     fn build(&self, options: &Options, env: &Environment) -> millstream_record::Result<()> {
//!         // env.source(...)
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     millstream_cli::main(&Clicks)
//! }
//! ```

mod app;
mod application;
mod builder;
mod check;
mod completions;
mod config;
mod config_origin;
mod control;
mod examples;
mod exit;
mod history;
mod keys;
pub mod logs;
mod man;
mod places;
mod progress;
pub mod reference;
pub mod remote;
mod restore;
mod run;
mod schema;
mod set;
pub mod show_plan;
mod spelling;
mod state_keys;
mod strict;

pub use app::{Command, PlanArgs, RunArgs, command_line, execute, finish, main};
pub use application::{Application, ConfigArgs, Running, System, load_for};
pub use builder::{App, NoOptions};
pub use check::CheckArgs;
pub use config::{Config, EngineOptions, load, parse, parse_named};
pub use config_origin::ConfigOrigin;
pub use control::{Control, TargetArgs};
pub use exit::EXIT_CODES;
pub use logs::LogFormat;
pub use restore::RestoreArgs;
pub use run::{environment, launch, run, validate, watch};
pub use schema::{config_schema, schema_of};
pub use schemars;
pub use state_keys::StateKeys;
