//! What can be typed behind `clickstream`.

mod demo;
#[cfg(feature = "servers")]
mod drill;
#[cfg(feature = "servers")]
mod forget;
#[cfg(feature = "servers")]
mod generate;
mod init;
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

/// The version and, in a release build, the commit.
pub(crate) const VERSION: &str = env!("CLICKSTREAM_VERSION");

/// The click stream of an online shop: clicks per user, hot items, page views and visitors.
///
/// Start with `clickstream demo`: it generates shop traffic, counts it, and serves a page to watch. Then let
/// it read your own events: write a configuration, look at its plan with `clickstream plan --config FILE`,
/// and run it with `clickstream run --config FILE`.
#[derive(Clone, Debug, Parser)]
#[command(name = "clickstream", version = VERSION)]
#[cfg_attr(not(feature = "servers"), command(before_help = crate::left_out::HELP))]
pub enum Clickstream {
    /// Count generated shop traffic into SQLite and show it on a live page; needs no server and no
    /// configuration
    Demo(demo::DemoArgs),
    /// Write a configuration file with comments, to begin with
    Init(init::InitArgs),
    /// The commands of every pipeline.
    #[command(flatten)]
    Job(Command),
    /// Generate shop traffic and write it to Kafka, a file or standard output
    #[cfg(feature = "servers")]
    Generate(generate::GenerateArgs),
    /// Kill, stop, pause and rescale a copy of the job on your own servers while events come, and audit every
    /// result
    #[cfg(feature = "servers")]
    Drill(drill::DrillArgs),
    /// Delete the results of a job from its stores, so that it can begin anew; --dry-run counts them
    #[cfg(feature = "servers")]
    Forget(forget::ForgetArgs),
    /// Send recorded events or dead letters once more to Kafka, a file or standard output
    #[cfg(feature = "servers")]
    Replay(replay::ReplayArgs),
}

impl Clickstream {
    /// Does it.
    ///
    /// # Errors
    /// Returns the errors of the command.
    pub fn execute(&self) -> Result<()> {
        match self {
            Self::Demo(args) => demo::demo(args),
            Self::Init(args) => init::init(args),
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
