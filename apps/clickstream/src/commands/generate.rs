//! `clickstream generate`.

use std::time::Duration;

use clap::Args;
use millstream::Result;
use millstream::connectors::generator::{GeneratorOptions, GeneratorSource};
use millstream::prelude::Environment;
use millstream::stage::options::parse_typed_duration;

use super::target::{TargetArgs, send};

/// What `generate` can be told.
#[derive(Clone, Debug, Args)]
pub struct GenerateArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// How many events; goes on until Ctrl-C without
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Events per second, of the present; without it as fast as the target takes them, of 26 November 2017
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Chooses the traffic: the same seed gives the same events
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How far events are out of order
    #[arg(long, default_value = "0s", value_parser = parse_typed_duration, value_name = "TIME")]
    disorder: Duration,
    /// Share of events that come twice
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    duplicates: f64,
    /// Share of broken records
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    broken: f64,
    /// Share of events from the year 2037
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    future: f64,
    /// Share of events of a single user
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
        // Without a rate, several parts run ahead of each other by more event time than a job allows for disorder.
        splits: if args.rate.is_some() { GeneratorOptions::default().splits } else { 1 },
        ..GeneratorOptions::default()
    };
    let env = Environment::new("generate");
    let messages = env.source("traffic", GeneratorSource::new(options));
    send(&env, &messages, &args.target)
}
