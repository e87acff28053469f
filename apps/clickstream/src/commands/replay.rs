//! `clickstream replay`.

use std::time::Duration;

use clap::Args;
use millstream::Result;
use millstream::connectors::files::{FilesSource, FilesSourceOptions};
use millstream::connectors::generator::replay::{JsonLines, Speed, TaobaoCsv};
use millstream::connectors::generator::{Replay, ReplayOptions};
use millstream::core::options::parse_typed_duration;
use millstream::prelude::Environment;

use super::target::{TargetArgs, send};

/// What `replay` can be told.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// The recording: a file, a directory, a pattern; `.gz` is read as it is
    #[arg(value_name = "FILE")]
    file: String,
    /// How events are written in it
    #[arg(long, value_enum)]
    format: RecordedFormat,
    #[command(flatten)]
    target: TargetArgs,
    /// max, or how many times as fast as it was recorded, such as 1x or 60x
    #[arg(long, default_value = "max")]
    speed: Speed,
    /// Let events change places within this much event time
    #[arg(long, default_value = "0s", value_parser = parse_typed_duration, value_name = "TIME")]
    shuffle: Duration,
    /// Share of events that are followed by a broken copy
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    broken: f64,
    /// Chooses the places and the broken ones
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// How events are written in a recording.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum RecordedFormat {
    /// user,item,category,behavior,seconds
    TaobaoCsv,
    /// One JSON object per line
    Jsonl,
}

pub(super) fn replay(args: &ReplayArgs) -> Result<()> {
    let files = FilesSource::new(FilesSourceOptions {
        path: args.file.as_str().into(),
        ..FilesSourceOptions::default()
    });
    let options = ReplayOptions {
        speed: args.speed,
        shuffle: args.shuffle,
        broken: args.broken,
        seed: args.seed,
        ..ReplayOptions::default()
    };
    let replay = match args.format {
        RecordedFormat::TaobaoCsv => Replay::new(files, TaobaoCsv, options),
        RecordedFormat::Jsonl => Replay::new(files, JsonLines, options),
    };
    let env = Environment::new("replay");
    let messages = env.source("recording", replay);
    send(&env, &messages, &args.target)
}
