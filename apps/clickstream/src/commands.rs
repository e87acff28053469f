//! What can be typed behind `clickstream`.

mod demo;
mod drill;
mod forget;
mod generate;
mod kafka;
mod replay;
mod target;

use clap::Parser;
use millstream::Result;
use millstream::cli::{Command, execute};

use crate::app::Shop;

/// The click stream of an online shop: clicks per user, hot items, page views and visitors.
///
/// Start with `clickstream demo`: it makes up shop traffic, counts it, and serves a page to watch. Then let it read your own events:
/// `clickstream run --config FILE`.
#[derive(Clone, Debug, Parser)]
#[command(name = "clickstream", version)]
pub enum Clickstream {
    /// Watch made-up shop traffic: no server, no account; results in SQLite and on a live page
    Demo(demo::DemoArgs),
    /// The commands of every pipeline.
    #[command(flatten)]
    Job(Command),
    /// Make up shop traffic and write it to Kafka, a file or standard output
    Generate(generate::GenerateArgs),
    /// Kill, stop, pause and move the job on your own servers while events come, and audit every result
    Drill(drill::DrillArgs),
    /// Delete the results of a job from its stores, so that it can begin anew; counts them first
    Forget(forget::ForgetArgs),
    /// Send recorded events once more, at their own speed or faster, to Kafka, a file or standard output
    Replay(replay::ReplayArgs),
}

impl Clickstream {
    /// Does it.
    ///
    /// # Errors
    /// Those of the command.
    pub fn execute(&self) -> Result<()> {
        match self {
            Self::Demo(args) => demo::demo(args),
            Self::Job(command) => execute(&Shop::default(), command),
            Self::Drill(args) => drill::run(args),
            Self::Forget(args) => forget::forget(args),
            Self::Generate(args) => generate::generate(args),
            Self::Replay(args) => replay::replay(args),
        }
    }
}
