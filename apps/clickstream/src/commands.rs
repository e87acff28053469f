//! What can be typed behind `clickstream`.

mod demo;
#[cfg(feature = "servers")]
mod drill;
#[cfg(feature = "servers")]
mod forget;
#[cfg(feature = "servers")]
mod generate;
#[cfg(feature = "servers")]
mod kafka;
#[cfg(feature = "servers")]
mod replay;
#[cfg(feature = "servers")]
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
#[cfg_attr(not(feature = "servers"), command(before_help = crate::left_out::HELP))]
pub enum Clickstream {
    /// Watch made-up shop traffic: no server, no account; results in SQLite and on a live page
    Demo(demo::DemoArgs),
    /// The commands of every pipeline.
    #[command(flatten)]
    Job(Command),
    /// Make up shop traffic and write it to Kafka, a file or standard output
    #[cfg(feature = "servers")]
    Generate(generate::GenerateArgs),
    /// Kill, stop, pause and move the job on your own servers while events come, and audit every result
    #[cfg(feature = "servers")]
    Drill(drill::DrillArgs),
    /// Delete the results of a job from its stores, so that it can begin anew; counts them first
    #[cfg(feature = "servers")]
    Forget(forget::ForgetArgs),
    /// Send recorded events once more, at their own speed or faster, to Kafka, a file or standard output
    #[cfg(feature = "servers")]
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
            #[cfg(feature = "servers")]
            Self::Drill(args) => drill::run(args),
            #[cfg(feature = "servers")]
            Self::Forget(args) => forget::forget(args),
            #[cfg(feature = "servers")]
            Self::Generate(args) => generate::generate(args),
            #[cfg(feature = "servers")]
            Self::Replay(args) => replay::replay(args),
        }
    }
}
