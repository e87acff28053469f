//! `clickstream replay`.

mod dead_letters;
mod letters;

use std::time::Duration;

use clap::Args;
use millstream::connectors::files::{FilesSource, FilesSourceOptions};
use millstream::connectors::generator::replay::{Format, JsonLines, Speed, TaobaoCsv};
use millstream::connectors::generator::{Replay, ReplayOptions};
use millstream::options::parse_typed_duration;
use millstream::prelude::Environment;
use millstream::{Error, Result};

use super::target::{TargetArgs, send};

/// What is shown behind the options.
const EXAMPLES: &str = "\
Examples for recorded events: at the speed at which they were recorded, sixty times as fast, and as fast as the target takes them
  clickstream replay clicks.csv.gz --format taobao-csv --speed 1x --topic user-clicks
  clickstream replay events.jsonl --format jsonl --speed 60x --topic user-clicks
  clickstream replay events.jsonl --format jsonl --shuffle 5s --broken 0.001 --to again.jsonl.gz

Examples for dead letters, once their cause is gone: first look at what would be sent, then send it. Each \
message is sent once, with its original bytes.
  clickstream replay dead-letter.jsonl --format dead-letters --dry-run
  clickstream replay dead-letter.jsonl --format dead-letters              back to the topics and partitions that they came from
  clickstream replay --from-topic clicks-dead --format dead-letters --stage decode --topic user-clicks
  clickstream replay dead-letter.jsonl --format dead-letters --brokers kafka:9093 --command-config client.properties
An event that was late for one job and in time for another is counted once more by the other: the letter's \
reason names the jobs that it was late for. Send such events (--stage late) to a topic of their own, and \
let a job read it that has only those `jobs` and an earlier start.";

/// The options of `replay`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReplayArgs {
    /// The recording or the dead letters: a file, a directory or a pattern such as 'day-*.gz'; files may be
    /// packed by gzip
    #[arg(value_name = "FILE", required_unless_present = "from_topic", conflicts_with = "from_topic")]
    file: Option<String>,
    /// Kafka topic to read dead letters from, up to its present end
    #[arg(long, value_name = "TOPIC")]
    from_topic: Option<String>,
    /// Format of the file or topic
    #[arg(long, value_enum)]
    format: RecordedFormat,
    /// Send only the dead letters of this stage, such as decode or late
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
    /// Count the dead letters that would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    target: TargetArgs,
    /// How many times as fast as they were recorded events are sent, such as 1x or 60x; max is as fast as the
    /// target takes them
    #[arg(long, default_value = "max")]
    speed: Speed,
    /// Shuffle events within this much event time, such as 5s
    #[arg(long, default_value = "0s", value_parser = parse_typed_duration, value_name = "TIME")]
    shuffle: Duration,
    /// Share of events that are followed by a broken copy, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    broken: f64,
    /// Random seed of --shuffle and --broken
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
    /// What a job has written to its `dead-letter`
    DeadLetters,
}

pub(super) fn replay(args: &ReplayArgs) -> Result<()> {
    if let (Some(file), Some(to)) = (&args.file, &args.target.to)
        && FilesSource::new(files(file)).reads(to)
    {
        return Err(Error::configuration(format!(
            "--to {to} is what is replayed, and would be emptied before it is read: name another file"
        )));
    }
    match args.format {
        RecordedFormat::TaobaoCsv => recording(args, TaobaoCsv),
        RecordedFormat::Jsonl => recording(args, JsonLines),
        RecordedFormat::DeadLetters if is_for_recordings(args) => Err(Error::configuration(
            "--speed, --shuffle and --broken are for recordings: dead letters are sent as they are, as fast as the target takes them",
        )),
        RecordedFormat::DeadLetters => dead_letters::replay(args),
    }
}

fn is_for_recordings(args: &ReplayArgs) -> bool {
    args.speed != Speed::Max || !args.shuffle.is_zero() || args.broken > 0.0
}

fn recording(args: &ReplayArgs, format: impl Format) -> Result<()> {
    if args.from_topic.is_some() || args.stage.is_some() || args.dry_run {
        return Err(Error::configuration(
            "--from-topic, --stage and --dry-run are for dead letters: add --format dead-letters",
        ));
    }
    let files = args.file.as_deref().map(files).unwrap_or_default();
    let options = ReplayOptions {
        speed: args.speed,
        shuffle: args.shuffle,
        broken: args.broken,
        seed: args.seed,
        ..ReplayOptions::default()
    };
    let env = Environment::new("replay");
    let messages = env.source("recording", Replay::new(FilesSource::new(files), format, options));
    send(&env, &messages, &args.target)
}

fn files(path: &str) -> FilesSourceOptions {
    FilesSourceOptions { path: path.into(), ..FilesSourceOptions::default() }
}
