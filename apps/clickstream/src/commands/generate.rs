//! `clickstream generate`.

use std::time::Duration;

use clap::Args;
use millstream::Result;
use millstream::connectors::generator::{GeneratorOptions, GeneratorSource};
use millstream::options::parse_typed_duration;
use millstream::prelude::Environment;

use super::target::{TargetArgs, send};

/// What is shown behind the options.
const EXAMPLES: &str = "\
Examples:
  clickstream generate --count 5 --to -                        to look at
  clickstream generate --count 1000000 --to events.jsonl.gz
  clickstream generate --count 1000000 --topic user-clicks     the topic must exist
  clickstream generate --rate 2000 --topic user-clicks --broken 0.001 --duplicates 0.001 --disorder 3s
  clickstream generate --rate 2000 --topic user-clicks --brokers kafka:9093 --command-config client.properties

Let a job read a file of them with `source: {type: files, path: events.jsonl.gz}`, and a topic with \
`source: {type: kafka, brokers: \"127.0.0.1:9092\", topic: user-clicks}`.";

/// The options of `generate`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct GenerateArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// How many events; without it, the traffic goes on until Ctrl-C
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Events per second, with the times of the present; without it, events of 26 November 2017 as fast as
    /// the target takes them
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// The traffic's random seed: the same seed gives the same events
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How far events are out of order, such as 3s
    #[arg(long, default_value = "0s", value_parser = parse_typed_duration, value_name = "TIME")]
    disorder: Duration,
    /// Share of events that come twice, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    duplicates: f64,
    /// Share of broken records, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    broken: f64,
    /// Share of events with a time in the year 2037, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    future: f64,
    /// Share of events that come from one and the same user, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    hot: f64,
}

pub(super) fn generate(args: &GenerateArgs) -> Result<()> {
    let options = GeneratorOptions {
        seed: args.seed,
        rate: args.rate,
        count: args.count,
        disorder: args.disorder,
        duplicates: args.duplicates,
        broken: args.broken,
        future: args.future,
        hot: args.hot,
        // Without a rate, several parts run ahead of each other by more event time than a job allows for
        // disorder.
        splits: if args.rate.is_some() { GeneratorOptions::default().splits } else { 1 },
        ..GeneratorOptions::default()
    };
    let env = Environment::new("generate");
    let messages = env.source("traffic", GeneratorSource::new(options));
    send(&env, &messages, &args.target)
}
