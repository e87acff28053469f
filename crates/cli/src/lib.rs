//! The commands `run`, `plan` and `restore` for any pipeline, its configuration file, its exit codes.
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
//!     const NAME: &'static str = "clicks";
//!     const ABOUT: &'static str = "Counts clicks";
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
mod backend;
mod config;
mod control;
mod exit;
pub mod logs;
mod origin;
mod places;
mod progress;
pub mod remote;
mod restore;
mod run;
mod set;
pub mod show_plan;
mod spelling;
mod state_keys;
mod strict;

pub use app::{
    Application, Command, ConfigArgs, PlanArgs, RestoreArgs, RunArgs, Running, command_line, execute, finish,
    main,
};
pub use config::{Config, EngineOptions, load, parse};
pub use control::{Control, TargetArgs};
pub use exit::EXIT_CODES;
pub use logs::LogFormat;
pub use origin::Origin;
pub use run::{environment, launch, run, watch};
pub use state_keys::StateKeys;
